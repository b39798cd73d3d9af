// What became of a request or connection, as the border between host and plugin has it.
#ifndef PLUGIN_HTTP_REPORT_H_
#define PLUGIN_HTTP_REPORT_H_

#include <cstddef>
#include <iterator>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "plugin/abi/long_running_integration.h"
#include "plugin/base/trace_parent.h"
#include "plugin/http/handler.h"

namespace webhook::http {

// It views the caller's texts, and is not copyable because it points into itself.
class Report {
 public:
  Report(lri_door door, lri_host_instance* instance, absl::string_view path) {
    constexpr size_t kMostPathBytes = 256;
    answered_.struct_size = sizeof answered_;
    answered_.door = door;
    answered_.instance = instance;
    answered_.path = View(path.substr(0, kMostPathBytes));
    answered_.header_names = {names_, 0, sizeof(lri_view)};
  }

  // Of an answer of a Server. `id_prefix`: see RequestId. Without the head there is no id, no name
  // of a header and no trace.
  Report(lri_door door, lri_host_instance* instance, const Answered& answered,
         absl::string_view id_prefix, bool with_head = true)
      : Report(door, instance, answered.path) {
    if (with_head && answered.exchange != nullptr) {
      id_.emplace(id_prefix, *answered.exchange);
      answered_.request_id = View(id_->text());
      for (const HeaderField& field : answered.exchange->head().fields) {
        AddHeader(field.name, field.value);
      }
    }
    answered_.peer_address = View(answered.peer);
    answered_.method = View(answered.method);
    answered_.status = answered.status;
    answered_.reason = answered.reason;
    answered_.detail = View(answered.detail);
    answered_.bytes_received = static_cast<uint64_t>(answered.bytes_in);
    answered_.bytes_sent = static_cast<uint64_t>(answered.bytes_out);
    answered_.duration_ns = answered.duration_ns;
    answered_.over_tls = answered.over_tls ? 1 : 0;
  }

  Report(const Report&) = delete;
  Report& operator=(const Report&) = delete;

  // Of the value only the id of a trace is taken. Names beyond the 32nd are left out.
  void AddHeader(absl::string_view name, absl::string_view value) {
    constexpr size_t kMostNameBytes = 64;
    if (absl::EqualsIgnoreCase(name, base::kTraceParent)) {
      answered_.trace_id = View(base::TraceIdOf(value));
    }
    if (answered_.header_names.count == std::size(names_)) return;
    names_[answered_.header_names.count++] = View(name.substr(0, kMostNameBytes));
  }

  // The other members are the caller's to set.
  lri_answered& abi() { return answered_; }

 private:
  static lri_view View(absl::string_view text) { return {text.data(), text.size()}; }

  std::optional<RequestId> id_;
  lri_view names_[32];
  lri_answered answered_{};
};

}  // namespace webhook::http

#endif  // PLUGIN_HTTP_REPORT_H_
