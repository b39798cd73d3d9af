#include "plugin/runtime/listen_handler.h"

#include <algorithm>

#include "absl/container/inlined_vector.h"
#include "absl/strings/match.h"
#include "plugin/base/clock.h"
#include "plugin/runtime/instance.h"

namespace webhook::runtime {
namespace {

// An exchange's head as the ABI's struct. It views the exchange, and is not copyable because it
// points into itself.
class AbiHead {
 public:
  explicit AbiHead(const http::Exchange& exchange, int64_t deadline_mono_ns = 0) {
    const http::RequestHead& head = exchange.head();
    for (const http::HeaderField& field : head.fields) {
      pairs_.push_back({ToView(field.name), ToView(field.value)});
    }
    head_.struct_size = sizeof head_;
    head_.method = ToView(head.method);
    head_.path = ToView(head.path);
    // A listen port has one instance, so its path is `/`; anything else follows a name.
    head_.remainder = head.path == "/" ? lri_view{} : ToView(head.path);
    head_.query = ToView(head.query);
    head_.headers = {pairs_.data(), pairs_.size(), sizeof(lri_pair)};
    head_.peer_address = ToView(head.peer);
    head_.content_length = head.content_length.value_or(LRI_LENGTH_UNKNOWN);
    head_.deadline_mono_ns = deadline_mono_ns;
  }
  AbiHead(const AbiHead&) = delete;
  AbiHead& operator=(const AbiHead&) = delete;

  const lri_request_head& abi() const { return head_; }

 private:
  absl::InlinedVector<lri_pair, 32> pairs_;
  lri_request_head head_{};
};

// At most as many as inline: an Answer has three headers.
void Respond(http::Exchange& exchange, const lri_answer& answer) {
  absl::string_view content_type;
  absl::InlinedVector<http::HeaderField, 4> fields;
  for (size_t i = 0; i < answer.headers.count; ++i) {
    const lri_pair& pair = At(answer.headers, i);
    if (absl::EqualsIgnoreCase(FromView(pair.name), "Content-Type")) {
      content_type = FromView(pair.value);
    } else {
      fields.push_back({FromView(pair.name), FromView(pair.value)});
    }
  }
  http::RespondOrGiveUp(exchange, {.status = answer.status,
                                   .content_type = content_type,
                                   .headers = fields,
                                   .body = FromView(answer.body)});
}

}  // namespace

void ListenHandler::RespondUnavailable(http::Exchange& exchange) {
  answers_.Add(503);
  Respond(exchange, Answer(503, kTextPlain, "The instance takes no requests now. Try again later.")
                        .Add("Retry-After", "1")
                        .abi());
}

http::HeadVerdict ListenHandler::OnHead(http::Exchange& exchange) {
  lri_head_verdict verdict{};
  verdict.struct_size = sizeof verdict;
  const AbiHead head(exchange);
  const auto give = [&](const lri_answer& answer) {
    answers_.Add(answer.status);
    Respond(exchange, answer);
  };
  const int32_t code = instance_.ValidateHead(head.abi(), give, verdict);
  if (code != LRI_OK) RespondUnavailable(exchange);
  if (code != LRI_OK || verdict.refused != 0) return http::HeadVerdict::Answered();
  exchange.set_ticket(verdict.ticket);
  return http::HeadVerdict::ReadBody(
      static_cast<int64_t>(std::min<uint64_t>(verdict.body_limit_bytes, INT64_MAX)));
}

void ListenHandler::OnRequest(http::Exchange& exchange) {
  const AbiHead head(exchange,
                     base::MonotonicNanoseconds() + limits_.answer_timeout_ms * 1'000'000);
  const lri_request request{.struct_size = sizeof request,
                            .reserved = 0,
                            .call = reinterpret_cast<lri_call*>(&exchange),
                            .head = &head.abi(),
                            .body = ToView(exchange.body()),
                            .head_ticket = exchange.ticket()};
  const int32_t code = instance_.Take(
      request,
      [](const Host&, lri_call* call, const lri_answer& answer) {
        Respond(*reinterpret_cast<http::Exchange*>(call), answer);
      },
      &answers_);
  if (code != LRI_OK) RespondUnavailable(exchange);
}

}  // namespace webhook::runtime
