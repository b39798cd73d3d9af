// The border to a plugin: calls into it, and reads what comes back. Private to the engine.
#ifndef HOST_STUB_ENGINE_BORDER_H_
#define HOST_STUB_ENGINE_BORDER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "host_stub/engine/request.h"
#include "plugin/abi/long_running_integration.h"

namespace host_stub {

// Writes one line that names the plugin, its function and the exception that is being handled, then
// ends the process.
[[noreturn]] void EndBecauseOfException(absl::string_view plugin, const char* function) noexcept;

// Returns what call() returns. Every call of a plugin's function goes through here. A plugin must
// not let an exception out (see the ABI header): nothing that it holds could be trusted after.
template <typename Call>
auto CallPlugin(absl::string_view plugin, const char* function, const Call& call) {
  try {
    return call();
  } catch (...) {
    EndBecauseOfException(plugin, function);
  }
}

// Runs `function` on a thread of its own. False: it has not returned by `deadline`; it goes on, so
// what it uses must stay.
bool RunUntil(absl::Time deadline, std::function<void()> function);

// Room for a plugin's reason of refusal.
class ErrorText {
 public:
  ErrorText() {
    error_.struct_size = sizeof(error_);
    error_.message[0] = '\0';
  }
  lri_error* abi() { return &error_; }

  // `code` as a status with the plugin's text, or `otherwise` where it gave none.
  absl::Status ToStatus(int32_t code, absl::string_view otherwise) const;

 private:
  lri_error error_;
};

// A code as it came from a plugin; one that is not among google.rpc.Code becomes UNKNOWN.
absl::StatusCode ToStatusCode(int32_t code);

inline bool IsReadable(const lri_views& views) {
  return views.count == 0 || (views.data != nullptr && views.stride >= sizeof(lri_view));
}

// Calls `function` for each element of an array of the ABI; not at all if it is not readable.
template <typename Element, typename Array, typename Function>
void ForEach(const Array& array, const Function& function) {
  if (array.data == nullptr || array.stride < sizeof(Element)) return;
  for (size_t i = 0; i < array.count; ++i) function(At(array.data, array.stride, i));
}

// Copies; nothing where the array is not readable.
std::vector<std::string> ToStrings(const lri_views& views);

// Fills in every member; views are the head's.
void ToAbi(const RequestHead& head, lri_request_head* abi);

// Fills in *answer, with views into `given`, and returns null; or returns one line that says what
// is wrong with it. Header names must be tokens (RFC 9110 section 5.6.2) and values must have no
// control character but the tab (section 5.5), so that no header can begin another line.
const char* ValidateAnswer(const lri_answer* given, Answer* answer);

// An answer of the host's own: a status and a line of plain text, which must outlive the answer.
Answer PlainAnswer(int status, lri_reason reason, absl::string_view text);

}  // namespace host_stub

#endif  // HOST_STUB_ENGINE_BORDER_H_
