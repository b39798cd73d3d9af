#include "host_stub/service/execute_call.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "host_stub/service/readable.h"
#include "plugin/base/characters.h"
#include "plugin/base/clock.h"
#include "plugin/base/counted.h"
#include "plugin/base/trace_parent.h"
#include "plugin/http/report.h"

namespace host_stub {
namespace {

using ::long_running_integration::v1::ExecuteRequest;
using ::long_running_integration::v1::ExecuteResponse;
using ::long_running_integration::v1::Header;

constexpr size_t kRequestIdBytes = 64;
constexpr size_t kMethodBytes = 64;

// Bits of state_.
constexpr unsigned kHandedOver = 1;  // handle_ may be read
constexpr unsigned kClosed = 2;      // the outcome is told, or nobody waits for it

// The memory of a body up to this size is kept for the next call.
constexpr int64_t kMostKeptBodyBytes = 4'096;

constexpr base::CharacterSet kTargetCharacters =
    base::CharacterSet::Of([](int c) { return c > 0x20 && c < 0x7F && c != '#'; });
constexpr base::CharacterSet kIdCharacters = base::CharacterSet::Of(
    [](int c) { return base::IsAlphanumeric(c) || base::IsOneOf(c, "._-"); });

// Why a call itself failed.
lri_reason ReasonOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
      return LRI_REASON_BAD_REQUEST;
    case absl::StatusCode::kNotFound:
      return LRI_REASON_UNKNOWN_PATH;
    case absl::StatusCode::kDeadlineExceeded:
      return LRI_REASON_ANSWER_TIMEOUT;
    case absl::StatusCode::kUnavailable:
      return LRI_REASON_OVERLOAD;
    case absl::StatusCode::kResourceExhausted:
      return LRI_REASON_MEMORY;
    default:
      return LRI_REASON_OTHER;
  }
}

// What HTTP would answer.
int HttpStatusOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
      return 400;
    case absl::StatusCode::kPermissionDenied:
      return 403;
    case absl::StatusCode::kNotFound:
      return 404;
    case absl::StatusCode::kDeadlineExceeded:
      return 504;
    case absl::StatusCode::kInternal:
      return 500;
    default:
      return 503;
  }
}

// An answer with one line of text.
ExecuteResponse TextAnswer(int status, const std::string& line) {
  ExecuteResponse response;
  response.set_status(status);
  Header* type = response.add_headers();
  type->set_name("Content-Type");
  type->set_value("text/plain; charset=utf-8");
  response.set_body(line);
  return response;
}

}  // namespace

absl::Status CheckFields(const ExecuteRequest& request) {
  if (absl::Status status = CheckReadable(request); !status.ok()) return status;
  if (absl::Status status = CheckName("instance", request.instance()); !status.ok()) return status;
  if (!request.method().empty() &&
      (!base::IsToken(request.method()) || request.method().size() > kMethodBytes)) {
    return FieldFault("method", "must be an HTTP method such as POST");
  }
  const std::string& remainder = request.path_remainder();
  if (!remainder.empty() && (remainder[0] != '/' || absl::StrContains(remainder, '?') ||
                             !kTargetCharacters.HasAll(remainder))) {
    return FieldFault("path_remainder", "must begin with '/' and be percent-encoded");
  }
  if (!kTargetCharacters.HasAll(request.query()))
    return FieldFault("query", "must be percent-encoded");
  for (int i = 0; i < request.headers_size(); ++i) {
    const Header& header = request.headers(i);
    if (!base::IsToken(header.name())) {
      return FieldFault(absl::StrCat("headers[", i, "].name"),
                        "must be one or more of the characters A-Z a-z 0-9 !#$%&'*+-.^_`|~");
    }
    if (!base::IsFieldValue(header.value())) {
      return FieldFault(absl::StrCat("headers[", i, "].value"),
                        "must not hold line breaks or other control characters");
    }
  }
  if (request.request_id().size() > kRequestIdBytes ||
      !kIdCharacters.HasAll(request.request_id())) {
    return FieldFault("request_id", "must be at most 64 of the characters A-Z a-z 0-9 . _ -");
  }
  return absl::OkStatus();
}

