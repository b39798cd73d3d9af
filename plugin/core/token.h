// The characters of a token, of which names of header fields are made (RFC 9110 section 5.6.2).
#ifndef PLUGIN_CORE_TOKEN_H_
#define PLUGIN_CORE_TOKEN_H_

#include <array>

#include "absl/strings/string_view.h"

namespace webhook::core {

constexpr std::array<bool, 256> TokenCharacters() {
  std::array<bool, 256> set{};
  for (int c = '0'; c <= '9'; ++c) set[c] = true;
  for (int c = 'A'; c <= 'Z'; ++c) set[c] = set[c + 'a' - 'A'] = true;
  for (const unsigned char c :
       {'!', '#', '$', '%', '&', '\'', '*', '+', '-', '.', '^', '_', '`', '|', '~'}) {
    set[c] = true;
  }
  return set;
}

inline constexpr std::array<bool, 256> kTokenCharacters = TokenCharacters();

// False for an empty text.
inline bool IsToken(absl::string_view text) {
  bool good = !text.empty();
#pragma GCC unroll 8
  for (const char c : text) good &= kTokenCharacters[static_cast<unsigned char>(c)];
  return good;
}

}  // namespace webhook::core

#endif  // PLUGIN_CORE_TOKEN_H_
