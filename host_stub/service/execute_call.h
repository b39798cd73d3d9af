// One request on its way through a plugin, from ExecuteRequest to exactly one outcome.
#ifndef HOST_STUB_SERVICE_EXECUTE_CALL_H_
#define HOST_STUB_SERVICE_EXECUTE_CALL_H_

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "host_stub/engine/hosted_instance.h"
#include "host_stub/engine/request.h"
#include "host_stub/service/call_environment.h"
#include "host_stub/service/deadline_timer.h"
#include "long_running_integration/v1/long_running_integration.pb.h"

namespace host_stub {

// Where a call ends. A status that is not OK: the call itself failed, and there is no response.
using ExecuteDone = std::function<void(const absl::Status& status,
                                       long_running_integration::v1::ExecuteResponse response)>;

class ExecuteCall : public AnswerReceiver,
                    public Expiring,
                    public std::enable_shared_from_this<ExecuteCall> {
 public:
  // Begins a call. `deadline` is the sender's, InfiniteFuture for none; the host's
  // answer_timeout_ms holds as well. `done` comes exactly once, on any thread and perhaps before
  // the return, unless Cancel prevents it; where it throws for want of memory it is called once
  // more, with RESOURCE_EXHAUSTED and no words, and must need less then. It must not block. Null:
  // there was no memory for a call, and `done` was told.
  static std::shared_ptr<ExecuteCall> Start(std::shared_ptr<CallEnvironment> environment,
                                            long_running_integration::v1::ExecuteRequest request,
                                            const Caller& caller, absl::Time deadline,
                                            ExecuteDone done) noexcept;

  // The sender is gone. `done` does not come any more, unless it is just being called. Any thread.
  void Cancel();

  // By Start alone.
  ExecuteCall(std::shared_ptr<CallEnvironment> environment,
              long_running_integration::v1::ExecuteRequest request, ExecuteDone done);
  ~ExecuteCall() override;

  // AnswerReceiver and Expiring.
  void OnAnswer(const Answer& answer) override;
  void OnRequestReleased() override;
  void Expire() override;

 private:
  void Begin(const Caller& caller, absl::Time deadline);
  absl::Status Admit(const Caller& caller);
  absl::Status HandOver();
  Request MakeRequest();
  static void Fill(const Answer& answer, long_running_integration::v1::ExecuteResponse& response);

  // True for the one who may tell the outcome.
  bool Close();
  void Finish(const absl::Status& status, long_running_integration::v1::ExecuteResponse response);
  // Without the timer: Expire may run before HandOver has kept the token.
  void Tell(const absl::Status& status,
            long_running_integration::v1::ExecuteResponse response) noexcept;

  const std::shared_ptr<CallEnvironment> environment_;
  long_running_integration::v1::ExecuteRequest request_;
  ExecuteDone done_;

  // What the plugin's views point to, beside request_.
  std::string peer_;
  std::string path_;
  std::vector<lri_pair> headers_;
  absl::Time deadline_;
  bool deadline_is_ours_ = false;  // answer_timeout_ms, and not the sender's

  std::shared_ptr<HostedInstance> instance_;
  CallHandle handle_;
  DeadlineTimer::Token timer_token_;
  std::atomic<unsigned> state_{0};
  std::shared_ptr<ExecuteCall> self_;  // while the plugin has the request
};

}  // namespace host_stub

#endif  // HOST_STUB_SERVICE_EXECUTE_CALL_H_
