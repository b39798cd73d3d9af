#include "host_stub/front/front.h"

#include <algorithm>
#include <exception>
#include <optional>
#include <span>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "host_stub/config/configuration.h"
#include "host_stub/engine/hosted_instance.h"
#include "host_stub/engine/request.h"
#include "plugin/base/clock.h"
#include "plugin/http/report.h"

namespace host_stub {

namespace http = webhook::http;
using http::Exchange;
using http::HeaderField;

namespace {

constexpr absl::string_view kIdPrefix = "http";

// The ticket of an exchange that has no call.
constexpr uint64_t kNoCall = 1;

// Idle calls that a thread keeps; after a burst the others are freed.
constexpr size_t kKeptCalls = 1024;

// One more, where only this thread writes.
void CountOne(std::atomic<int64_t>& count) {
  count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

constexpr absl::string_view kPlainText = "text/plain; charset=utf-8";

// For balancers. Instances' paths come first.
bool IsHealthCheck(const http::RequestHead& head) {
  return head.path == "/healthz" && (head.method == "GET" || head.method == "HEAD");
}

void RespondText(Exchange& exchange, int status, lri_reason reason, absl::string_view text) {
  const HeaderField retry_after{"Retry-After", "1"};
  http::RespondOrGiveUp(exchange, {.status = status,
                                   .content_type = kPlainText,
                                   .headers = std::span(&retry_after, status == 503 ? 1 : 0),
                                   .body = text,
                                   .reason = reason,
                                   .detail = text});
}

class IoCompletionThreads : public CompletionThreads {
 public:
  explicit IoCompletionThreads(std::shared_ptr<http::IoThreads> threads)
      : threads_(std::move(threads)) {}

  int count() const override { return threads_->size(); }
  int current() const override { return threads_->current(); }
  void Post(int thread, absl::AnyInvocable<void()> function) override {
    threads_->Post(thread, std::move(function));
  }

 private:
  const std::shared_ptr<http::IoThreads> threads_;
};

}  // namespace

// One request on its way to an instance and back. Belongs to its connection's thread; only the
// answer may come on another one. Reused for later requests of that thread.
class Front::Call final : public AnswerReceiver, public HeadAnswerReceiver {
 public:
  Call(Front& front, int thread) : front_(front), thread_(thread) {}

  static Call& Of(const Exchange& exchange) { return *reinterpret_cast<Call*>(exchange.ticket()); }

  int thread() const { return thread_; }

  // Tells the instance what became of the request. False: memory ran out, and the call has let go
  // of its instance.
  bool Tell(const lri_answered& answered);

  // Answered: the exchange was answered, and the call is over.
  http::HeadVerdict CheckHead(const InstanceSnapshot::Match& match, Exchange& exchange);

  // Called once the body is whole. True: the call gives itself back to the front when the plugin
  // has let go of the request, which may have happened already. False: the exchange was answered.
  bool Execute();

  // The exchange is gone.
  bool is_answered() const { return answered_; }

  // Drops the reference to the instance.
  void LetGo() { instance_.reset(); }

  // Nobody waits for the answer any more.
  void Abandon() { instance_->Abandon(handle_); }

  void OnHeadAnswer(const Answer& answer) override { Respond(answer); }
  void OnAnswer(const Answer& answer) override {
    // The exchange owns the request's memory, which the plugin still reads.
    if (!answer.request_is_held) Respond(answer);
  }
  void OnRequestReleased() override {
    // Either it was abandoned, and nobody reads this, or its instance was stopped before it
    // answered.
    if (!answered_) {
      answered_ = true;
      RespondText(*exchange_, 503, LRI_REASON_INSTANCE_STOPPED,
                  "The webhook was stopped before it answered.");
    }
    front_.GiveBack(this);
  }

 private:
  // Takes the instance that has replaced the one that refused. False: there is none.
  bool FindSuccessor();
  void FillHead(const InstanceSnapshot::Match& match);
  void Respond(const Answer& answer) noexcept;
  void RespondFailure(absl::StatusCode code) noexcept;

