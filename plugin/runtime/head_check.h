// The checks of a request's head, before its body is read.
#ifndef PLUGIN_RUNTIME_HEAD_CHECK_H_
#define PLUGIN_RUNTIME_HEAD_CHECK_H_

#include <atomic>
#include <cstdint>
#include <list>
#include <map>
#include <mutex>
#include <span>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "plugin/abi/long_running_integration.h"
#include "plugin/core/header_view.h"
#include "plugin/limits/limits.h"
#include "plugin/runtime/configuration.h"
#include "plugin/runtime/host.h"
#include "plugin/sources/evaluate.h"

namespace webhook::runtime {

// Room for as many headers as senders use; more cost an allocation.
using HeaderViews = absl::InlinedVector<core::HeaderView, 32>;

// The ABI's headers as core wants them. The views live as long as those of the request.
HeaderViews ToHeaderViews(const lri_pairs& pairs);

// The tickets of heads that were accepted, each for one execute of that very head. Thread-safe,
// without locks. Only the latest are remembered; without its ticket a head is checked again.
class Tickets {
 public:
  // `configuration`: Configuration::ticket. Returns the ticket, never 0.
  uint64_t Issue(uint64_t configuration, const lri_request_head& head,
                 std::span<const core::HeaderView> headers);

  // True once, for the head and the configuration that the ticket was issued for.
  bool Redeem(uint64_t ticket, uint64_t configuration, const lri_request_head& head,
              std::span<const core::HeaderView> headers);

 private:
  static constexpr size_t kRemembered = 4096;
  struct Slot {
    std::atomic<uint64_t> ticket{0};
    std::atomic<uint64_t> head{0};  // a sum over the configuration and the head
  };

  std::atomic<uint64_t> last_{0};
  Slot slots_[kRemembered];
};

// The addresses that sent wrong credentials to an instance. Thread-safe; locked by such requests,
// and by others while any address is remembered.
class WrongCredentials {
 public:
  // An address is forgotten so long after its last wrong attempt.
  static constexpr absl::Duration kRemembered = absl::Minutes(10);
  static constexpr size_t kMostAddresses = 10'000;  // of all instances; the oldest goes
  static constexpr int kFree = 100;                 // attempts before it is slowed down

  // Counts one of this sender (an IPv6 /64 is one) at this instance, which is not used. True: there
  // were more than kFree. Senders whose address is not known are not counted.
  bool Count(const void* instance, absl::string_view peer_address, absl::Time now);

  // Right ones came from this sender: it starts anew.
  void Forget(const void* instance, absl::string_view peer_address);

  size_t size() const { return size_.load(std::memory_order_relaxed); }

 private:
  using Sender = std::pair<const void*, http::Address>;
  struct Entry {
    Sender sender;
    absl::Time last;
    int attempts = 0;
  };

  void Erase(std::list<Entry>::iterator entry);  // with the lock

  std::atomic<size_t> size_{0};
  std::mutex mutex_;          // guards all below
  std::list<Entry> entries_;  // in the order of `last`
  std::map<Sender, std::list<Entry>::iterator> by_address_;
};

// How much an instance takes. Thread-safe, without locks; kept across changes of its configuration.
class Admission {
 public:
  // The plugin's, which outlives it.
  explicit Admission(WrongCredentials& wrong) : wrong_(wrong) {}

  WrongCredentials& wrong() { return wrong_; }

  // Counts a request, unless there were more than `per_second` in the last second: so many may come
  // at once, and later ones as time goes on.
  bool TakeRequest(int64_t per_second, absl::Time now);

  // Counts a call that begins. False: `most` are at work already, and it is not counted.
  bool BeginCall(int64_t most);
  void EndCall() { calls_.fetch_sub(1, std::memory_order_relaxed); }
  int64_t calls() const { return calls_.load(std::memory_order_relaxed); }

 private:
  WrongCredentials& wrong_;
  std::atomic<int64_t> paid_until_ns_{INT64_MIN};  // each request costs its part of a second
  std::atomic<int64_t> calls_{0};
};

enum class HeadRefusal {
  kNone,
  kAddress,  // not in `allow`
  kNotFound,
  kMethodNotAllowed,
  kHeadersTooLong,
  kHeaderName,   // no token (RFC 9110 section 5.6.2)
  kHeaderValue,  // not ASCII, or with a control character
  kUnauthorized,
  kNoCredentials,  // the same, for none came
  kSlowDown,       // the same, again and again
  kBodyTooLarge,
  kTooManyRequests,
  kTooManyCalls,
  kBySource,  // the source's profile answers, perhaps with success: see SourceJudge::result
};

// What judging by a source needs. Kept from request to request.
struct SourceJudge {
  explicit SourceJudge(const Limits& limits) : evaluator(limits) {}

  sources::Evaluator evaluator;
  sources::Result result;
};

// What a check uses beside the configuration. Lives during the check.
struct Checking {
  const Host& host;
  lri_host_instance* host_instance;
  Admission* admission;  // null for a trial, which uses nothing up, and is not logged
  SourceJudge* judge;    // exactly where there is a source
  absl::Time at;         // of a trial: the time at which the request is judged

  bool is_trial() const { return admission == nullptr; }
  absl::Time Now() const { return is_trial() ? at : host.Now(); }
  // Counts an attempt with wrong credentials. True: its sender is to slow down.
  bool CountWrong(const lri_request_head& head) const {
    return !is_trial() &&
           admission->wrong().Count(admission, FromView(head.peer_address), host.Now());
  }
  // Credentials were right, so the sender's wrong ones do not count any more.
  void ForgetWrong(const lri_request_head& head) const {
    if (is_trial() || admission->wrong().size() == 0) return;
    admission->wrong().Forget(admission, FromView(head.peer_address));
  }
};

// A head as a profile sees it.
sources::Request ToSourceRequest(const lri_request_head& head,
                                 std::span<const core::HeaderView> headers, absl::Time now);

// Whether the source refused the credentials of a sender that is to slow down.
bool IsSlowedDown(const lri_request_head& head, const sources::Result& result,
                  const Checking& checking);

// Checks in the order 403, 404, 405, 431 and 400 for the headers, 401, 413, and what the instance
// takes at all, which no stranger can use up: a stranger learns nothing about credentials from
// sending a large body, and no body is read for a stranger. The rules for headers are the
// documents': a sender whose token is not ASCII is told so, rather than that it is wrong. Where
// there is a source, its profile judges the method, too.
HeadRefusal CheckHead(const lri_request_head& head, std::span<const core::HeaderView> headers,
                      const Configuration& configuration, const Limits& limits,
                      const Checking& checking);

// The longest body that is taken.
int64_t BodyLimit(const Configuration& configuration, const Limits& limits);

// Gets an answer, which lives until it returns.
using AnswerSink = absl::FunctionRef<void(const lri_answer&)>;

// Gives the answer of a handshake or a refusal by a source.
void AnswerBySource(const sources::Result& result, const Configuration& configuration,
                    AnswerSink sink);

// Gives the refusal's answer to the sink, and logs refused credentials and addresses. Not for
// kNone.
void AnswerRefusal(HeadRefusal refusal, const lri_request_head& head,
                   const Configuration& configuration, const Checking& checking, AnswerSink sink);

}  // namespace webhook::runtime

#endif  // PLUGIN_RUNTIME_HEAD_CHECK_H_
