#include "plugin/runtime/head_check.h"

#include "plugin/core/texts.h"
#include "plugin/runtime/answers.h"
#include "plugin/runtime/host.h"

namespace webhook::runtime {

HeaderViews ToHeaderViews(const lri_pairs& pairs) {
  HeaderViews views;
  views.reserve(pairs.count);
  for (size_t i = 0; i < pairs.count; ++i) {
    const lri_pair& pair = At(pairs, i);
    views.push_back({FromView(pair.name), FromView(pair.value)});
  }
  return views;
}

HeadRefusal CheckHead(const lri_request_head& head, std::span<const core::HeaderView> headers,
                      const Configuration& configuration, const Limits& limits) {
  const absl::string_view remainder = FromView(head.remainder);
  if (!remainder.empty() && remainder != "/") return HeadRefusal::kNotFound;
  if (FromView(head.method) != "POST") return HeadRefusal::kMethodNotAllowed;
  if (configuration.credentials.Check(headers) != core::CredentialCheck::kAccepted) {
    return HeadRefusal::kUnauthorized;
  }
  if (head.content_length != LRI_LENGTH_UNKNOWN &&
      head.content_length > static_cast<uint64_t>(limits.body_bytes)) {
    return HeadRefusal::kBodyTooLarge;
  }
  return HeadRefusal::kNone;
}

void AnswerRefusal(HeadRefusal refusal, const Configuration& configuration, lri_answer_sink sink,
                   void* sink_context) {
  switch (refusal) {
    case HeadRefusal::kNotFound:
      return sink(sink_context, &Answer(404, kTextPlain, "Not found.").abi());
    case HeadRefusal::kMethodNotAllowed:
      return sink(
          sink_context,
          &Answer(405, kTextPlain, "Only POST creates incidents.").Add("Allow", "POST").abi());
    case HeadRefusal::kUnauthorized:
      return sink(sink_context, &Answer(401, kTextPlain, core::kAuthorizationFailed)
                                     .Add("WWW-Authenticate", configuration.credentials.challenge())
                                     .abi());
    case HeadRefusal::kBodyTooLarge:
      return sink(sink_context,
                  &Answer(413, kTextPlain, "The body is longer than the limit body_bytes.").abi());
    case HeadRefusal::kNone:
      return;
  }
}

}  // namespace webhook::runtime
