// Memory for the texts of a request, which is used again for the next one.
#ifndef PLUGIN_CORE_TEXT_MEMORY_H_
#define PLUGIN_CORE_TEXT_MEMORY_H_

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace webhook::core {

// Holds many texts, which stay where they are until Clear. Not thread-safe.
class Arena {
 public:
  // `size` writable bytes, uninitialised.
  char* Allocate(size_t size) {
    if (chunks_.empty() || chunks_.back().size - used_ < size) AddChunk(size);
    char* const result = chunks_.back().bytes.get() + used_;
    used_ += size;
    return result;
  }

  // Gives the last `unused` bytes of the latest Allocate back.
  void GiveBack(size_t unused) { used_ -= unused; }

  absl::string_view Copy(absl::string_view text) {
    if (text.empty()) return {};
    char* const copy = Allocate(text.size());
    std::memcpy(copy, text.data(), text.size());
    return {copy, text.size()};
  }

  // Of all chunks but the first.
  size_t bytes() const {
    size_t bytes = 0;
    for (size_t i = 1; i < chunks_.size(); ++i) bytes += chunks_[i].size;
    return bytes;
  }

  // Ends all texts. A first chunk of ordinary size is kept for the next request.
  void Clear() {
    if (chunks_.size() > 1) chunks_.resize(1);
    if (!chunks_.empty() && chunks_.front().size > kChunkBytes) chunks_.clear();
    used_ = 0;
  }

 private:
  static constexpr size_t kChunkBytes = 4096;
  struct Chunk {
    std::unique_ptr<char[]> bytes;
    size_t size;
  };

  void AddChunk(size_t least) {
    const size_t bytes = std::max(least, kChunkBytes);
    chunks_.push_back({std::make_unique_for_overwrite<char[]>(bytes), bytes});
    used_ = 0;
  }

  std::vector<Chunk> chunks_;
  size_t used_ = 0;  // of the last chunk
};

// One text that grows at its end. Unlike std::string it gives out room without filling it first, so
// that a writer that knows its worst case asks for room once and then writes. Keeps its memory from
// text to text. Not thread-safe.
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

  // Frees the memory, and ends the text with it, where it is more than that.
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

#endif  // PLUGIN_CORE_TEXT_MEMORY_H_
