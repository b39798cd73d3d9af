#include "plugin/runtime/listen_handler.h"

#include <algorithm>

#include "absl/container/inlined_vector.h"
#include "absl/strings/match.h"
#include "plugin/base/clock.h"
#include "plugin/http/report.h"
#include "plugin/runtime/instance.h"

namespace webhook::runtime {
namespace {

constexpr absl::string_view kIdPrefix = "listen";

// An exchange's head as the ABI's struct. It views the exchange, and is not copyable because it
// points into itself.
class AbiHead {
 public:
  explicit AbiHead(const http::Exchange& exchange, int64_t deadline_mono_ns = 0)
      : request_id_(kIdPrefix, exchange) {
    const http::RequestHead& head = exchange.head();
    for (const http::HeaderField& field : head.fields) {
      pairs_.push_back({ToView(field.name), ToView(field.value)});
    }
    head_.struct_size = sizeof head_;
    head_.peer_flags = head.peer_is_doubtful ? LRI_PEER_DOUBTFUL : 0;
    head_.method = ToView(head.method);
    head_.path = ToView(head.path);
    // A listen port has one instance, so its path is `/`; anything else follows a name.
    head_.remainder = head.path == "/" ? lri_view{} : ToView(head.path);
    head_.query = ToView(head.query);
    head_.headers = {pairs_.data(), pairs_.size(), sizeof(lri_pair)};
    head_.peer_address = ToView(head.peer);
    head_.request_id = ToView(request_id_.text());
    head_.content_length = head.content_length.value_or(LRI_LENGTH_UNKNOWN);
    head_.deadline_mono_ns = deadline_mono_ns;
  }
  AbiHead(const AbiHead&) = delete;
  AbiHead& operator=(const AbiHead&) = delete;

  const lri_request_head& abi() const { return head_; }

 private:
  const http::RequestId request_id_;
  absl::InlinedVector<lri_pair, 32> pairs_;
  lri_request_head head_{};
};

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
                                   .body = FromView(answer.body),
                                   .reason = static_cast<lri_reason>(answer.reason),
                                   .detail = FromView(answer.detail)});
}

void RespondUnavailable(http::Exchange& exchange) {
  Respond(exchange, Answer(503, kTextPlain, "The instance takes no requests now. Try again later.")
                        .Add("Retry-After", "1")
                        .Because(LRI_REASON_OVERLOAD, "the instance takes no requests now")
                        .abi());
}

}  // namespace

http::HeadVerdict ListenHandler::OnHead(http::Exchange& exchange) {
  lri_head_verdict verdict{};
  verdict.struct_size = sizeof verdict;
  const AbiHead head(exchange);
  const auto give = [&](const lri_answer& answer) { Respond(exchange, answer); };
  const int32_t code = instance_.ValidateHead(LRI_DOOR_LISTEN, head.abi(), give, verdict);
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
  const int32_t code = instance_.Take(LRI_DOOR_LISTEN, request,
                                      [](const Host&, lri_call* call, const lri_answer& answer) {
                                        Respond(*reinterpret_cast<http::Exchange*>(call), answer);
                                      });
  if (code != LRI_OK) RespondUnavailable(exchange);
}

void ListenHandler::OnAnswered(const http::Answered& answered) noexcept {
  answers_.Add(answered.status);
  if (!host_.wants_answered(LRI_DOOR_LISTEN) && answered.reason != LRI_REASON_ANSWERED) {
    instance_.LogRefusal(answered);
  }
  if (!host_.wants_answered(LRI_DOOR_LISTEN)) return;
  host_.OnAnswered(http::Report(LRI_DOOR_LISTEN, host_instance_, answered, kIdPrefix).abi());
}

}  // namespace webhook::runtime
