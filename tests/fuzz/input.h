// Reads an input of a fuzz target piece by piece. Behind its end there are zeros and empty texts.
#ifndef TESTS_FUZZ_INPUT_H_
#define TESTS_FUZZ_INPUT_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "absl/strings/string_view.h"

namespace webhook::fuzz {

// What must hold, whatever the input is. Else says where, and aborts.
inline void Require(bool holds, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  if (holds) return;
  std::fprintf(stderr, "%s:%d: this does not hold\n", file, line);
  std::abort();
}

class Input {
 public:
  Input(const uint8_t* data, size_t size) : left_(reinterpret_cast<const char*>(data), size) {}

  bool empty() const { return left_.empty(); }

  uint8_t Byte() {
    const absl::string_view byte = Take(1);
    return byte.empty() ? 0 : static_cast<uint8_t>(byte[0]);
  }

  // A number from 0 to count - 1; `count` is 1 to 256.
  size_t Below(size_t count) { return Byte() % count; }

  // A byte that tells the length, and as many bytes.
  absl::string_view Text() { return Take(Byte()); }

  // Up to the next `end`, which is read too.
  absl::string_view UpTo(char end) {
    const size_t at = left_.find(end);
    const absl::string_view piece = Take(at);
    Take(1);
    return piece;
  }

  absl::string_view Rest() { return Take(left_.size()); }

 private:
  absl::string_view Take(size_t count) {
    const absl::string_view piece = left_.substr(0, count);
    left_.remove_prefix(piece.size());
    return piece;
  }

  absl::string_view left_;
};

}  // namespace webhook::fuzz

#endif  // TESTS_FUZZ_INPUT_H_
