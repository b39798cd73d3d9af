// What goes into a plugin and what comes out of it: requests, answers, and who takes an answer.
#ifndef HOST_STUB_ENGINE_REQUEST_H_
#define HOST_STUB_ENGINE_REQUEST_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "absl/strings/string_view.h"
#include "plugin/abi/long_running_integration.h"

namespace host_stub {

// The ABI's view as ours, and back. The text is not copied.
inline absl::string_view ToStringView(lri_view view) {
  return absl::string_view(view.data, view.data == nullptr ? 0 : view.size);
}
inline lri_view ToView(absl::string_view text) { return lri_view{text.data(), text.size()}; }

// An element of an array that crossed the ABI: its elements may be longer than this host's.
template <typename Element>
const Element& At(const Element* data, size_t stride, size_t index) {
  return *reinterpret_cast<const Element*>(reinterpret_cast<const char*>(data) + index * stride);
}

// An array of pairs as it crossed the ABI.
class PairList {
 public:
  PairList() : pairs_{nullptr, 0, sizeof(lri_pair)} {}
  explicit PairList(const lri_pairs& pairs) : pairs_(pairs) {}
  explicit PairList(std::span<const lri_pair> pairs)
      : pairs_{pairs.data(), pairs.size(), sizeof(lri_pair)} {}

  size_t size() const { return pairs_.count; }
  absl::string_view name(size_t index) const {
    return ToStringView(At(pairs_.data, pairs_.stride, index).name);
  }
  absl::string_view value(size_t index) const {
    return ToStringView(At(pairs_.data, pairs_.stride, index).value);
  }
  const lri_pairs& abi() const { return pairs_; }

 private:
  lri_pairs pairs_;
};

// All texts as they were sent; see lri_request_head for what each is. Views are the caller's.
struct RequestHead {
  absl::string_view method;
  absl::string_view path;       // percent-encoded, without the query
  absl::string_view remainder;  // what follows the instance's name: empty, or begins with '/'
  absl::string_view query;      // without the '?'
  std::span<const lri_pair> headers;
  absl::string_view peer_address;  // an IP address without a port, "unix", or empty: not known
  bool peer_is_doubtful = false;   // LRI_PEER_DOUBTFUL
  absl::string_view request_id;    // [A-Za-z0-9._-], 64 bytes at most
  uint64_t content_length = LRI_LENGTH_UNKNOWN;
  int64_t deadline_mono_ns = 0;  // CLOCK_MONOTONIC; 0: none
};

struct Request {
  RequestHead head;
  absl::string_view body;    // LRI_BODY_PADDING (64) more bytes must be readable behind it
  uint64_t head_ticket = 0;  // HeadVerdict::ticket of this very head; 0: CheckHead was not called
};

// An answer that was validated: the status is from 200 to 599, and no header can break out of its
// line. Without Content-Length, Connection and Date, which the transport adds. All views end with
// the call that passes it.
struct Answer {
  int status = 0;
  PairList headers;  // Content-Type among them
  absl::string_view body;
  int32_t reason = LRI_REASON_ANSWERED;  // enum lri_reason
  absl::string_view detail;              // a sentence for the operator, or empty
  // True: the host answers in place of a plugin that has not let go of the request. The request's
  // memory must stay until OnRequestReleased, which comes later or, from a faulty plugin, never.
  bool request_is_held = false;
};

// Names one call from Execute to its answer. A stale one is recognised, never mistaken for another.
struct CallHandle {
  uint64_t value = 0;  // 0: none
};

// Takes the answer of one call. After an Execute that returned OK:
//   - OnAnswer comes exactly once, unless Abandon returned true; then it does not come.
//   - OnRequestReleased comes exactly once and last: the plugin no longer reads the request, so its
//     memory, and the receiver, may go. It follows OnAnswer within the same call; after an Abandon
//     it comes when the plugin lets go, which a faulty one never does.
// After an Execute that failed neither comes.
//
// Either may come on any thread and before Execute returns. Neither may throw (the process would
// end), block, or call Execute.
class AnswerReceiver {
 public:
  virtual void OnAnswer(const Answer& answer) = 0;
  virtual void OnRequestReleased() = 0;

 protected:
  ~AnswerReceiver() = default;
};

// Takes the answer of CheckHead, within that call.
class HeadAnswerReceiver {
 public:
  virtual void OnHeadAnswer(const Answer& answer) = 0;

 protected:
  ~HeadAnswerReceiver() = default;
};

struct HeadVerdict {
  bool refused = false;           // true: the receiver has the answer; do not read the body
  uint64_t body_limit_bytes = 0;  // a longer body is to be answered 413
  uint64_t ticket = 0;            // for Request::head_ticket
};

}  // namespace host_stub

#endif  // HOST_STUB_ENGINE_REQUEST_H_