std::optional<ExecuteResponse> TooLong(const ExecuteRequest& request,
                                       const webhook::Limits& limits) {
  const size_t target = request.path_remainder().size() + request.query().size();
  if (target > static_cast<size_t>(limits.request_line_bytes)) {
    return TextAnswer(414, absl::StrCat("The request line is longer than ",
                                        limits.request_line_bytes, " bytes."));
  }
  if (request.headers_size() > limits.header_fields) {
    return TextAnswer(431,
                      absl::StrCat("The request has more than ",
                                   base::Counted(limits.header_fields, "header", "headers"), "."));
  }
  size_t section = 0;
  // As in HTTP/1.1: name, colon, space, value, line break.
  for (const Header& header : request.headers()) {
    section += header.name().size() + header.value().size() + 4;
  }
  if (section > static_cast<size_t>(limits.header_section_bytes)) {
    return TextAnswer(
        431, absl::StrCat("The headers are longer than ", limits.header_section_bytes, " bytes."));
  }
  return std::nullopt;
}

absl::StatusOr<std::string> EffectivePeer(const ExecuteRequest& request, const Caller& caller) {
  if (!caller.trusted || request.peer_address().empty()) return caller.address;
  if (request.peer_address() != "unix" && !IsIpAddress(request.peer_address())) {
    return FieldFault("peer_address", "must be an IP address without a port, or \"unix\"");
  }
  return request.peer_address();
}

void ExecuteCall::ReleaseBody() {
  server_->bytes_in_flight -= counted_bytes_;
  if (counted_bytes_ > kMostKeptBodyBytes) std::string().swap(*mutable_request().mutable_body());
}

void ExecuteCall::Renew() noexcept {
  headers_.clear();
  entry_ = nullptr;
  counted_by_ = nullptr;
  handle_ = {};
  token_ = {};
  reason_ = LRI_REASON_ANSWERED;
  detail_.clear();
  is_readable_ = false;
  peer_.clear();
  path_.clear();
  state_ = 0;
}

void ExecuteCall::Begin(const Caller& caller, absl::Time deadline) noexcept {
  counted_bytes_ = static_cast<int64_t>(mutable_request().body().size());
  server_->bytes_in_flight += counted_bytes_;
  begun_ns_ = base::MonotonicNanoseconds();
  const absl::Time now = absl::Now();
  const absl::Time ours = now + absl::Milliseconds(server_->limits.answer_timeout_ms);
  deadline_is_ours_ = ours <= deadline;
  deadline_ = std::min(ours, deadline);
  std::optional<ExecuteResponse> refusal;
  absl::Status status = GuardMemory([&] {
    absl::Status admitted = Admit(caller, now);
    if (admitted.ok()) refusal = TooLong(mutable_request(), server_->limits);
    return admitted.ok() && !refusal.has_value() ? HandOver(now) : admitted;
  });
  if (status.ok() && !refusal.has_value()) return;
  // The plugin does not have the request: the functions that ask it throw nothing.
  self_.reset();
  ReleaseBody();
  if (!GiveUp()) return;
  server_->calls.Remove(token_);
  if (refusal.has_value()) {
    reason_ = refusal->status() == 414 ? LRI_REASON_TARGET_TOO_LONG : LRI_REASON_HEADER_TOO_LARGE;
    mutable_response() = *std::move(refusal);
    detail_ = mutable_response().body();
  }
  Tell(std::move(status));
}

