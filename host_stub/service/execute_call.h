// One request on its way through a plugin, from ExecuteRequest to exactly one outcome.
#ifndef HOST_STUB_SERVICE_EXECUTE_CALL_H_
#define HOST_STUB_SERVICE_EXECUTE_CALL_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "host_stub/engine/hosted_instance.h"
#include "host_stub/engine/request.h"
#include "host_stub/service/grpc_server_context.h"
#include "long_running_integration/v1/long_running_integration.pb.h"
#include "plugin/limits/limits.h"

namespace host_stub {

// INVALID_ARGUMENT, with the field's name, for a field that cannot be part of an HTTP request:
// otherwise a field could end its line and begin another one (RFC 9110 sections 5.5, 5.6.2 and 9.1;
// RFC 3986 for the target).
absl::Status CheckFields(const long_running_integration::v1::ExecuteRequest& request);

// What the HTTP front would answer to a head that is too long: 414 or 431 (RFC 9110 section
// 15.5.15, RFC 6585 section 5).
std::optional<long_running_integration::v1::ExecuteResponse> TooLong(
    const long_running_integration::v1::ExecuteRequest& request, const webhook::Limits& limits);

// The address that the plugin is told: see ExecuteRequest.peer_address. INVALID_ARGUMENT if a
// trusted caller gives a text that is not an address.
absl::StatusOr<std::string> EffectivePeer(
    const long_running_integration::v1::ExecuteRequest& request, const Caller& caller);

// The derived class owns the messages and is told the outcome. Owned by shared_ptr: by the plugin
// while it has the request, and by OpenCalls until the outcome.
class ExecuteCall : public AnswerReceiver,
                    public OpenCall,
                    public std::enable_shared_from_this<ExecuteCall> {
 public:
  explicit ExecuteCall(std::shared_ptr<GrpcServerContext> server) : server_(std::move(server)) {}

  // Begins the call. `deadline` is the sender's, InfiniteFuture for none; the host's
  // answer_timeout_ms applies as well. OnOutcome is called exactly once, on any thread and perhaps
  // before the return, unless Cancel prevents it. Once, until Renew.
  void Begin(const Caller& caller, absl::Time deadline) noexcept;

  // The sender is gone. True: OnOutcome will not be called. False: it was called or is being
  // called. Any thread, after Begin has returned.
  bool Cancel();

  // AnswerReceiver and OpenCall.
  void OnAnswer(const Answer& answer) noexcept override;
  void OnRequestReleased() noexcept override;
  void OnDeadline() override;
  void OnCutOff() override;

 protected:
  // The same messages from Begin until nobody owns the call; the body may be released before.
  virtual long_running_integration::v1::ExecuteRequest& mutable_request() = 0;
  // Empty at first.
  virtual long_running_integration::v1::ExecuteResponse& mutable_response() = 0;

  // With a status that is not OK the call itself failed, and the response holds no answer. Must not
  // block.
  virtual void OnOutcome(const absl::Status& status) = 0;

  // What the metadata of the RPC says in `traceparent`. Asked before the outcome, and seldom: gRPC
  // makes a map for it.
  virtual absl::string_view trace_parent() { return ""; }

  // Makes the call ready for another Begin. Nobody owns it.
  void Renew() noexcept;

  GrpcServerContext& server() { return *server_; }

 private:
  absl::Status Admit(const Caller& caller, absl::Time now);
  absl::Status HandOver(absl::Time now);
  Request MakeRequest(absl::Time now);
  absl::Status Fill(const Answer& answer);

  // Nobody reads the body any more, but the call may last until a slow client has its answer.
  void ReleaseBody();

  // True for the one caller that may tell the outcome. Tells the plugin, if it has the request,
  // that nobody waits for its answer.
  bool GiveUp();
  void Tell(absl::Status status);
  // Tells what became of the call. `status` 0: it had no answer.
  void Report(int status, int32_t reason, absl::string_view detail);

  const std::shared_ptr<GrpcServerContext> server_;

  // What the plugin's views point to, beside the request.
  std::string peer_;
  bool from_outside_ = false;  // not over the control socket
  std::string path_;
  std::vector<lri_pair> headers_;
  int64_t counted_bytes_ = 0;  // of the server's bytes_in_flight
  absl::Time deadline_;
  bool deadline_is_ours_ = false;         // answer_timeout_ms, not the sender's
  int32_t reason_ = LRI_REASON_ANSWERED;  // of the response
  std::string detail_;                    // why it is a refusal, for the operator
  bool is_readable_ = false;              // its fields can be part of an HTTP request
  int64_t begun_ns_ = 0;                  // CLOCK_MONOTONIC

  std::shared_ptr<const InstanceEntry> entry_;  // of its instance
  // Set before HandOver, which may replace entry_ while a deadline ends the call.
  std::shared_ptr<HostedInstance> counted_by_;
  CallHandle handle_;
  // Of OpenCalls. OnDeadline and OnCutOff may be called before HandOver has stored it.
  OpenCalls::Token token_;
  std::atomic<unsigned> state_{0};
  std::shared_ptr<ExecuteCall> self_;  // while the plugin has the request
};

}  // namespace host_stub

#endif  // HOST_STUB_SERVICE_EXECUTE_CALL_H_
