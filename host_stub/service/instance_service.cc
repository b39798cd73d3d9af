#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "host_stub/config/external_key.h"
#include "host_stub/service/guarded_reactor.h"
#include "host_stub/service/services.h"
#include "long_running_integration/v1/instance.grpc.pb.h"

namespace host_stub {
namespace {

namespace v1 = ::long_running_integration::v1;
using Context = grpc::CallbackServerContext;

constexpr int kDefaultPage = 100;
constexpr int kLargestPage = 1'000;

v1::InstanceState ToState(HealthState state) {
  switch (state) {
    case HealthState::kHealthy:
      return v1::INSTANCE_STATE_HEALTHY;
    case HealthState::kDegraded:
      return v1::INSTANCE_STATE_DEGRADED;
    case HealthState::kUnhealthy:
      return v1::INSTANCE_STATE_UNHEALTHY;
  }
  return v1::INSTANCE_STATE_UNSPECIFIED;
}

void FillHealth(const HostedInstance& instance, v1::InstanceHealth& message) {
  const InstanceHealth health = instance.health();
  message.set_state(ToState(health.state));
  message.set_message(health.message);
  if (health.since > absl::UnixEpoch() && health.since < absl::InfiniteFuture()) {
    const int64_t nanoseconds = absl::ToUnixNanos(health.since);
    message.mutable_since()->set_seconds(nanoseconds / 1'000'000'000);
    message.mutable_since()->set_nanos(static_cast<int32_t>(nanoseconds % 1'000'000'000));
  }
  const InstanceCounts counts = instance.counts();
  message.set_request_count(counts.calls);
  message.set_in_flight_count(counts.calls_in_flight);
  message.set_abandoned_count(counts.abandoned);
  message.set_incident_count(counts.incidents_created);
}

void FillDescription(const InstanceDescription& description, const ListedInstance& listed,
                     v1::Instance& message) {
  v1::WebhookAddress& address = *message.mutable_address();
  address.set_url(description.webhook_url);
  address.set_listen_url(description.listen_url);
  address.set_path(absl::StrCat(description.path_prefix, listed.name));
  if (description.external_key_needed) address.set_external_key(ExternalKey(listed.name));
  address.set_external(!description.external_key_needed || listed.external_key_set);
  message.set_record_noun(description.record_noun);
  message.mutable_warnings()->Add(description.warnings.begin(), description.warnings.end());
}

class InstanceService : public v1::InstanceService::CallbackService {
 public:
  explicit InstanceService(std::shared_ptr<CallEnvironment> environment)
      : environment_(std::move(environment)) {}

  grpc::ServerUnaryReactor* GetInstance(Context* context, const v1::GetInstanceRequest* request,
                                        v1::Instance* response) override {
    const auto listed = environment_->directory->Find(request->name());
    if (!listed.has_value()) {
      return End(context,
                 absl::NotFoundError(absl::StrCat("no instance \"", request->name(), "\"")));
    }
    Fill(*listed, *response);
    return End(context, absl::OkStatus());
  }

  // The page token is the last name of the page before.
  grpc::ServerUnaryReactor* ListInstances(Context* context, const v1::ListInstancesRequest* request,
                                          v1::ListInstancesResponse* response) override {
    if (request->page_size() < 0) {
      return End(context, absl::InvalidArgumentError("page_size: must not be negative"));
    }
    if (!request->page_token().empty() && !IsInstanceName(request->page_token())) {
      return End(context, absl::InvalidArgumentError("page_token: is none of this method"));
    }
    const int size =
        request->page_size() == 0 ? kDefaultPage : std::min(request->page_size(), kLargestPage);
    for (const ListedInstance& listed : environment_->directory->List()) {
      if (listed.name <= request->page_token()) continue;
      if (response->instances_size() == size) {
        response->set_next_page_token(response->instances(size - 1).name());
        break;
      }
      Fill(listed, *response->add_instances());
    }
    return End(context, absl::OkStatus());
  }

  grpc::ServerUnaryReactor* CreateInstance(Context* context, const v1::CreateInstanceRequest*,
                                           v1::Instance*) override {
    return End(context, OnlyTheFile());
  }
  grpc::ServerUnaryReactor* UpdateInstance(Context* context, const v1::UpdateInstanceRequest*,
                                           v1::Instance*) override {
    return End(context, OnlyTheFile());
  }
  grpc::ServerUnaryReactor* DeleteInstance(Context* context, const v1::DeleteInstanceRequest*,
                                           google::protobuf::Empty*) override {
    return End(context, OnlyTheFile());
  }

 private:
  static absl::Status OnlyTheFile() {
    return absl::UnimplementedError(
        "this host knows the instances of its configuration file only; change the file and start "
        "the host again");
  }

  static grpc::ServerUnaryReactor* End(Context* context, const absl::Status& status) {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(ToGrpc(status));
    return reactor;
  }

  void Fill(const ListedInstance& listed, v1::Instance& message) const {
    message.set_name(listed.name);
    message.set_origin(listed.in_file ? v1::INSTANCE_ORIGIN_FILE : v1::INSTANCE_ORIGIN_STORE);
    message.set_disabled(listed.disabled);
    message.set_on_engine(listed.on_engine);
    for (const auto& [name, value] : listed.parameters) {
      (*message.mutable_parameters())[name] = value;
    }
    message.mutable_secrets_set()->Add(listed.secrets_set.begin(), listed.secrets_set.end());
    const std::shared_ptr<HostedInstance> instance = environment_->registry->Find(listed.name);
    if (instance == nullptr) {
      message.mutable_health()->set_state(listed.disabled ? v1::INSTANCE_STATE_DISABLED
                                                          : v1::INSTANCE_STATE_UNHEALTHY);
      return;
    }
    message.set_uid(instance->uid());
    FillHealth(*instance, *message.mutable_health());
    const absl::StatusOr<InstanceDescription> description = instance->Describe();
    if (description.ok()) FillDescription(*description, listed, message);
  }

  const std::shared_ptr<CallEnvironment> environment_;
};

}  // namespace

std::unique_ptr<grpc::Service> NewInstanceService(std::shared_ptr<CallEnvironment> environment) {
  return std::make_unique<InstanceService>(std::move(environment));
}

}  // namespace host_stub
