#include "host_stub/service/execute_call.h"

#include <algorithm>
#include <exception>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "host_stub/clock/monotonic_clock.h"
#include "host_stub/service/execute_request.h"

namespace host_stub {
namespace {

using ::long_running_integration::v1::ExecuteRequest;
using ::long_running_integration::v1::ExecuteResponse;
using ::long_running_integration::v1::Header;

// Bits of state_.
constexpr unsigned kHandedOver = 1;  // handle_ may be read
constexpr unsigned kClosed = 2;      // the outcome is told, or nobody waits for it

// A smaller one's room is for the next call.
constexpr int64_t kMostKeptBodyBytes = 4'096;

// Needs none.
absl::Status NoMemory() { return absl::Status(absl::StatusCode::kResourceExhausted, ""); }

int64_t ToMonotonic(absl::Time deadline, absl::Time now) {
  return MonotonicNanoseconds() + absl::ToInt64Nanoseconds(deadline - now);
}

}  // namespace

ExecuteCall::ExecuteCall(std::shared_ptr<CallEnvironment> environment)
    : environment_(std::move(environment)) {}

ExecuteCall::~ExecuteCall() = default;

void ExecuteCall::LetGoOfBody() {
  environment_->bytes_in_flight -= counted_bytes_;
  if (counted_bytes_ > kMostKeptBodyBytes) std::string().swap(*mutable_request().mutable_body());
}

void ExecuteCall::Renew() noexcept {
  headers_.clear();
  instance_ = nullptr;
  handle_ = {};
  token_ = {};
  state_ = 0;
}

void ExecuteCall::Begin(const Caller& caller, absl::Time deadline) noexcept {
  counted_bytes_ = static_cast<int64_t>(mutable_request().body().size());
  environment_->bytes_in_flight += counted_bytes_;
  const absl::Time now = absl::Now();
  const absl::Time ours = now + absl::Milliseconds(environment_->limits.answer_timeout_ms);
  deadline_is_ours_ = ours <= deadline;
  deadline_ = std::min(ours, deadline);
  absl::Status status;
  std::optional<ExecuteResponse> refusal;
  try {
    status = Admit(caller, now);
    if (status.ok()) refusal = TooLong(mutable_request(), environment_->limits);
    if (status.ok() && !refusal.has_value()) status = HandOver(now);
  } catch (const std::exception&) {
    // The plugin does not have the request: what asks it throws nothing.
    self_.reset();
    status = NoMemory();
  }
  if (status.ok() && !refusal.has_value()) return;
  LetGoOfBody();
  if (!Close()) return;
  if (refusal.has_value()) mutable_response() = *std::move(refusal);
  Finish(status);
}

absl::Status ExecuteCall::Admit(const Caller& caller, absl::Time now) {
  const ExecuteRequest& request = mutable_request();
  if (absl::Status status = CheckFields(request); !status.ok()) return status;
  absl::StatusOr<std::string> peer = EffectivePeer(request, caller);
  if (!peer.ok()) return peer.status();
  peer_ = *std::move(peer);
  if (deadline_ <= now) {
    return absl::DeadlineExceededError("the deadline had passed; nothing was done");
  }
  if (environment_->draining) return absl::UnavailableError("the host is stopping");
  if (environment_->bytes_in_flight > environment_->limits.bytes_in_flight) {
    return absl::UnavailableError("too much is in flight (limit bytes_in_flight); try again later");
  }
  absl::StatusOr<std::shared_ptr<HostedInstance>> instance =
      environment_->FindInstance("instance", request.instance());
  if (instance.ok()) instance_ = *std::move(instance);
  return instance.status();
}

Request ExecuteCall::MakeRequest(absl::Time now) {
  ExecuteRequest& message = mutable_request();
  // The plugin may read LRI_BODY_PADDING bytes past the end.
  message.mutable_body()->reserve(message.body().size() + LRI_BODY_PADDING);
  if (message.method().empty()) message.set_method("POST");
  if (message.request_id().empty()) {
    message.set_request_id(absl::StrCat("grpc-", environment_->next_request++));
  }
  path_.clear();
  absl::StrAppend(&path_, *instance_->path_prefix(), message.instance(), message.path_remainder());
  headers_.reserve(message.headers_size());
  for (const Header& header : message.headers()) {
    const absl::string_view value = absl::StripAsciiWhitespace(header.value());
    headers_.push_back({ToView(header.name()), ToView(value)});
  }
  Request request;
  request.head.method = message.method();
  request.head.path = path_;
  request.head.remainder = message.path_remainder();
  request.head.query = message.query();
  request.head.headers = headers_;
  request.head.peer_address = peer_;
  request.head.request_id = message.request_id();
  request.head.content_length = message.body().size();
  request.head.deadline_mono_ns = ToMonotonic(deadline_, now);
  request.body = message.body();
  return request;
}

absl::Status ExecuteCall::HandOver(absl::Time now) {
  const Request request = MakeRequest(now);
  self_ = shared_from_this();
  token_ = environment_->calls.Add(deadline_, self_);
  absl::Status status = instance_->Execute(request, this, &handle_);
  // Another one may have taken its place since it was found; nothing was begun.
  while (absl::IsUnavailable(status)) {
    std::shared_ptr<HostedInstance> other =
        environment_->registry->Find(mutable_request().instance());
    if (other == nullptr || other == instance_) break;
    instance_ = std::move(other);
    status = instance_->Execute(request, this, &handle_);
  }
  if (!status.ok()) {
    self_.reset();
    return status;
  }
  // Somebody may have given up before there was a handle to give up by; then it is done here.
  const unsigned before = state_.fetch_or(kHandedOver);
  if ((before & kClosed) != 0) instance_->Abandon(handle_);
  return absl::OkStatus();
}

bool ExecuteCall::Close() { return (state_.fetch_or(kClosed) & kClosed) == 0; }

void ExecuteCall::Finish(const absl::Status& status) {
  environment_->calls.Remove(token_);
  Tell(status);
}

void ExecuteCall::Tell(absl::Status status) noexcept {
  try {
    // A failure goes without a response, so it needs no memory here.
    if (status.ok()) mutable_response().set_request_id(mutable_request().request_id());
  } catch (const std::exception&) {
    status = NoMemory();
  }
  OnOutcome(status);
}

void ExecuteCall::OnAnswer(const Answer& answer) {
  if (!Close()) return;
  try {
    Fill(answer);
  } catch (const std::exception&) {
    return Finish(NoMemory());
  }
  Finish(absl::OkStatus());
}

void ExecuteCall::Fill(const Answer& answer) {
  ExecuteResponse& response = mutable_response();
  response.set_status(answer.status);
  for (size_t i = 0; i < answer.headers.size(); ++i) {
    Header* header = response.add_headers();
    header->set_name(answer.headers.name(i).data(), answer.headers.name(i).size());
    header->set_value(answer.headers.value(i).data(), answer.headers.value(i).size());
  }
  response.set_body(answer.body.data(), answer.body.size());
}

void ExecuteCall::OnRequestReleased() {
  // The last owner may be this: nothing of the object is touched after.
  const std::shared_ptr<ExecuteCall> self = std::move(self_);
  LetGoOfBody();
}

bool ExecuteCall::GiveUp() {
  const unsigned before = state_.fetch_or(kClosed);
  if ((before & kClosed) != 0) return false;
  if ((before & kHandedOver) != 0) instance_->Abandon(handle_);
  return true;
}

bool ExecuteCall::Cancel() {
  if (!GiveUp()) return false;
  environment_->calls.Remove(token_);
  return true;
}

void ExecuteCall::OnDeadline() {
  if (!GiveUp()) return;
  absl::Status status(absl::StatusCode::kDeadlineExceeded, "");
  try {
    if (deadline_is_ours_) {
      mutable_response() =
          TextAnswer(504, "No answer in time; it is not known whether incidents were created.");
      status = absl::OkStatus();
    } else {
      status = absl::DeadlineExceededError(
          "no answer in time; it is not known whether incidents were created");
    }
  } catch (const std::exception&) {
    // Without the words.
  }
  Tell(std::move(status));
}

void ExecuteCall::OnCutOff() {
  if (!GiveUp()) return;
  environment_->calls.Remove(token_);
  Tell(absl::UnavailableError(
      "the host is stopping; it is not known whether incidents were created"));
}

}  // namespace host_stub
