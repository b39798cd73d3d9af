#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "host_stub/observe/logger.h"
#include "host_stub/observe/process.h"
#include "host_stub/service/grpc_server_context.h"
#include "host_stub/service/once_reactor.h"
#include "host_stub/service/readable.h"
#include "host_stub/store/incident_store.h"
#include "long_running_integration/v1/operations.grpc.pb.h"

namespace host_stub {
namespace {

namespace v1 = ::long_running_integration::v1;
using Context = grpc::CallbackServerContext;

constexpr absl::string_view kBefore = "before:";
constexpr int64_t kDefaultAuditPage = 100;
constexpr int64_t kLargestAuditPage = 1'000;

void Set(absl::Time time, google::protobuf::Timestamp& message) {
  message.set_seconds(absl::ToUnixSeconds(time));
  message.set_nanos(static_cast<int32_t>(absl::ToUnixNanos(time) % 1'000'000'000));
}

void Set(absl::Duration duration, google::protobuf::Duration& message) {
  message.set_seconds(absl::IDivDuration(duration, absl::Seconds(1), &duration));
  message.set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(duration)));
}

// What strangers sent need not be UTF-8, as a field of proto must be.
std::string Text(absl::string_view octets) { return EscapeForLog(octets, SIZE_MAX); }

void Fill(const Refusal& refusal, v1::Refusal& message) {
  Set(refusal.time, *message.mutable_time());
  message.set_instance(refusal.instance);
  message.set_via(DoorName(refusal.door));
  message.set_request_id(Text(refusal.request_id));
  message.set_peer(Text(refusal.peer));
  message.set_method(Text(refusal.method));
  message.set_path(Text(refusal.path));
  for (const std::string& name : refusal.header_names) message.add_header_names(Text(name));
  message.set_trace_id(Text(refusal.trace_id));
  message.set_status(refusal.status);
  message.set_reason(lri_reason_name(refusal.reason));
  message.set_detail(Text(refusal.detail));
  message.set_bytes_received(static_cast<int64_t>(refusal.bytes_received));
  message.set_bytes_sent(static_cast<int64_t>(refusal.bytes_sent));
  Set(refusal.duration, *message.mutable_duration());
}

void Fill(const AuditEntry& entry, v1::AuditEntry& message) {
  message.set_number(entry.number);
  Set(entry.time, *message.mutable_time());
  message.set_who(entry.who);
  message.set_what(entry.what);
  message.set_instance(entry.instance);
  message.set_outcome(entry.outcome);
  message.mutable_parameters()->Assign(entry.parameters.begin(), entry.parameters.end());
}

// The number of a reason's name; 0 for an unknown one.
int32_t ReasonOf(absl::string_view name) {
#define HOST_STUB_IF_REASON(identifier, number, text) \
  if (name == text) return number;
  LRI_REASONS(HOST_STUB_IF_REASON)
#undef HOST_STUB_IF_REASON
  return LRI_REASON_ANSWERED;
}

void Count(const TrafficCounts& counts, v1::HostStatus& status) {
  for (int i = 0; i < static_cast<int>(Outcome::kCount); ++i) {
    const auto outcome = static_cast<Outcome>(i);
    if (const int64_t count = counts.of(outcome); count > 0) {
      (*status.mutable_outcomes())[OutcomeName(outcome)] += count;
    }
  }
  for (const auto& [reason, count] : counts.reasons()) {
    if (IsRefusal(reason)) (*status.mutable_refusals())[reason] += count;
  }
}

void AddInstance(const InstanceEntry& entry, v1::HostStatus& status) {
  status.set_instances(status.instances() + 1);
  if (entry.serves()) status.set_instances_serving(status.instances_serving() + 1);
  const auto warn = [&](absl::string_view what) {
    status.add_warnings(absl::StrCat("[", entry.settings.name, "] ", what));
  };
  if (entry.start_error.has_value()) warn(entry.start_error->message);
  if (entry.instance == nullptr) return;
  const InstanceHealth health = entry.instance->health();
  if (health.state != HealthState::kHealthy && !health.message.empty()) warn(health.message);
  const InstanceCounts counts = entry.instance->counts();
  status.set_incidents_created(status.incidents_created() + counts.incidents_created);
  status.set_incidents_duplicate(status.incidents_duplicate() + counts.incidents_duplicate);
  status.set_calls_in_flight(status.calls_in_flight() + counts.calls_in_flight);
  Count(entry.instance->traffic(), status);
  const auto description = entry.instance->Describe();
  if (!description.ok()) return;
  for (const std::string& warning : description->warnings) warn(warning);
}

class OperationsService : public v1::OperationsService::CallbackService {
 public:
  explicit OperationsService(std::shared_ptr<GrpcServerContext> server)
      : server_(std::move(server)) {}