absl::Status ExecuteCall::Admit(const Caller& caller, absl::Time now) {
  ExecuteRequest& request = mutable_request();
  peer_ = caller.address;
  if (absl::Status status = CheckFields(request); !status.ok()) return status;
  is_readable_ = true;
  // Also for what is refused before the plugin has it.
  if (request.request_id().empty()) {
    request.set_request_id(absl::StrCat("grpc-", server_->next_request++));
  }
  absl::StatusOr<std::string> peer = EffectivePeer(request, caller);
  if (!peer.ok()) return peer.status();
  peer_ = *std::move(peer);
  if (deadline_ <= now) {
    return absl::DeadlineExceededError("the deadline had passed; nothing was done");
  }
  if (server_->draining) {
    reason_ = LRI_REASON_STOPPING;
    return absl::UnavailableError("the host is stopping");
  }
  if (server_->bytes_in_flight > server_->limits.bytes_in_flight) {
    reason_ = LRI_REASON_MEMORY;
    return absl::UnavailableError("too much is in flight (limit bytes_in_flight); try again later");
  }
  absl::StatusOr<std::shared_ptr<const InstanceEntry>> entry =
      server_->FindInstance(request.instance());
  if (!entry.ok()) return entry.status();
  from_outside_ = !caller.is_owner();
  if (from_outside_ && !(*entry)->closed.empty()) {
    reason_ = (*entry)->closed_reason;
    return absl::PermissionDeniedError((*entry)->closed);
  }
  entry_ = *std::move(entry);
  counted_by_ = entry_->instance;
  return absl::OkStatus();
}

Request ExecuteCall::MakeRequest(absl::Time now) {
  ExecuteRequest& message = mutable_request();
  // The plugin may read LRI_BODY_PADDING bytes beyond the end.
  message.mutable_body()->reserve(message.body().size() + LRI_BODY_PADDING);
  if (message.method().empty()) message.set_method("POST");
  path_.clear();
  absl::StrAppend(&path_, entry_->path_prefix, message.instance(), message.path_remainder());
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
  request.head.deadline_mono_ns =
      base::MonotonicNanoseconds() + absl::ToInt64Nanoseconds(deadline_ - now);
  request.body = message.body();
  return request;
}

absl::Status ExecuteCall::HandOver(absl::Time now) {
  const Request request = MakeRequest(now);
  self_ = shared_from_this();
  token_ = server_->calls.Add(deadline_, self_);
  absl::Status status = entry_->instance->Execute(request, this, &handle_);
  // Another instance may have taken its place since it was found. Nothing was begun.
  while (absl::IsUnavailable(status)) {
    auto other = server_->instances->Find(mutable_request().instance());
    if (other == nullptr || other->instance == nullptr) break;
    if (other->instance == entry_->instance || (from_outside_ && !other->closed.empty())) break;
    entry_ = std::move(other);
    status = entry_->instance->Execute(request, this, &handle_);
  }
  if (!status.ok()) return status;
  // If the call was given up before its handle was known, the plugin is told here.
  const unsigned before = state_.fetch_or(kHandedOver);
  if ((before & kClosed) != 0) entry_->instance->Abandon(handle_);
  return absl::OkStatus();
}

bool ExecuteCall::GiveUp() {
  const unsigned before = state_.fetch_or(kClosed);
  if ((before & kClosed) != 0) return false;
  if ((before & kHandedOver) != 0) entry_->instance->Abandon(handle_);
  return true;
}

void ExecuteCall::Tell(absl::Status status) {
  if (status.ok()) {
    Report(mutable_response().status(), reason_, detail_);
  } else {
    // A call that the plugin does not have is refused as HTTP would refuse it; of another one it is
    // not known what became of it.
    Report((state_ & kHandedOver) == 0 ? HttpStatusOf(status) : 0,
           reason_ == LRI_REASON_ANSWERED ? ReasonOf(status) : reason_, status.message());
  }
  // A failure has no response, so this needs no memory then.
  if (status.ok()) {
    status = GuardMemory([this] {
      mutable_response().set_request_id(mutable_request().request_id());
      return absl::OkStatus();
    });
  }
  OnOutcome(status);
}

