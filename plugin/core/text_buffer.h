// A text that grows at its end.
#ifndef PLUGIN_CORE_TEXT_BUFFER_H_
#define PLUGIN_CORE_TEXT_BUFFER_H_

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <utility>

#include "absl/strings/string_view.h"

namespace webhook::core {

// Unlike std::string it gives out room that it has not filled before, so that a writer that knows
// its worst case looks for room once and then writes. Keeps its memory from text to text. Not
// thread-safe.
class TextBuffer {
 public:
  TextBuffer() = default;
  TextBuffer(const TextBuffer&) = delete;
  TextBuffer& operator=(const TextBuffer&) = delete;

  absl::string_view text() const { return {bytes_.get(), size_}; }
  size_t size() const { return size_; }
  void Clear() { size_ = 0; }

  // Room for `most` bytes behind the text. What is written there joins the text with EndAt.
  char* Room(size_t most) {
    if (capacity_ - size_ < most) Grow(size_ + most);
    return bytes_.get() + size_;
  }
  void EndAt(const char* end) { size_ = static_cast<size_t>(end - bytes_.get()); }

  void Append(absl::string_view text) { EndAt(Write(text, Room(text.size()))); }

  // Copies it to where there is room; returns the end.
  static char* Write(absl::string_view text, char* out) {
    if (!text.empty()) std::memcpy(out, text.data(), text.size());
    return out + text.size();
  }

  // Gives the memory back, and the text with it, where there is more than that.
  void ReleaseAbove(size_t kept_bytes) {
    if (capacity_ <= kept_bytes) return;
    bytes_.reset();
    capacity_ = size_ = 0;
  }

 private:
  void Grow(size_t least) {
    const size_t capacity = std::max(least, 2 * capacity_);
    auto bytes = std::make_unique_for_overwrite<char[]>(capacity);
    if (size_ != 0) std::memcpy(bytes.get(), bytes_.get(), size_);
    bytes_ = std::move(bytes);
    capacity_ = capacity;
  }

  std::unique_ptr<char[]> bytes_;
  size_t capacity_ = 0;
  size_t size_ = 0;
};

}  // namespace webhook::core

#endif  // PLUGIN_CORE_TEXT_BUFFER_H_
