#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "host_stub/config/configuration.h"
#include "host_stub/service/guarded_reactor.h"
#include "host_stub/service/instance_messages.h"
#include "host_stub/service/services.h"
#include "long_running_integration/v1/instance.grpc.pb.h"

namespace host_stub {
namespace {

namespace v1 = ::long_running_integration::v1;
using Context = grpc::CallbackServerContext;

constexpr int kDefaultPage = 100;
constexpr int kLargestPage = 1'000;

class InstanceService : public v1::InstanceService::CallbackService {
 public:
  explicit InstanceService(std::shared_ptr<CallEnvironment> environment)
      : environment_(std::move(environment)) {}

  grpc::ServerUnaryReactor* GetInstance(Context* context, const v1::GetInstanceRequest* request,
                                        v1::Instance* response) override {
    absl::Status named = CheckName("name", request->name());
    if (!named.ok()) return End(context, named);
    const auto listed = environment_->directory->Find(request->name());
    if (!listed.has_value()) {
      return End(context,
                 absl::NotFoundError(absl::StrCat("no instance \"", request->name(), "\"")));
    }
    Show(*environment_, *listed, *response);
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
      Show(*environment_, listed, *response->add_instances());
    }
    return End(context, absl::OkStatus());
  }

  grpc::ServerUnaryReactor* CreateInstance(Context*, const v1::CreateInstanceRequest* request,
                                           v1::Instance* response) override {
    return Change(
        [environment = environment_, request = *request](v1::Instance& result) {
          absl::StatusOr<InstanceSettings> settings = ToSettings(request);
          if (!settings.ok()) return settings.status();
          return Fill(*environment,
                      environment->manager->Create(*std::move(settings), request.validate_only()),
                      result);
        },
        response);
  }

  grpc::ServerUnaryReactor* UpdateInstance(Context*, const v1::UpdateInstanceRequest* request,
                                           v1::Instance* response) override {
    return Change(
        [environment = environment_, request = *request](v1::Instance& result) {
          absl::Status named = CheckName("instance.name", request.instance().name());
          if (!named.ok()) return named;
          const auto change = [&request](InstanceSettings& settings) {
            return ApplyUpdate(request, settings);
          };
          return Fill(
              *environment,
              environment->manager->Update(request.instance().name(), request.instance().etag(),
                                           change, request.validate_only()),
              result);
        },
        response);
  }

  grpc::ServerUnaryReactor* DeleteInstance(Context*, const v1::DeleteInstanceRequest* request,
                                           google::protobuf::Empty* response) override {
    return Change(
        [environment = environment_, request = *request](google::protobuf::Empty&) {
          absl::Status named = CheckName("name", request.name());
          if (!named.ok()) return named;
          const absl::Status status = environment->manager->Delete(request.name(), request.etag());
          return absl::IsNotFound(status) && request.allow_missing() ? absl::OkStatus() : status;
        },
        response);
  }

 private:
  static grpc::ServerUnaryReactor* End(Context* context, const absl::Status& status) {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(ToGrpc(status));
    return reactor;
  }

  // Runs on a thread of ours, for it may wait for the disk and for requests in flight. A caller
  // that is gone by then has no response any more, so `change` fills one of its own.
  template <typename Response, typename Function>
  grpc::ServerUnaryReactor* Change(Function change, Response* response) {
    auto reactor = GuardedReactor::Make(
        environment_, "the host is stopping; it is not known whether the change was made");
    if (environment_->manager == nullptr) {
      reactor->Complete(absl::UnimplementedError("this host's instances cannot be changed"));
      return reactor.get();
    }
    auto work = [reactor, response, change = std::move(change)] {
      Response result;
      const absl::Status status = change(result);
      reactor->Complete([&] {
        *response = std::move(result);
        return status;
      });
    };
    absl::Status posted = environment_->Post(std::move(work));
    if (!posted.ok()) reactor->Complete(posted);
    return reactor.get();
  }

  static absl::Status Fill(const CallEnvironment& environment,
                           const absl::StatusOr<ListedInstance>& listed, v1::Instance& message) {
    if (listed.ok()) Show(environment, *listed, message);
    return listed.status();
  }

  static void Show(const CallEnvironment& environment, const ListedInstance& listed,
                   v1::Instance& message) {
    FillInstance(listed, *environment.registry, message);
    if (!environment.draining || listed.disabled) return;
    message.mutable_health()->set_state(v1::INSTANCE_STATE_DRAINING);
  }

  const std::shared_ptr<CallEnvironment> environment_;
};

}  // namespace

std::unique_ptr<grpc::Service> NewInstanceService(std::shared_ptr<CallEnvironment> environment) {
  return std::make_unique<InstanceService>(std::move(environment));
}

}  // namespace host_stub
