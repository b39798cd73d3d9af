// Bytes with the padding that parsers need, for tests. They are in a heap block of their own, so
// that AddressSanitizer sees every read past the padding.
#ifndef PLUGIN_BASE_TESTING_PADDED_TEXT_H_
#define PLUGIN_BASE_TESTING_PADDED_TEXT_H_

#include <cstring>
#include <memory>

#include "absl/strings/string_view.h"

namespace base {

class PaddedText {
 public:
  explicit PaddedText(absl::string_view text)
      : bytes_(std::make_unique<char[]>(text.size() + kPadding)), size_(text.size()) {
    if (size_ != 0) std::memcpy(bytes_.get(), text.data(), size_);
    // Bytes that would complete many texts if a parser took them for a part of the text.
    static constexpr char kHostile[kPadding + 1] =
        "\"}]}]}\"]1234567890,\"a\":1}]]]]}}}}\"\"\"\"}}}}]]]]123456789012345678";
    std::memcpy(bytes_.get() + size_, kHostile, kPadding);
  }

  absl::string_view view() const { return {bytes_.get(), size_}; }

 private:
  static constexpr size_t kPadding = 64;

  std::unique_ptr<char[]> bytes_;
  size_t size_;
};

}  // namespace base

#endif  // PLUGIN_BASE_TESTING_PADDED_TEXT_H_
