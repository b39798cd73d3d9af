#include "host_stub/engine/abi_answer.h"

#include <cstdint>
#include <span>

namespace host_stub {
namespace {

// More than this is no answer but a mistake in a count.
constexpr size_t kMostHeaders = 256;

struct CharacterSet {
  bool has[256] = {};

  // True for an empty text.
  bool HasAll(absl::string_view text) const {
    bool good = true;
#pragma GCC unroll 8
    for (const char c : text) good &= has[static_cast<unsigned char>(c)];
    return good;
  }
};

constexpr CharacterSet TokenCharacters() {
  CharacterSet set;
  for (int c = '0'; c <= '9'; ++c) set.has[c] = true;
  for (int c = 'a'; c <= 'z'; ++c) set.has[c] = true;
  for (int c = 'A'; c <= 'Z'; ++c) set.has[c] = true;
  for (char c : {'!', '#', '$', '%', '&', '\'', '*', '+', '-', '.', '^', '_', '`', '|', '~'}) {
    set.has[static_cast<unsigned char>(c)] = true;
  }
  return set;
}

constexpr CharacterSet ValueCharacters() {
  CharacterSet set;
  for (int c = 0x20; c < 256; ++c) set.has[c] = c != 0x7F;
  set.has['\t'] = true;
  return set;
}

constexpr CharacterSet kTokenCharacters = TokenCharacters();
constexpr CharacterSet kValueCharacters = ValueCharacters();

bool IsToken(absl::string_view text) { return !text.empty() && kTokenCharacters.HasAll(text); }

bool IsReadable(const lri_view& view) { return view.data != nullptr || view.size == 0; }

}  // namespace

const char* JudgeAnswer(const lri_answer* given, Answer* answer) {
  if (given == nullptr || !LRI_HAS(given, body)) return "it is missing or too short";
  if (given->status < 200 || given->status > 599) return "its status is not from 200 to 599";
  if (!IsReadable(given->body)) return "its body is NULL with a size";
  const lri_pairs& headers = given->headers;
  if (headers.count > kMostHeaders) return "it has too many headers";
  if (headers.count > 0 && (headers.data == nullptr || headers.stride < sizeof(lri_pair))) {
    return "its headers are NULL or overlap";
  }
  const PairList list(headers);
  for (size_t i = 0; i < list.size(); ++i) {
    if (!IsToken(list.name(i))) return "the name of a header is no token";
    if (!kValueCharacters.HasAll(list.value(i)))
      return "the value of a header has a control character";
  }
  answer->status = given->status;
  answer->headers = list;
  answer->body = ToStringView(given->body);
  return nullptr;
}

PlainAnswer::PlainAnswer(int status, absl::string_view text)
    : headers_{{ToView("Content-Type"), ToView("text/plain; charset=utf-8")},
               {ToView("Retry-After"), ToView("1")}} {
  answer_.status = status;
  answer_.headers =
      PairList(std::span<const lri_pair>(headers_).first(status == 503 ? size_t{2} : size_t{1}));
  answer_.body = text;
}

}  // namespace host_stub
