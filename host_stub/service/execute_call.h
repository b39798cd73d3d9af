// One request on its way through a plugin, from ExecuteRequest to exactly one outcome.
#ifndef HOST_STUB_SERVICE_EXECUTE_CALL_H_
#define HOST_STUB_SERVICE_EXECUTE_CALL_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "host_stub/engine/hosted_instance.h"
#include "host_stub/engine/request.h"
#include "host_stub/service/call_environment.h"
#include "host_stub/service/open_calls.h"
#include "long_running_integration/v1/long_running_integration.pb.h"

namespace host_stub {

// Where the messages are, and who is told the outcome, is the derived class's. Owned by shared_ptr:
// by the plugin while it has the request, and by OpenCalls until the outcome.
class ExecuteCall : public AnswerReceiver,
                    public OpenCall,
                    public std::enable_shared_from_this<ExecuteCall> {
 public:
  explicit ExecuteCall(std::shared_ptr<CallEnvironment> environment);
  ~ExecuteCall() override;

  // Begins the call. `deadline` is the sender's, InfiniteFuture for none; the host's
  // answer_timeout_ms holds as well. OnOutcome comes exactly once, on any thread and perhaps before
  // the return, unless Cancel prevents it. Once, until Renew.
  void Begin(const Caller& caller, absl::Time deadline) noexcept;

  // The sender is gone. True: OnOutcome will not come. False: it was or is just being called. Any
  // thread, after Begin has returned.
  bool Cancel();

  // AnswerReceiver and OpenCall.
  void OnAnswer(const Answer& answer) override;
  void OnRequestReleased() override;
  void OnDeadline() override;
  void OnCutOff() override;

 protected:
  // The same ones from Begin until nobody owns the call, but for the body, which may go before.
  virtual long_running_integration::v1::ExecuteRequest& mutable_request() = 0;
  // Empty at first.
  virtual long_running_integration::v1::ExecuteResponse& mutable_response() = 0;

  // A status that is not OK: the call itself failed, and what the response holds is no answer. Must
  // not block.
  virtual void OnOutcome(const absl::Status& status) noexcept = 0;

  // Ready for another Begin. Nobody owns the call.
  void Renew() noexcept;

  CallEnvironment& environment() { return *environment_; }

 private:
  absl::Status Admit(const Caller& caller, absl::Time now);
  absl::Status HandOver(absl::Time now);
  Request MakeRequest(absl::Time now);
  void Fill(const Answer& answer);

  // Nobody reads the body any more, though its call may last until a slow client has its answer.
  void LetGoOfBody();

  // True for the one who may tell the outcome.
  bool Close();
  // As Close; the plugin is told that nobody waits for its answer.
  bool GiveUp();
  void Finish(const absl::Status& status);
  // Leaves the entry in OpenCalls as it is: OnDeadline and OnCutOff may run before HandOver has
  // stored the token.
  void Tell(absl::Status status) noexcept;

  const std::shared_ptr<CallEnvironment> environment_;

  // What the plugin's views point to, beside the request.
  std::string peer_;
  std::string path_;
  std::vector<lri_pair> headers_;
  int64_t counted_bytes_ = 0;  // in the environment's bytes_in_flight
  absl::Time deadline_;
  bool deadline_is_ours_ = false;  // answer_timeout_ms, and not the sender's

  std::shared_ptr<HostedInstance> instance_;
  CallHandle handle_;
  OpenCalls::Token token_;
  std::atomic<unsigned> state_{0};
  std::shared_ptr<ExecuteCall> self_;  // while the plugin has the request
};

}  // namespace host_stub

#endif  // HOST_STUB_SERVICE_EXECUTE_CALL_H_
