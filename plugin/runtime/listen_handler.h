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

// Takes the requests: an instance.
class RequestTaker {
 public:
  // As check_head and execute of the ABI's table, except that `complete` gets the answer.
  virtual int32_t ValidateHead(const lri_request_head& head, lri_answer_sink sink,
                               void* sink_context, lri_head_verdict& verdict) = 0;
  // `answers` counts the answer; null: the host counts.
  virtual int32_t Take(const lri_request& request, CompleteFunction complete,
                       AnswerCounts* answers) = 0;

 protected:
  ~RequestTaker() = default;
};

// Keeps no state of a request beyond the exchange and its ticket. So an abandoned exchange needs no
// special care: its answer comes when the host is done.
class ListenHandler final : public http::Handler {
 public:
  // Both outlive the handler.
  ListenHandler(RequestTaker& taker, const Limits& limits) : taker_(taker), limits_(limits) {}

  http::HeadVerdict OnHead(http::Exchange& exchange) override;
  void OnRequest(http::Exchange& exchange) override;

  // Of the answers given here, without those that the server gives by itself to what is not HTTP.
  const AnswerCounts& answers() const { return answers_; }

 private:
  void RespondUnavailable(http::Exchange& exchange);

  RequestTaker& taker_;
  const Limits& limits_;
  AnswerCounts answers_;
};

}  // namespace webhook::runtime

#endif  // PLUGIN_RUNTIME_LISTEN_HANDLER_H_
