// The checks of a request's head, before its body is read.
#ifndef PLUGIN_RUNTIME_HEAD_CHECK_H_
#define PLUGIN_RUNTIME_HEAD_CHECK_H_

#include <atomic>
#include <cstdint>
#include <span>

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

enum class HeadRefusal {
  kNone,
  kNotFound,
  kMethodNotAllowed,
  kHeadersTooLong,
  kHeaderName,   // no token (RFC 9110 section 5.6.2)
  kHeaderValue,  // not ASCII, or with a control character
  kUnauthorized,
  kBodyTooLarge,
  kBySource,  // the source's profile answers, perhaps with success: see SourceJudge::result
};

// What judging by a source needs. Kept from request to request.
struct SourceJudge {
  explicit SourceJudge(const Limits& limits) : evaluator(limits) {}

  sources::Evaluator evaluator;
  sources::Result result;
};

// A head as a profile sees it.
sources::Request ToSourceRequest(const lri_request_head& head,
                                 std::span<const core::HeaderView> headers, absl::Time now);

// Checks in the order 404, 405, 431 and 400 for the headers, 401, 413: a stranger learns nothing
// about credentials from sending a large body, and no body is read for a stranger. The rules for
// headers are the documents': a sender whose token is not ASCII is told so, rather than that it is
// wrong. `now` is used where credentials depend on it (TimeOfCheck). `judge` is needed exactly
// where there is a source; with a source, its profile judges the method, too.
HeadRefusal CheckHead(const lri_request_head& head, std::span<const core::HeaderView> headers,
                      const Configuration& configuration, const Limits& limits, absl::Time now,
                      SourceJudge* judge);

// The time for CheckHead; any time where it does not matter.
absl::Time TimeOfCheck(const Configuration& configuration, const Host& host);

// The longest body that is taken.
int64_t BodyLimit(const Configuration& configuration, const Limits& limits);

// Gets an answer, which lives until it returns.
using AnswerSink = absl::FunctionRef<void(const lri_answer&)>;

// Gives the answer of a handshake or a refusal by a source.
void AnswerBySource(const sources::Result& result, const Configuration& configuration,
                    AnswerSink sink);

// Gives the refusal's answer to the sink, and logs refused credentials, unless `is_trial`. Not for
// kNone. `judge`: as for CheckHead.
void AnswerRefusal(HeadRefusal refusal, const lri_request_head& head,
                   const Configuration& configuration, const Host& host,
                   lri_host_instance* host_instance, const SourceJudge* judge, bool is_trial,
                   AnswerSink sink);

}  // namespace webhook::runtime

#endif  // PLUGIN_RUNTIME_HEAD_CHECK_H_
