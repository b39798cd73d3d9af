#include "host_stub/engine/abi_answer.h"

#include <cstdint>
#include <span>

#include "host_stub/engine/character_set.h"

namespace host_stub {
namespace {

// More than this is no answer but a mistake in a count.
constexpr size_t kMostHeaders = 256;

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
    if (!kHeaderValueCharacters.HasAll(list.value(i)))
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
