// Requests of an instance's own listen port, on their way into the same pipeline as the host's.
#ifndef PLUGIN_RUNTIME_LISTEN_HANDLER_H_
#define PLUGIN_RUNTIME_LISTEN_HANDLER_H_

#include <cstdint>

#include "plugin/abi/long_running_integration.h"
#include "plugin/http/handler.h"
#include "plugin/limits/limits.h"
#include "plugin/runtime/answers.h"
#include "plugin/runtime/call.h"

namespace webhook::runtime {

// What takes the requests: an instance.
class RequestTaker {
 public:
  // As check_head and execute of the ABI's table, but that `complete` gets the answer.
  virtual int32_t Judge(const lri_request_head& head, lri_answer_sink sink, void* sink_context,
                        lri_head_verdict& verdict) = 0;
  // `answers` counts the answer; null: the host counts.
  virtual int32_t Take(const lri_request& request, CompleteFunction complete,
                       AnswerCounts* answers) = 0;

 protected:
  ~RequestTaker() = default;
};

// Keeps nothing of a request: what is needed between its head and its answer is the exchange's
// ticket and the exchange itself. So an abandoned exchange needs no care: the answer that is owed
// comes when the host is done.
class ListenHandler final : public http::Handler {
 public:
  // Both outlive the handler.
  ListenHandler(RequestTaker& taker, const Limits& limits) : taker_(taker), limits_(limits) {}

  http::HeadVerdict OnHead(http::Exchange& exchange) override;
  void OnRequest(http::Exchange& exchange) override;

  // Of all answers given here; what the server refuses as no HTTP never comes here.
  const AnswerCounts& answers() const { return answers_; }

 private:
  void RespondUnavailable(http::Exchange& exchange);

  RequestTaker& taker_;
  const Limits& limits_;
  AnswerCounts answers_;
};

}  // namespace webhook::runtime

#endif  // PLUGIN_RUNTIME_LISTEN_HANDLER_H_
