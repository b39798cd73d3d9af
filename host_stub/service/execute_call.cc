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

// Needs none.
absl::Status NoMemory() { return absl::Status(absl::StatusCode::kResourceExhausted, ""); }

// Who is told so has no memory either, and may throw.
void TellNoMemory(const ExecuteDone& done) noexcept try {
  done(NoMemory(), ExecuteResponse());
} catch (const std::exception&) {
}

int64_t ToMonotonic(absl::Time deadline) {
  return MonotonicNanoseconds() + absl::ToInt64Nanoseconds(deadline - absl::Now());
}

}  // namespace

std::shared_ptr<ExecuteCall> ExecuteCall::Start(std::shared_ptr<CallEnvironment> environment,
                                                ExecuteRequest request, const Caller& caller,
                                                absl::Time deadline, ExecuteDone done) noexcept {
  std::shared_ptr<ExecuteCall> call;
  try {
    call =
        std::make_shared<ExecuteCall>(std::move(environment), std::move(request), std::move(done));
  } catch (const std::exception&) {
    // Nothing was moved: the allocation comes first.
    TellNoMemory(done);
    return nullptr;
  }
  call->Begin(caller, deadline);
  return call;
}

ExecuteCall::ExecuteCall(std::shared_ptr<CallEnvironment> environment, ExecuteRequest request,
                         ExecuteDone done)
    : environment_(std::move(environment)), request_(std::move(request)), done_(std::move(done)) {
  environment_->bytes_in_flight += static_cast<int64_t>(request_.body().size());
}

ExecuteCall::~ExecuteCall() {
  environment_->bytes_in_flight -= static_cast<int64_t>(request_.body().size());
}

void ExecuteCall::Begin(const Caller& caller, absl::Time deadline) {
  const absl::Time ours = absl::Now() + absl::Milliseconds(environment_->limits.answer_timeout_ms);
  deadline_is_ours_ = ours <= deadline;
  deadline_ = std::min(ours, deadline);
  absl::Status status;
  std::optional<ExecuteResponse> refusal;
  try {
    status = Admit(caller);
    if (status.ok()) refusal = TooLong(request_, environment_->limits);
    if (status.ok() && !refusal.has_value()) status = HandOver();
  } catch (const std::exception&) {
    // The plugin does not have the request: what asks it throws nothing.
    self_.reset();
    status = NoMemory();
  }
  const bool decided = !status.ok() || refusal.has_value();
  if (decided && Close()) Finish(status, std::move(refusal).value_or(ExecuteResponse()));
}

absl::Status ExecuteCall::Admit(const Caller& caller) {
  if (absl::Status status = CheckFields(request_); !status.ok()) return status;
  absl::StatusOr<std::string> peer = EffectivePeer(request_, caller);
  if (!peer.ok()) return peer.status();
  peer_ = *std::move(peer);
  if (deadline_ <= absl::Now()) {
    return absl::DeadlineExceededError("the deadline had passed; nothing was done");
  }
  if (environment_->draining) return absl::UnavailableError("the host is stopping");
  if (environment_->bytes_in_flight > environment_->limits.bytes_in_flight) {
    return absl::UnavailableError("too much is in flight (limit bytes_in_flight); try again later");
  }
  absl::StatusOr<std::shared_ptr<HostedInstance>> instance =
      environment_->FindInstance("instance", request_.instance());
  if (instance.ok()) instance_ = *std::move(instance);
  return instance.status();
}

Request ExecuteCall::MakeRequest() {
  // The plugin may read LRI_BODY_PADDING bytes past the end.
  request_.mutable_body()->reserve(request_.body().size() + LRI_BODY_PADDING);
  if (request_.method().empty()) request_.set_method("POST");
  if (request_.request_id().empty()) {
    request_.set_request_id(absl::StrCat("grpc-", environment_->next_request++));
  }
  path_ = absl::StrCat(*instance_->path_prefix(), request_.instance(), request_.path_remainder());
  headers_.reserve(request_.headers_size());
  for (const Header& header : request_.headers()) {
    const absl::string_view value = absl::StripAsciiWhitespace(header.value());
    headers_.push_back({ToView(header.name()), ToView(value)});
  }
  Request request;
  request.head.method = request_.method();
  request.head.path = path_;
  request.head.remainder = request_.path_remainder();
  request.head.query = request_.query();
  request.head.headers = headers_;
  request.head.peer_address = peer_;
  request.head.request_id = request_.request_id();
  request.head.content_length = request_.body().size();
  request.head.deadline_mono_ns = ToMonotonic(deadline_);
  request.body = request_.body();
  return request;
}

absl::Status ExecuteCall::HandOver() {
  const Request request = MakeRequest();
  self_ = shared_from_this();
  timer_token_ = environment_->timer.Add(deadline_, self_);
  absl::Status status = instance_->Execute(request, this, &handle_);
  // Another one may have taken its place since it was found; nothing was begun.
  while (absl::IsUnavailable(status)) {
    std::shared_ptr<HostedInstance> now = environment_->registry->Find(request_.instance());
    if (now == nullptr || now == instance_) break;
    instance_ = std::move(now);
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

void ExecuteCall::Finish(const absl::Status& status, ExecuteResponse response) {
  environment_->timer.Remove(timer_token_);
  Tell(status, std::move(response));
}

void ExecuteCall::Tell(const absl::Status& status, ExecuteResponse response) noexcept {
  // Moved out, so that what it captured ends with it.
  const ExecuteDone done = std::exchange(done_, nullptr);
  try {
    // A failure goes without a response, so it needs no memory here.
    if (status.ok()) response.set_request_id(request_.request_id());
    done(status, std::move(response));
  } catch (const std::exception&) {
    TellNoMemory(done);
  }
}

void ExecuteCall::OnAnswer(const Answer& answer) {
  if (!Close()) return;
  ExecuteResponse response;
  try {
    Fill(answer, response);
  } catch (const std::exception&) {
    return Finish(NoMemory(), ExecuteResponse());
  }
  Finish(absl::OkStatus(), std::move(response));
}

void ExecuteCall::Fill(const Answer& answer, ExecuteResponse& response) {
  response.set_status(answer.status);
  for (size_t i = 0; i < answer.headers.size(); ++i) {
    Header* header = response.add_headers();
    header->set_name(std::string(answer.headers.name(i)));
    header->set_value(std::string(answer.headers.value(i)));
  }
  response.set_body(answer.body.data(), answer.body.size());
}

void ExecuteCall::OnRequestReleased() {
  // The last owner may be this: nothing of the object is touched after.
  std::shared_ptr<ExecuteCall> self = std::move(self_);
}

void ExecuteCall::Cancel() {
  const unsigned before = state_.fetch_or(kClosed);
  if ((before & kClosed) != 0) return;
  environment_->timer.Remove(timer_token_);
  done_ = nullptr;
  if ((before & kHandedOver) != 0) instance_->Abandon(handle_);
}

void ExecuteCall::Expire() {
  const unsigned before = state_.fetch_or(kClosed);
  if ((before & kClosed) != 0) return;
  if ((before & kHandedOver) != 0) instance_->Abandon(handle_);
  absl::Status status(absl::StatusCode::kDeadlineExceeded, "");
  ExecuteResponse response;
  try {
    if (deadline_is_ours_) {
      response =
          TextAnswer(504, "No answer in time; it is not known whether incidents were created.");
      status = absl::OkStatus();
    } else {
      status = absl::DeadlineExceededError(
          "no answer in time; it is not known whether incidents were created");
    }
  } catch (const std::exception&) {
    // Without the words.
  }
  Tell(status, std::move(response));
}

}  // namespace host_stub
