// Judges an answer as it came from a plugin, before anything of it reaches a sender.
#ifndef HOST_STUB_ENGINE_ABI_ANSWER_H_
#define HOST_STUB_ENGINE_ABI_ANSWER_H_

#include "host_stub/engine/request.h"
#include "plugin/abi/long_running_integration.h"

namespace host_stub {

// Fills in *answer, with views into `given`, and returns null; or returns what is wrong with it:
// one line. Header names are tokens (RFC 9110 section 5.6.2), values have no control characters but
// tab (section 5.5), so that no header can begin another line.
const char* JudgeAnswer(const lri_answer* given, Answer* answer);

// An answer of the host's own: a status and a line of plain text, which must outlive the answer.
class PlainAnswer {
 public:
  PlainAnswer(int status, absl::string_view text);
  PlainAnswer(const PlainAnswer&) = delete;
  PlainAnswer& operator=(const PlainAnswer&) = delete;

  const Answer& answer() const { return answer_; }

 private:
  lri_pair headers_[2];
  Answer answer_;
};

}  // namespace host_stub

#endif  // HOST_STUB_ENGINE_ABI_ANSWER_H_
