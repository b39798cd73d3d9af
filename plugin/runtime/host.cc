#include "plugin/runtime/host.h"

#include <cstdio>
#include <cstdlib>

#include "absl/time/clock.h"
#include "plugin/http/report.h"

namespace webhook::runtime {

void EndAfterException(const char* function, const char* what) {
  std::fprintf(stderr,
               "the plugin Generic Webhook ends the process: the host's function %s threw an "
               "exception: %s\n",
               function, what);
  std::abort();
}

absl::Status Host::Check(const lri_host* table) {
  if (table == nullptr || !LRI_HAS(table, complete) || table->create_incidents == nullptr ||
      table->complete == nullptr) {
    return absl::InvalidArgumentError(
        "the host's table lacks create_incidents or complete, which every host must have");
  }
  return absl::OkStatus();
}

int32_t Host::CreateIncidents(lri_host_instance* instance, const lri_incident_batch& batch) const {
  return CallHost("create_incidents", table_->create_incidents, table_->context, instance, &batch);
}

void Host::Complete(lri_call* call, const lri_answer& answer) const {
  CallHost("complete", table_->complete, table_->context, call, &answer);
}

int32_t Host::ContextGet(lri_host_instance* instance, absl::string_view key, lri_context_done done,
                         void* done_context) const {
  if (!LRI_HAS(table_, context_get) || table_->context_get == nullptr) return LRI_UNIMPLEMENTED;
  return CallHost("context_get", table_->context_get, table_->context, instance, ToView(key), done,
                  done_context);
}

int32_t Host::ContextSet(lri_host_instance* instance, absl::string_view key,
                         absl::string_view value, lri_context_done done, void* done_context) const {
  if (!LRI_HAS(table_, context_set) || table_->context_set == nullptr) return LRI_UNIMPLEMENTED;
  return CallHost("context_set", table_->context_set, table_->context, instance, ToView(key),
                  ToView(value), done, done_context);
}

void Host::SetHealth(lri_host_instance* instance, lri_health health,
                     absl::string_view message) const {
  if (!LRI_HAS(table_, set_health) || table_->set_health == nullptr) return;
  CallHost("set_health", table_->set_health, table_->context, instance, health, ToView(message));
}

void Host::Log(lri_host_instance* instance, lri_severity severity,
               absl::string_view message) const {
  if (!LRI_HAS(table_, log) || table_->log == nullptr) return;
  CallHost("log", table_->log, table_->context, instance, severity, ToView(message));
}

absl::Time Host::Now() const {
  if (!LRI_HAS(table_, now) || table_->now == nullptr) return absl::Now();
  return absl::FromUnixNanos(CallHost("now", table_->now, table_->context));
}

void Host::OnAnswered(const lri_answered& answered) const {
  CallHost("on_answered", table_->on_answered, table_->context, &answered);
}

void ReportToHost(const Host& host, lri_host_instance* instance, const lri_request_head& head,
                  size_t body_bytes, const lri_answer& answer, int64_t duration_ns) {
  http::Report report(LRI_DOOR_EXECUTE, instance, FromView(head.path));
  for (size_t i = 0; i < head.headers.count; ++i) {
    const lri_pair& header = At(head.headers, i);
    report.AddHeader(FromView(header.name), FromView(header.value));
  }
  lri_answered& abi = report.abi();
  abi.request_id = head.request_id;
  abi.peer_address = head.peer_address;
  abi.method = head.method;
  abi.status = answer.status;
  abi.reason = answer.reason;
  abi.detail = answer.detail;
  abi.bytes_received = body_bytes;
  abi.bytes_sent = answer.body.size;
  abi.duration_ns = duration_ns;
  host.OnAnswered(abi);
}

void Health::Begin(absl::string_view fault) {
  const std::lock_guard lock(mutex_);
  serving_ = true;
  fault_ = std::string(fault);
  Tell();
}

void Health::End() {
  const std::lock_guard lock(mutex_);
  serving_ = false;
  listener_ = absl::OkStatus();
}

void Health::SetListener(const absl::Status& status) {
  const std::lock_guard lock(mutex_);
  const bool again = status.ok() && !listener_.ok();
  listener_ = status;
  if (!serving_) return;
  if (!status.ok()) host_.Log(instance_, LRI_ERROR, status.message());
  if (again) host_.Log(instance_, LRI_INFO, "longRunningPort: it listens again");
  Tell();
}

void Health::Tell() {
  if (!listener_.ok()) {
    host_.SetHealth(instance_, LRI_UNHEALTHY, listener_.message());
  } else if (!fault_.empty()) {
    host_.SetHealth(instance_, LRI_DEGRADED, fault_);
  } else {
    host_.SetHealth(instance_, LRI_HEALTHY, "serves");
  }
}

}  // namespace webhook::runtime
