// Plays every file of the folders named as arguments through a fuzz target, and cut at every
// length as well, so that the seeds of a target are a test without libFuzzer.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

int main(int count, char** arguments) {
  int files = 0;
  for (int i = 1; i < count; ++i) {
    for (const auto& entry : std::filesystem::directory_iterator(arguments[i])) {
      std::ifstream file(entry.path(), std::ios::binary);
      const std::string seed((std::istreambuf_iterator<char>(file)), {});
      const auto* const data = reinterpret_cast<const uint8_t*>(seed.data());
      for (size_t size = 0; size <= seed.size(); ++size) LLVMFuzzerTestOneInput(data, size);
      ++files;
    }
  }
  std::printf("%d seeds played\n", files);
  return files > 0 ? 0 : 1;
}
