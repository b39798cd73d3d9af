// Memory for the texts of one request that are not bytes of its body.
#ifndef PLUGIN_CORE_ARENA_H_
#define PLUGIN_CORE_ARENA_H_

#include <cstddef>
#include <memory>
#include <vector>

#include "absl/strings/string_view.h"

namespace webhook::core {

// Texts stay where they are until Clear. Not thread-safe.
class Arena {
 public:
  Arena() = default;
  Arena(Arena&&) = default;
  Arena& operator=(Arena&&) = default;

  // `size` writable bytes, uninitialised.
  char* Allocate(size_t size);

  // Gives the last `unused` bytes of the latest Allocate back.
  void GiveBack(size_t unused) { used_ -= unused; }

  absl::string_view Copy(absl::string_view text);

  // All texts are gone. The first chunk is kept for the next request.
  void Clear();

 private:
  static constexpr size_t kChunkBytes = 4096;
  struct Chunk {
    std::unique_ptr<char[]> bytes;
    size_t size;
  };

  std::vector<Chunk> chunks_;
  size_t used_ = 0;  // of the last chunk
};

}  // namespace webhook::core

#endif  // PLUGIN_CORE_ARENA_H_
