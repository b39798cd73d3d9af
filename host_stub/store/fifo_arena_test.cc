#include "host_stub/store/fifo_arena.h"

#include <gtest/gtest.h>

#include <cstring>
#include <deque>
#include <string>

namespace host_stub {
namespace {

TEST(FifoArenaTest, TextsStayAsTheyAreUntilTheyAreDropped) {
  FifoArena arena;
  struct Kept {
    const char* at;
    std::string text;
  };
  std::deque<Kept> kept;
  for (int i = 0; i < 3'000; ++i) {
    // From nothing to more than a piece.
    const size_t size = i % 500 == 499 ? (2 << 20) : static_cast<size_t>(i * 7 % 5'000);
    std::string text(size, static_cast<char>('a' + i % 26));
    char* const at = arena.Append(size);
    std::memcpy(at, text.data(), size);
    kept.push_back({at, std::move(text)});
    if (i % 3 == 0) continue;
    const Kept& oldest = kept.front();
    EXPECT_EQ(std::memcmp(oldest.at, oldest.text.data(), oldest.text.size()), 0) << "text " << i;
    arena.DropOldest();
    kept.pop_front();
  }
  while (!kept.empty()) {
    const Kept& oldest = kept.front();
    EXPECT_EQ(std::memcmp(oldest.at, oldest.text.data(), oldest.text.size()), 0);
    arena.DropOldest();
    kept.pop_front();
  }
  std::memset(arena.Append(8), 'z', 8);
}

}  // namespace
}  // namespace host_stub
