// Plays every file of the folders named as arguments through a fuzz target, and cut as well, so
// that the seeds of a target are a test without libFuzzer. Each input is a heap block of its own
// size, as libFuzzer gives it: a sanitizer sees every byte read too far.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

// How many beginnings of one file are played.
constexpr size_t kMostCuts = 100;

void Play(const std::string& seed, size_t size) {
  const std::unique_ptr<uint8_t[]> copy(new uint8_t[size]);
  if (size != 0) std::memcpy(copy.get(), seed.data(), size);
  LLVMFuzzerTestOneInput(copy.get(), size);
}

}  // namespace

int main(int count, char** arguments) {
  int files = 0;
  for (int i = 1; i < count; ++i) {
    for (const auto& entry : std::filesystem::directory_iterator(arguments[i])) {
      std::ifstream file(entry.path(), std::ios::binary);
      const std::string seed((std::istreambuf_iterator<char>(file)), {});
      const size_t step = std::max<size_t>(1, seed.size() / kMostCuts);
      for (size_t size = 0; size < seed.size(); size += step) Play(seed, size);
      Play(seed, seed.size());
      ++files;
    }
  }
  std::printf("%d seeds played\n", files);
  return files > 0 ? 0 : 1;
}
