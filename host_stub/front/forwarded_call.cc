#include "host_stub/front/forwarded_call.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <exception>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "plugin/base/clock.h"

namespace host_stub {

namespace http = webhook::http;
using http::Exchange;
using http::HeaderField;

ForwardedCall::ForwardedCall(Front& front, int thread)
    : front_(front),
      thread_(thread),
      number_(request_id_ + std::snprintf(request_id_, sizeof request_id_, "http-%d-", thread)) {}

void ForwardedCall::SetNumber(uint64_t number) {
  const char* const end = std::to_chars(number_, request_id_ + sizeof request_id_, number).ptr;
  request_.head.request_id = absl::string_view(request_id_, static_cast<size_t>(end - request_id_));
}

http::HeadVerdict ForwardedCall::CheckHead(const InstanceSnapshot::Match& match,
                                           Exchange& exchange) {
  exchange_ = &exchange;
  instance_ = match.entry->instance;
  handle_ = {};
  answered_ = false;
  FillHead(match);
  HeadVerdict verdict;
  absl::Status status = instance_->CheckHead(request_.head, this, &verdict);
  while (absl::IsUnavailable(status) && FindSuccessor()) {
    status = instance_->CheckHead(request_.head, this, &verdict);
  }
  if (status.ok()) {
    if (verdict.refused) return http::HeadVerdict::Answered();
    request_.head_ticket = verdict.ticket;
    return http::HeadVerdict::ReadBody(
        static_cast<int64_t>(std::min<uint64_t>(verdict.body_limit_bytes, INT64_MAX)));
  }
  request_.head_ticket = 0;
  if (absl::IsUnimplemented(status)) return http::HeadVerdict::ReadBody();
  RespondFailure(status.code());
  return http::HeadVerdict::Answered();
}

void ForwardedCall::FillHead(const InstanceSnapshot::Match& match) {
  const webhook::http::RequestHead& head = exchange_->head();
  headers_.clear();
  for (const HeaderField& field : head.fields) {
    headers_.push_back({ToView(field.name), ToView(field.value)});
  }
  request_.head.method = head.method;
  request_.head.path = head.path;
  request_.head.remainder = match.remainder;
  request_.head.query = head.query;
  request_.head.headers = headers_;
  request_.head.peer_address = head.peer;
  request_.head.content_length = head.content_length.value_or(LRI_LENGTH_UNKNOWN);
}

absl::Status ForwardedCall::HandOver() try {
  request_.body = exchange_->body();
  request_.head.deadline_mono_ns =
      base::MonotonicNanoseconds() + front_.answer_timeout_ms_ * 1'000'000;
  absl::Status status = instance_->Execute(request_, this, &handle_);
  // It was replaced while the body was on its way. Nothing was begun, so its successor may serve
  // it.
  while (absl::IsUnavailable(status) && FindSuccessor()) {
    request_.head_ticket = 0;
    status = instance_->Execute(request_, this, &handle_);
  }
  return status;
} catch (const std::exception&) {
  // Memory ran out before the instance had the request.
  return absl::Status(absl::StatusCode::kUnavailable, "");
}

void ForwardedCall::Execute() noexcept {
  const absl::Status status = HandOver();
  // After an OK the call may be over already, and be used for another request.
  if (status.ok()) return;
  RespondFailure(status.code());
  front_.GiveBack(this);
}

bool ForwardedCall::FindSuccessor() {
  const InstanceSnapshot::Match match = front_.InstancesOf(thread_).FindPath(request_.head.path);
  if (match.outcome != InstanceSnapshot::Outcome::kFound || match.entry->instance == instance_)
    return false;
  instance_ = match.entry->instance;
  return true;
}

void ForwardedCall::Abandon() { instance_->Abandon(handle_); }

void ForwardedCall::OnHeadAnswer(const Answer& answer) { Respond(answer); }

void ForwardedCall::OnAnswer(const Answer& answer) {
  // The exchange owns the request's memory, which the plugin still reads.
  if (!answer.request_is_held) Respond(answer);
}

void ForwardedCall::OnRequestReleased() {
  if (!answered_) {
    // Either it was abandoned, and nobody reads this, or its instance was stopped before it
    // answered.
    RespondFailure(absl::StatusCode::kUnavailable);
  }
  front_.GiveBack(this);
}

void ForwardedCall::Respond(const Answer& answer) noexcept {
  absl::string_view content_type;
  answer_headers_.clear();
  try {
    for (size_t i = 0; i < answer.headers.size(); ++i) {
      if (absl::EqualsIgnoreCase(answer.headers.name(i), "Content-Type")) {
        content_type = answer.headers.value(i);
      } else {
        answer_headers_.push_back({answer.headers.name(i), answer.headers.value(i)});
      }
    }
  } catch (const std::exception&) {
    return RespondFailure(absl::StatusCode::kUnavailable);
  }
  answered_ = true;
  http::RespondOrGiveUp(*exchange_, {.status = answer.status,
                                     .content_type = content_type,
                                     .headers = answer_headers_,
                                     .body = answer.body});
}

void ForwardedCall::RespondFailure(absl::StatusCode code) noexcept {
  answered_ = true;
  const bool unavailable =
      code == absl::StatusCode::kUnavailable || code == absl::StatusCode::kResourceExhausted;
  const HeaderField retry_after{"Retry-After", "1"};
  http::RespondOrGiveUp(
      *exchange_, {.status = unavailable ? 503 : 500,
                   .content_type = "text/plain; charset=utf-8",
                   .headers = std::span(&retry_after, unavailable ? 1 : 0),
                   .body = unavailable ? "The instance takes no requests now. Try again later."
                                       : "The instance failed."});
}

}  // namespace host_stub
