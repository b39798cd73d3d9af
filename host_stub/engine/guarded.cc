#include "host_stub/engine/guarded.h"

#include <cstring>
#include <memory>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "host_stub/engine/logger.h"

namespace host_stub {

absl::StatusCode ToStatusCode(int32_t code) {
  return code >= 0 && code <= 16 ? static_cast<absl::StatusCode>(code) : absl::StatusCode::kUnknown;
}

absl::Status ErrorText::ToStatus(int32_t code, absl::string_view otherwise) const {
  const absl::string_view text(error_.message, strnlen(error_.message, sizeof(error_.message)));
  return absl::Status(ToStatusCode(code), text.empty()
                                              ? std::string(otherwise)
                                              : EscapeForLog(text, 2 * sizeof(error_.message)));
}

void TellThrown(absl::string_view name, absl::string_view what, std::string* line) noexcept try {
  *line = absl::StrCat("the plugin's function ", name, " threw an exception",
                       what.empty() ? "" : ": ", what);
} catch (const std::exception&) {
  line->clear();
}

bool RunUntil(absl::Time deadline, std::function<void()> function) {
  auto returned = std::make_shared<absl::Notification>();
  std::thread thread([returned, function = std::move(function)] {
    function();
    returned->Notify();
  });
  if (returned->WaitForNotificationWithDeadline(deadline)) {
    thread.join();
    return true;
  }
  thread.detach();
  return false;
}

}  // namespace host_stub
