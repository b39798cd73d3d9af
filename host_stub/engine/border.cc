#include "host_stub/engine/border.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <span>
#include <thread>
#include <utility>

#include "absl/synchronization/notification.h"
#include "host_stub/observe/logger.h"
#include "plugin/base/characters.h"
#include "plugin/base/thread.h"

namespace host_stub {
namespace {

// More than this is a mistake in a count.
constexpr size_t kMostHeaders = 256;

}  // namespace

void EndBecauseOfException(absl::string_view plugin, const char* function) noexcept {
  const char* what = "of an unknown type";
  try {
    throw;
  } catch (const std::exception& exception) {
    what = exception.what();
  } catch (...) {
  }
  std::fprintf(stderr,
               "plugin %.*s: its function %s threw an exception (%s), which a plugin must not do; "
               "the process ends\n",
               static_cast<int>(plugin.size()), plugin.data(), function, what);
  std::abort();
}

bool RunUntil(absl::Time deadline, std::function<void()> function) {
  auto returned = std::make_shared<absl::Notification>();
  std::thread thread =
      base::StartThread("plugin-control", [returned, function = std::move(function)] {
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

absl::Status ErrorText::ToStatus(int32_t code, absl::string_view otherwise) const {
  const absl::string_view text(error_.message, strnlen(error_.message, sizeof(error_.message)));
  return absl::Status(ToStatusCode(code), text.empty()
                                              ? std::string(otherwise)
                                              : EscapeForLog(text, 2 * sizeof(error_.message)));
}

absl::StatusCode ToStatusCode(int32_t code) {
  return code >= 0 && code <= 16 ? static_cast<absl::StatusCode>(code) : absl::StatusCode::kUnknown;
}

std::vector<std::string> ToStrings(const lri_views& views) {
  std::vector<std::string> texts;
  if (!IsReadable(views)) return texts;
  for (size_t i = 0; i < views.count; ++i) {
    texts.emplace_back(ToStringView(At(views.data, views.stride, i)));
  }
  return texts;
}

void ToAbi(const RequestHead& head, lri_request_head* abi) {
  abi->struct_size = sizeof(*abi);
  abi->peer_flags = head.peer_is_doubtful ? LRI_PEER_DOUBTFUL : 0;
  abi->method = ToView(head.method);
  abi->path = ToView(head.path);
  abi->remainder = ToView(head.remainder);
  abi->query = ToView(head.query);
  abi->headers = PairList(head.headers).abi();
  abi->peer_address = ToView(head.peer_address);
  abi->request_id = ToView(head.request_id);
  abi->content_length = head.content_length;
  abi->deadline_mono_ns = head.deadline_mono_ns;
}

const char* ValidateAnswer(const lri_answer* given, Answer* answer) {
  if (given == nullptr || !LRI_HAS(given, body)) return "it is missing or too short";
  if (given->status < 200 || given->status > 599) return "its status is not from 200 to 599";
  if (given->body.data == nullptr && given->body.size > 0) return "its body is NULL with a size";
  const lri_pairs& headers = given->headers;
  if (headers.count > kMostHeaders) return "it has too many headers";
  if (headers.count > 0 && (headers.data == nullptr || headers.stride < sizeof(lri_pair))) {
    return "its headers are NULL or overlap";
  }
  const PairList list(headers);
  for (size_t i = 0; i < list.size(); ++i) {
    if (!base::IsToken(list.name(i))) return "the name of a header is no token";
    if (!base::IsFieldValue(list.value(i))) return "the value of a header has a control character";
  }
  answer->status = given->status;
  answer->headers = list;
  answer->body = ToStringView(given->body);
  if (LRI_HAS(given, detail)) {
    answer->reason = given->reason;
    answer->detail = ToStringView(given->detail);
  }
  return nullptr;
}

Answer PlainAnswer(int status, lri_reason reason, absl::string_view text) {
  static const lri_pair kHeaders[] = {{ToView("Content-Type"), ToView("text/plain; charset=utf-8")},
                                      {ToView("Retry-After"), ToView("1")}};
  return {.status = status,
          .headers = PairList(std::span(kHeaders, status == 503 ? 2 : 1)),
          .body = text,
          .reason = reason,
          .detail = text};
}

}  // namespace host_stub