void ExecuteCall::Report(int status, int32_t reason, absl::string_view detail) {
  const ExecuteRequest& request = mutable_request();
  webhook::http::Report report(LRI_DOOR_GRPC, nullptr, path_);
  lri_answered& answered = report.abi();
  if (is_readable_) {
    for (const Header& header : request.headers()) report.AddHeader(header.name(), header.value());
    answered.request_id = ToView(request.request_id());
    answered.method = request.method().empty() ? ToView("POST") : ToView(request.method());
  }
  const Traffic* const traffic = server_->traffic.get();
  const bool is_shown =
      reason != LRI_REASON_ANSWERED || (traffic != nullptr && traffic->access_log() != nullptr);
  if (answered.trace_id.size == 0 && is_shown) {
    GuardMemory([&] {
      answered.trace_id = ToView(base::TraceIdOf(trace_parent()));
      return absl::OkStatus();
    }).IgnoreError();
  }
  answered.peer_address = ToView(peer_);
  answered.status = status;
  answered.reason = reason;
  answered.detail = ToView(detail);
  answered.bytes_received = static_cast<uint64_t>(counted_bytes_);
  answered.bytes_sent = status == 0 ? 0 : mutable_response().body().size();
  answered.duration_ns = base::MonotonicNanoseconds() - begun_ns_;
  if (counted_by_ != nullptr) {
    counted_by_->OnAnswered(answered);
  } else if (server_->traffic != nullptr) {
    server_->traffic->OnAnswered("", nullptr, answered);
  }
}

void ExecuteCall::OnAnswer(const Answer& answer) noexcept {
  if ((state_.fetch_or(kClosed) & kClosed) != 0) return;
  absl::Status status = GuardMemory([&] { return Fill(answer); });
  server_->calls.Remove(token_);
  Tell(std::move(status));
}

absl::Status ExecuteCall::Fill(const Answer& answer) {
  reason_ = answer.reason;
  detail_.assign(answer.detail.data(), answer.detail.size());
  ExecuteResponse& response = mutable_response();
  response.set_status(answer.status);
  for (size_t i = 0; i < answer.headers.size(); ++i) {
    Header* header = response.add_headers();
    header->set_name(answer.headers.name(i).data(), answer.headers.name(i).size());
    header->set_value(answer.headers.value(i).data(), answer.headers.value(i).size());
  }
  response.set_body(answer.body.data(), answer.body.size());
  return absl::OkStatus();
}

void ExecuteCall::OnRequestReleased() noexcept {
  // This may be the last owner: nothing of the object is touched after the function's end.
  const std::shared_ptr<ExecuteCall> self = std::move(self_);
  ReleaseBody();
}

bool ExecuteCall::Cancel() {
  if (!GiveUp()) return false;
  server_->calls.Remove(token_);
  Report(0, LRI_REASON_PEER_GONE, "");
  return true;
}

void ExecuteCall::OnDeadline() {
  if (!GiveUp()) return;
  Tell(GuardMemory(
      [this] {
        if (!deadline_is_ours_) {
          return absl::DeadlineExceededError(
              "no answer in time; it is not known whether incidents were created");
        }
        mutable_response() =
            TextAnswer(504, "No answer in time; it is not known whether incidents were created.");
        reason_ = LRI_REASON_ANSWER_TIMEOUT;
        detail_ = mutable_response().body();
        return absl::OkStatus();
      },
      absl::StatusCode::kDeadlineExceeded));
}

void ExecuteCall::OnCutOff() {
  if (!GiveUp()) return;
  server_->calls.Remove(token_);
  reason_ = LRI_REASON_STOPPING;
  Tell(absl::UnavailableError(
      "the host is stopping; it is not known whether incidents were created"));
}

}  // namespace host_stub
