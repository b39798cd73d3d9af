// Texts that are dropped in the order in which they came. They are allocated in large pieces: an
// allocation for each would cost more than everything else that a store in memory does.
#ifndef HOST_STUB_STORE_FIFO_ARENA_H_
#define HOST_STUB_STORE_FIFO_ARENA_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>

namespace host_stub {

// Not thread-safe.
class FifoArena {
 public:
  // Room for a text of `size` bytes, which stays where it is until it is dropped.
  char* Append(size_t size) {
    if (pieces_.empty() || pieces_.back().size - pieces_.back().used < size) {
      const size_t piece_size = std::max(size, kPieceBytes);
      pieces_.push_back({std::make_unique_for_overwrite<char[]>(piece_size), piece_size, 0, 0});
    }
    Piece& piece = pieces_.back();
    char* const text = piece.bytes.get() + piece.used;
    piece.used += size;
    ++piece.texts;
    return text;
  }

  // There must be one.
  void DropOldest() {
    while (pieces_.front().texts == 0) pieces_.pop_front();
    if (--pieces_.front().texts == 0 && pieces_.size() > 1) pieces_.pop_front();
  }

 private:
  static constexpr size_t kPieceBytes = 1 << 20;

  struct Piece {
    std::unique_ptr<char[]> bytes;
    size_t size;
    size_t used;
    int64_t texts;
  };

  std::deque<Piece> pieces_;
};

}  // namespace host_stub

#endif  // HOST_STUB_STORE_FIFO_ARENA_H_
