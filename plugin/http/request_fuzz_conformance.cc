// Plays the conformance cases through request_fuzz.cc, each whole, cut and with an octet changed,
// so that they are a test without libFuzzer.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <string>

#include "plugin/http/testing/conformance_octets.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

// Longer cases are about limits; every octet of theirs would be the same again.
constexpr size_t kMostVaried = 600;

void Play(const std::string& bytes, size_t size) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(bytes.data()), size);
}

void PlayVaried(std::string bytes) {
  Play(bytes, bytes.size());
  if (bytes.size() > kMostVaried) return;
  for (size_t at = 0; at < bytes.size(); ++at) {
    Play(bytes, at);
    const char kept = bytes[at];
    for (const char other : {'\r', '\n', '\0', ' ', '0', '\xff'}) {
      bytes[at] = other;
      Play(bytes, bytes.size());
    }
    bytes[at] = kept;
  }
}

}  // namespace

int main() {
  std::ifstream file("plugin/http/conformance_cases.txt");
  int seeds = 0;
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("  ", 0) != 0) continue;
    const std::string bytes = webhook::http::Octets(line.substr(2));
    PlayVaried(bytes);
    // What follows the head, for the decoder.
    const size_t body = bytes.find("\r\n\r\n");
    if (body != std::string::npos) PlayVaried(bytes.substr(body + 4));
    ++seeds;
  }
  std::printf("%d seeds played\n", seeds);
  return seeds > 100 ? 0 : 1;
}
