// Calls into a plugin, so that nothing but an absl::Status comes back. Private to the engine.
#ifndef HOST_STUB_ENGINE_GUARDED_H_
#define HOST_STUB_ENGINE_GUARDED_H_

#include <cstdint>
#include <exception>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "plugin/abi/long_running_integration.h"

namespace host_stub {

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

// A code as it came from a plugin; one that is none of google.rpc.Code becomes UNKNOWN.
absl::StatusCode ToStatusCode(int32_t code);

// Writes a line about it; an empty one where there is no memory.
void TellThrown(absl::string_view name, absl::string_view what, std::string* line) noexcept;

// Calls function(), which calls into the plugin and returns its code. True: *code is set. False:
// it threw, and *thrown says what in one line.
template <typename Function>
bool CallGuarded(absl::string_view name, Function&& function, int32_t* code, std::string* thrown) {
  try {
    *code = function();
    return true;
  } catch (const std::exception& exception) {
    TellThrown(name, exception.what(), thrown);
  } catch (...) {
    TellThrown(name, "", thrown);
  }
  return false;
}

// Runs `function` on a thread of its own. False: it has not returned by `deadline`; it goes on, so
// what it uses must stay.
bool RunUntil(absl::Time deadline, std::function<void()> function);

}  // namespace host_stub

#endif  // HOST_STUB_ENGINE_GUARDED_H_
