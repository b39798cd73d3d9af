#include "host_stub/front/front.h"

#include <exception>
#include <span>
#include <string>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "host_stub/config/configuration.h"
#include "host_stub/front/forwarded_call.h"

namespace host_stub {

namespace http = webhook::http;
using http::Exchange;

namespace {

// Idle calls that a thread keeps; after a burst the others are freed.
constexpr size_t kKeptCalls = 1024;

void RespondText(Exchange& exchange, int status, absl::string_view text) {
  http::RespondOrGiveUp(
      exchange,
      {.status = status, .content_type = "text/plain; charset=utf-8", .headers = {}, .body = text});
}

class IoCompletionThreads : public CompletionThreads {
 public:
  explicit IoCompletionThreads(std::shared_ptr<webhook::http::IoThreads> threads)
      : threads_(std::move(threads)) {}

  int count() const override { return threads_->size(); }
  int current() const override { return threads_->current(); }
  void Post(int thread, absl::AnyInvocable<void()> function) override {
    threads_->Post(thread, std::move(function));
  }

 private:
  const std::shared_ptr<webhook::http::IoThreads> threads_;
};

ForwardedCall* CallOf(Exchange& exchange) {
  return reinterpret_cast<ForwardedCall*>(exchange.ticket());
}

}  // namespace

Front::Front(std::shared_ptr<const PublishedInstances> instances, webhook::http::IoThreads& threads,
             int64_t answer_timeout_ms)
    : instances_(std::move(instances)),
      threads_(threads),
      answer_timeout_ms_(answer_timeout_ms),
      per_thread_(threads.size()) {
  // Giving a call back then needs no memory.
  for (Thread& thread : per_thread_) thread.idle.reserve(kKeptCalls);
}

Front::~Front() = default;

http::HeadVerdict Front::OnHead(Exchange& exchange) try {
  return Forward(exchange);
} catch (const std::exception&) {
  // Nothing was answered, because the functions that answer do not throw.
  const http::HeaderField retry_after{"Retry-After", "1"};
  http::RespondOrGiveUp(exchange, {.status = 503,
                                   .content_type = "text/plain; charset=utf-8",
                                   .headers = std::span(&retry_after, 1),
                                   .body = "The host is out of memory. Try again later."});
  return http::HeadVerdict::Answered();
}

http::HeadVerdict Front::Forward(Exchange& exchange) {
  const InstanceSnapshot::Match match =
      InstancesOf(exchange.thread()).FindPath(exchange.head().path);
  switch (match.outcome) {
    case InstanceSnapshot::Outcome::kNotFound:
      RespondText(exchange, 404, "No instance is served under this path.");
      return http::HeadVerdict::Answered();
    case InstanceSnapshot::Outcome::kNotExternal:
      RespondText(exchange, 403,
                  absl::StrCat("The server configuration does not allow this: ",
                               ExternalKey(match.name), " is not true."));
      return http::HeadVerdict::Answered();
    case InstanceSnapshot::Outcome::kFound:
      break;
  }
  ForwardedCall* const call = Take(exchange.thread());
  absl::Cleanup give_back = [this, call] { GiveBack(call); };
  const http::HeadVerdict verdict = call->CheckHead(match, exchange);
  if (verdict.answered()) return verdict;
  exchange.set_ticket(reinterpret_cast<uint64_t>(call));
  std::move(give_back).Cancel();
  return verdict;
}

void Front::OnRequest(Exchange& exchange) { CallOf(exchange)->Execute(); }

void Front::OnAbandoned(Exchange& exchange) { CallOf(exchange)->Abandon(); }

void Front::OnDropped(Exchange& exchange) {
  if (exchange.ticket() != 0) GiveBack(CallOf(exchange));
}

void Front::RefreshThreads() {
  for (int thread = 0; thread < threads_.size(); ++thread) {
    threads_.Post(thread, [this, thread] { InstancesOf(thread); });
  }
}

const InstanceSnapshot& Front::InstancesOf(int thread) {
  return per_thread_[thread].instances.Get(*instances_);
}

ForwardedCall* Front::Take(int thread) {
  Thread& own = per_thread_[thread];
  ForwardedCall* call = nullptr;
  if (own.idle.empty()) {
    call = new ForwardedCall(*this, thread);
  } else {
    call = own.idle.back().release();
    own.idle.pop_back();
  }
  call->SetNumber(++own.next_request);
  return call;
}

void Front::GiveBack(ForwardedCall* call) noexcept {
  // Not before the connection's thread has seen the answer, because until then it may abandon the
  // call.
  if (threads_.current() != call->thread()) {
    return threads_.Post(call->thread(), [this, call] { GiveBack(call); });
  }
  call->LetGo();
  Thread& own = per_thread_[call->thread()];
  if (own.idle.size() < kKeptCalls) {
    own.idle.emplace_back(call);
  } else {
    delete call;
  }
}

std::shared_ptr<CompletionThreads> CompletionsOn(
    std::shared_ptr<webhook::http::IoThreads> threads) {
  return std::make_shared<IoCompletionThreads>(std::move(threads));
}

}  // namespace host_stub