  grpc::ServerUnaryReactor* GetStatus(Context* context, const v1::GetStatusRequest*,
                                      v1::HostStatus* response) override {
    if (server_->state == nullptr || server_->traffic == nullptr) {
      return EndCall(*context, absl::UnimplementedError("this host does not tell how it is"));
    }
    const HostState state = server_->state();
    const ProcessUse use = ReadProcessUse();
    response->set_version(server_->plugin.version);
    Set(use.started, *response->mutable_started());
    response->set_http_address(state.http_address);
    response->set_grpc_address(state.grpc_address);
    response->set_admin_address(state.admin_address);
    response->set_draining(state.draining);
    const std::shared_ptr<const InstanceSnapshot> snapshot = server_->instances->current();
    for (const auto& [name, entry] : snapshot->entries()) {
      if (!entry->settings.disabled) AddInstance(*entry, *response);
    }
    Count(server_->traffic->without_instance(), *response);
    if (const absl::Status health = server_->store->health(); !health.ok()) {
      response->set_store_fault(std::string(health.message()));
    }
    response->set_last_incident_id(server_->store->last_id());
    response->set_front_connections(state.front_connections);
    response->set_front_active_requests(state.front_active_requests);
    Set(state.last_reload, *response->mutable_configuration_taken_over());
    response->set_last_reload_succeeded(state.last_reload_succeeded);
    response->set_log_lines_dropped(server_->logger->dropped());
    response->set_resident_bytes(use.resident_bytes);
    response->set_open_descriptors(use.open_descriptors);
    response->set_most_descriptors(use.most_descriptors);
    Set(use.processor, *response->mutable_processor_time());
    for (const std::string& warning : server_->warnings()) response->add_warnings(warning);
    return EndCall(*context, absl::OkStatus());
  }

  grpc::ServerUnaryReactor* ListRefusals(Context* context, const v1::ListRefusalsRequest* request,
                                         v1::ListRefusalsResponse* response) override {
    return EndCall(*context, List(*request, *response));
  }

  // The page token is kBefore and the number of the last entry of the page before. Posted, because
  // it waits for the disk.
  grpc::ServerUnaryReactor* ListAudit(Context*, const v1::ListAuditRequest* request,
                                      v1::ListAuditResponse* response) override {
    auto reactor = OnceReactor::Make(server_);
    int64_t before = 0;
    absl::string_view token = request->page_token();
    absl::Status status = CheckReadable(*request);
    if (status.ok() && server_->audit == nullptr) {
      status = absl::UnimplementedError("this host keeps no audit");
    }
    if (status.ok() && request->page_size() < 0) {
      status = FieldFault("page_size", "must not be negative");
    }
    if (status.ok() && !token.empty() &&
        (!absl::ConsumePrefix(&token, kBefore) || !absl::SimpleAtoi(token, &before) ||
         before <= 0)) {
      status = FieldFault("page_token", "is not a token of this method");
    }
    if (!status.ok()) {
      reactor->Complete(status);
      return reactor.get();
    }
    const int64_t size = request->page_size() == 0
                             ? kDefaultAuditPage
                             : std::min<int64_t>(request->page_size(), kLargestAuditPage);
    reactor->Post([store = server_->audit, reactor, response, before, size] {
      const absl::StatusOr<std::vector<AuditEntry>> entries = store->ListAudit(before, size);
      reactor->CompleteWith([&] {
        if (!entries.ok()) return entries.status();
        for (const AuditEntry& entry : *entries) Fill(entry, *response->add_entries());
        if (static_cast<int64_t>(entries->size()) == size) {
          response->set_next_page_token(absl::StrCat(kBefore, entries->back().number));
        }
        return absl::OkStatus();
      });
    });
    return reactor.get();
  }

 private:
  absl::Status List(const v1::ListRefusalsRequest& request, v1::ListRefusalsResponse& response) {
    if (absl::Status status = CheckReadable(request); !status.ok()) return status;
    if (server_->traffic == nullptr) return absl::UnimplementedError("this host keeps no refusals");
    if (request.page_size() < 0) return FieldFault("page_size", "must not be negative");
    RefusalQuery query{.instance = request.instance(), .position = request.position()};
    if (!request.reason().empty()) {
      query.reason = ReasonOf(request.reason());
      if (query.reason == LRI_REASON_ANSWERED) return FieldFault("reason", "is not a known reason");
    }
    if (request.page_size() > 0) query.limit = static_cast<size_t>(request.page_size());
    if (!request.instance().empty()) {
      const auto entry = server_->FindEntry("instance", request.instance());
      if (!entry.ok()) return entry.status();
    }
    absl::StatusOr<RefusalPage> page = server_->traffic->refusals().List(query);
    if (!page.ok()) return page.status();
    for (const Refusal& refusal : page->refusals) Fill(refusal, *response.add_refusals());
    response.set_position(page->position);
    response.set_gap(page->gap);
    return absl::OkStatus();
  }

  const std::shared_ptr<GrpcServerContext> server_;
};

}  // namespace

std::unique_ptr<grpc::Service> NewOperationsService(std::shared_ptr<GrpcServerContext> server) {
  return std::make_unique<OperationsService>(std::move(server));
}

}  // namespace host_stub