  Front& front_;
  const int thread_;
  Exchange* exchange_ = nullptr;
  std::shared_ptr<HostedInstance> instance_;  // kept for as long as the call may use it
  Request request_;
  CallHandle handle_;
  bool answered_ = false;  // Respond was called, so the exchange is gone
  std::vector<lri_pair> headers_;
  std::vector<HeaderField> answer_headers_;
  std::optional<http::RequestId> request_id_;
};

http::HeadVerdict Front::Call::CheckHead(const InstanceSnapshot::Match& match, Exchange& exchange) {
  exchange_ = &exchange;
  instance_ = match.entry->instance;
  handle_ = {};
  answered_ = false;
  FillHead(match);
  HeadVerdict verdict;
  absl::Status status = instance_->CheckHead(request_.head, this, &verdict);
  while (absl::IsUnavailable(status) && FindSuccessor()) {
    status = instance_->CheckHead(request_.head, this, &verdict);
  }
  std::atomic<int64_t>* const bytes = front_.BytesOf(exchange.head(), *match.entry);
  if (status.ok()) {
    if (verdict.refused) return http::HeadVerdict::Answered();
    request_.head_ticket = verdict.ticket;
    return http::HeadVerdict::ReadBody(
        static_cast<int64_t>(std::min<uint64_t>(verdict.body_limit_bytes, INT64_MAX)), bytes);
  }
  request_.head_ticket = 0;
  if (absl::IsUnimplemented(status)) return http::HeadVerdict::ReadBody(INT64_MAX, bytes);
  RespondFailure(status.code());
  return http::HeadVerdict::Answered();
}

void Front::Call::FillHead(const InstanceSnapshot::Match& match) {
  const http::RequestHead& head = exchange_->head();
  request_id_.emplace(kIdPrefix, *exchange_);
  request_.head.request_id = request_id_->text();
  headers_.clear();
  for (const HeaderField& field : head.fields) {
    headers_.push_back({ToView(field.name), ToView(field.value)});
  }
  request_.head.method = head.method;
  request_.head.path = head.path;
  request_.head.remainder = match.remainder;
  request_.head.query = head.query;
  request_.head.headers = headers_;
  request_.head.peer_address = head.peer;
  request_.head.peer_is_doubtful = head.peer_is_doubtful;
  request_.head.content_length = head.content_length.value_or(LRI_LENGTH_UNKNOWN);
}

bool Front::Call::Execute() {
  request_.body = exchange_->body();
  request_.head.deadline_mono_ns =
      base::MonotonicNanoseconds() + front_.answer_timeout_ms_ * 1'000'000;
  absl::Status status = instance_->Execute(request_, this, &handle_);
  // It was replaced while the body was on its way. Nothing was begun, so its successor may serve
  // it.
  while (absl::IsUnavailable(status) && FindSuccessor()) {
    request_.head_ticket = 0;
    status = instance_->Execute(request_, this, &handle_);
  }
  // After an OK the call may be over already, and be used for another request.
  if (status.ok()) return true;
  RespondFailure(status.code());
  return false;
}

bool Front::Call::FindSuccessor() {
  const InstanceSnapshot::Match match = front_.InstancesOf(thread_).FindPath(request_.head.path);
  if (match.outcome != InstanceSnapshot::Outcome::kFound || match.entry->instance == instance_)
    return false;
  instance_ = match.entry->instance;
  return true;
}

// Catches what the server cannot: the plugin is on the stack, on a thread that may be its own.
void Front::Call::Respond(const Answer& answer) noexcept {
  absl::string_view content_type;
  answer_headers_.clear();
  try {
    for (size_t i = 0; i < answer.headers.size(); ++i) {
      if (absl::EqualsIgnoreCase(answer.headers.name(i), "Content-Type")) {
        content_type = answer.headers.value(i);
      } else {
        answer_headers_.push_back({answer.headers.name(i), answer.headers.value(i)});
      }
    }
  } catch (const std::exception&) {
    return RespondFailure(absl::StatusCode::kUnavailable);
  }
  answered_ = true;
  http::RespondOrGiveUp(*exchange_, {.status = answer.status,
                                     .content_type = content_type,
                                     .headers = answer_headers_,
                                     .body = answer.body,
                                     .reason = static_cast<lri_reason>(answer.reason),
                                     .detail = answer.detail});
}

bool Front::Call::Tell(const lri_answered& answered) {
  if (instance_ == nullptr) return false;
  instance_->OnAnswered(answered);
  return true;
}

void Front::Call::RespondFailure(absl::StatusCode code) noexcept {
  answered_ = true;
  const bool unavailable =
      code == absl::StatusCode::kUnavailable || code == absl::StatusCode::kResourceExhausted;
  RespondText(*exchange_, unavailable ? 503 : 500,
              unavailable ? LRI_REASON_OVERLOAD : LRI_REASON_OTHER,
              unavailable ? "The instance takes no requests now. Try again later."
                          : "The instance failed.");
}

// Short bodies need not be told apart.
std::atomic<int64_t>* Front::BytesOf(const http::RequestHead& head, const InstanceEntry& instance) {
  constexpr uint64_t kShort = 4096;
  if (head.content_length.value_or(UINT64_MAX) <= kShort) return nullptr;
  return &instance_bytes_[instance.number % instance_bytes_.size()];
}

Front::Front(std::shared_ptr<const PublishedInstances> instances, http::IoThreads& threads,
             std::shared_ptr<Traffic> traffic, int64_t answer_timeout_ms)
    : instances_(std::move(instances)),
      threads_(threads),
      traffic_(std::move(traffic)),
      answer_timeout_ms_(answer_timeout_ms),
      per_thread_(threads.size()) {
  // Giving a call back then needs no memory.
  for (Thread& thread : per_thread_) thread.idle.reserve(kKeptCalls);
}

Front::~Front() = default;

int64_t Front::active_requests() const {
  int64_t active = 0;
  for (const Thread& thread : per_thread_) {
    // In this order the difference is never negative.
    const int64_t ended = thread.ended.load(std::memory_order_acquire);
    active += thread.begun.load(std::memory_order_acquire) - ended;
  }
  return active;
}

// Where memory runs out, nothing was answered, because the functions that answer do not throw.
http::HeadVerdict Front::OnHead(Exchange& exchange) {
  CountOne(per_thread_[exchange.thread()].begun);
  exchange.set_ticket(kNoCall);
  const InstanceSnapshot::Match match =
      InstancesOf(exchange.thread()).FindPath(exchange.head().path);
  switch (match.outcome) {
    case InstanceSnapshot::Outcome::kNotFound:
      if (IsHealthCheck(exchange.head())) {
        http::RespondOrGiveUp(exchange, {.content_type = kPlainText, .body = "ok\n"});
        return http::HeadVerdict::Answered();
      }
      RespondText(exchange, 404, LRI_REASON_UNKNOWN_PATH, "No instance is served under this path.");
      return http::HeadVerdict::Answered();
    case InstanceSnapshot::Outcome::kClosed:
      RespondText(exchange, 403, match.entry->closed_reason, match.entry->closed);
      return http::HeadVerdict::Answered();
    case InstanceSnapshot::Outcome::kFound:
      break;
  }
  Call* const call = Take(exchange.thread());
  absl::Cleanup give_back = [this, call] { GiveBack(call); };
  exchange.set_ticket(reinterpret_cast<uint64_t>(call));
  const http::HeadVerdict verdict = call->CheckHead(match, exchange);
  if (verdict.answered()) return verdict;
  std::move(give_back).Cancel();
  return verdict;
}

// Where memory runs out, the instance does not have the request.
void Front::OnRequest(Exchange& exchange) {
  Call& call = Call::Of(exchange);
  absl::Cleanup give_back = [this, &call, &exchange] {
    // Memory ran out: the server still has the exchange.
    if (!call.is_answered()) exchange.set_ticket(kNoCall);
    GiveBack(&call);
  };
  if (call.Execute()) std::move(give_back).Cancel();
}

void Front::OnAbandoned(Exchange& exchange) { Call::Of(exchange).Abandon(); }

void Front::OnDropped(Exchange& exchange) {
  if (exchange.ticket() > kNoCall) GiveBack(&Call::Of(exchange));
}

void Front::OnAnswered(const http::Answered& answered) noexcept {
  // Without a ticket it was refused before OnHead.
  const uint64_t ticket = answered.exchange == nullptr ? 0 : answered.exchange->ticket();
  if (ticket != 0) CountOne(per_thread_[answered.exchange->thread()].ended);
  // What was answered well is counted alone, so its head is not read again, unless it has a line.
  const bool with_head =
      answered.reason != LRI_REASON_ANSWERED || traffic_->access_log() != nullptr;
  http::Report report(LRI_DOOR_FRONT, nullptr, answered, kIdPrefix, with_head);
  const bool has_call = ticket > kNoCall;
  if (!has_call || !Call::Of(*answered.exchange).Tell(report.abi())) {
    traffic_->OnAnswered("", nullptr, report.abi());
  }
}

void Front::RefreshThreads() {
  for (int thread = 0; thread < threads_.size(); ++thread) {
    threads_.Post(thread, [this, thread] { InstancesOf(thread); });
  }
}

const InstanceSnapshot& Front::InstancesOf(int thread) {
  return per_thread_[thread].instances.Get(*instances_);
}

Front::Call* Front::Take(int thread) {
  Thread& own = per_thread_[thread];
  Call* call = nullptr;
  if (own.idle.empty()) {
    call = new Call(*this, thread);
  } else {
    call = own.idle.back().release();
    own.idle.pop_back();
  }
  return call;
}

void Front::GiveBack(Call* call) noexcept {
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

std::shared_ptr<CompletionThreads> CompletionsOn(std::shared_ptr<http::IoThreads> threads) {
  return std::make_shared<IoCompletionThreads>(std::move(threads));
}

}  // namespace host_stub
