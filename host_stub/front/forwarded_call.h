// One request of the front on its way to an instance and back.
#ifndef HOST_STUB_FRONT_FORWARDED_CALL_H_
#define HOST_STUB_FRONT_FORWARDED_CALL_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "host_stub/engine/hosted_instance.h"
#include "host_stub/engine/request.h"
#include "host_stub/front/front.h"
#include "plugin/http/handler.h"

namespace host_stub {

// Belongs to its connection's thread; only the answer may come on another one. Reused for later
// requests of that thread.
class ForwardedCall final : public AnswerReceiver, public HeadAnswerReceiver {
 public:
  ForwardedCall(Front& front, int thread);

  int thread() const { return thread_; }

  // The count of the thread's requests, which becomes a part of the request's id.
  void SetNumber(uint64_t number);

  // Answered: the exchange was answered, and the call is over.
  webhook::http::HeadVerdict CheckHead(const InstanceSnapshot::Match& match,
                                       webhook::http::Exchange& exchange);

  // Called once the body is whole. The call gives itself back to the front when the plugin has let
  // go of the request.
  void Execute() noexcept;

  // Drops the reference to the instance.
  void LetGo() { instance_.reset(); }

  // Nobody waits for the answer any more.
  void Abandon();

  void OnHeadAnswer(const Answer& answer) override;
  void OnAnswer(const Answer& answer) override;
  void OnRequestReleased() override;

 private:
  // Takes the instance that has replaced the one that refused. False: there is none.
  bool FindSuccessor();
  void FillHead(const InstanceSnapshot::Match& match);
  absl::Status HandOver();
  void Respond(const Answer& answer) noexcept;
  void RespondFailure(absl::StatusCode code) noexcept;

  Front& front_;
  const int thread_;
  webhook::http::Exchange* exchange_ = nullptr;
  std::shared_ptr<HostedInstance> instance_;  // kept for as long as the call may use it
  Request request_;
  CallHandle handle_;
  bool answered_ = false;  // Respond was called, so the exchange is gone
  std::vector<lri_pair> headers_;
  std::vector<webhook::http::HeaderField> answer_headers_;
  char request_id_[40];
  char* const number_;  // where in it the number begins
};

}  // namespace host_stub

#endif  // HOST_STUB_FRONT_FORWARDED_CALL_H_
