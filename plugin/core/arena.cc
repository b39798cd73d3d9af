#include "plugin/core/arena.h"

#include <algorithm>
#include <cstring>

namespace webhook::core {

char* Arena::Allocate(size_t size) {
  if (chunks_.empty() || chunks_.back().size - used_ < size) {
    const size_t bytes = std::max(size, kChunkBytes);
    chunks_.push_back({std::make_unique_for_overwrite<char[]>(bytes), bytes});
    used_ = 0;
  }
  char* const result = chunks_.back().bytes.get() + used_;
  used_ += size;
  return result;
}

absl::string_view Arena::Copy(absl::string_view text) {
  if (text.empty()) return {};
  char* const copy = Allocate(text.size());
  std::memcpy(copy, text.data(), text.size());
  return {copy, text.size()};
}

void Arena::Clear() {
  if (chunks_.size() > 1) chunks_.resize(1);
  if (!chunks_.empty() && chunks_.front().size > kChunkBytes) chunks_.clear();
  used_ = 0;
}

}  // namespace webhook::core
