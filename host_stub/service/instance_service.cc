#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "host_stub/config/configuration.h"
#include "host_stub/service/instance_messages.h"
#include "host_stub/service/once_reactor.h"
#include "host_stub/service/readable.h"
#include "long_running_integration/v1/instance.grpc.pb.h"
#include "plugin/base/characters.h"

namespace host_stub {
namespace {

namespace v1 = ::long_running_integration::v1;
using Context = grpc::CallbackServerContext;

constexpr int kDefaultPage = 100;
constexpr int kLargestPage = 1'000;
constexpr absl::string_view kAfter = "after:";

class InstanceService : public v1::InstanceService::CallbackService {
 public:
  explicit InstanceService(std::shared_ptr<GrpcServerContext> server)
      : server_(std::move(server)) {}

  grpc::ServerUnaryReactor* GetInstance(Context* context, const v1::GetInstanceRequest* request,
                                        v1::Instance* response) override {
    if (absl::Status status = CheckReadable(*request); !status.ok()) {
      return EndCall(*context, status);
    }
    const auto entry = server_->FindEntry("name", request->name());
    if (!entry.ok()) return EndCall(*context, entry.status());
    Show(*server_, ToListed(*server_->instances->current(), **entry), *response);
    return EndWithHosts(*context, response);
  }

  // The page token is kAfter and the last name of the page before.
  grpc::ServerUnaryReactor* ListInstances(Context* context, const v1::ListInstancesRequest* request,
                                          v1::ListInstancesResponse* response) override {
    if (absl::Status status = CheckReadable(*request); !status.ok()) {
      return EndCall(*context, status);
    }
    if (request->page_size() < 0) {
      return EndCall(*context, FieldFault("page_size", "must not be negative"));
    }
    absl::string_view after = request->page_token();
    if (!after.empty() && (!absl::ConsumePrefix(&after, kAfter) || !base::IsName(after))) {
      return EndCall(*context, FieldFault("page_token", "is not a token of this method"));
    }
    const int size =
        request->page_size() == 0 ? kDefaultPage : std::min(request->page_size(), kLargestPage);
    const std::shared_ptr<const InstanceSnapshot> snapshot = server_->instances->current();
    const InstanceSnapshot::Entries& entries = snapshot->entries();
    for (auto entry = entries.upper_bound(after); entry != entries.end(); ++entry) {
      if (response->instances_size() == size) {
        response->set_next_page_token(absl::StrCat(kAfter, response->instances(size - 1).name()));
        break;
      }
      Show(*server_, ToListed(*snapshot, *entry->second), *response->add_instances());
    }
    return EndWithHosts(*context, response);
  }

  grpc::ServerUnaryReactor* CreateInstance(Context* context,
                                           const v1::CreateInstanceRequest* request,
                                           v1::Instance* response) override {
    return Change(
        *context, *request, "create", request->instance().name(),
        [server = server_, request = *request](const AuditEntry& audit, v1::Instance& result) {
          absl::StatusOr<InstanceSettings> settings = ToSettings(request);
          if (!settings.ok()) return settings.status();
          return Fill(*server,
                      server->manager->Create(*std::move(settings), request.validate_only(), audit),
                      result);
        },
        response);
  }

  grpc::ServerUnaryReactor* UpdateInstance(Context* context,
                                           const v1::UpdateInstanceRequest* request,
                                           v1::Instance* response) override {
    const auto& paths = request->update_mask().paths();
    const bool only_disabled = paths.size() == 1 && paths[0] == "disabled";
    const char* const what = !only_disabled                   ? "update"
                             : request->instance().disabled() ? "disable"
                                                              : "enable";
    return Change(
        *context, *request, what, request->instance().name(),
        [server = server_, request = *request](const AuditEntry& audit, v1::Instance& result) {
          absl::Status named = CheckName("instance.name", request.instance().name());
          if (!named.ok()) return named;
          const auto change = [&request](InstanceSettings& settings) {
            return ApplyUpdate(request, settings);
          };
          return Fill(*server,
                      server->manager->Update(request.instance().name(), request.instance().etag(),
                                              change, request.validate_only(), audit),
                      result);
        },
        response);
  }

  grpc::ServerUnaryReactor* DeleteInstance(Context* context,
                                           const v1::DeleteInstanceRequest* request,
                                           google::protobuf::Empty* response) override {
    return Change(
        *context, *request, "delete", request->name(),
        [server = server_, request = *request](const AuditEntry& audit, google::protobuf::Empty&) {
          absl::Status named = CheckName("name", request.name());
          if (!named.ok()) return named;
          absl::Status status = server->manager->Delete(request.name(), request.etag(), audit);
          if (!absl::IsNotFound(status) || !request.allow_missing()) return status;
          return server->manager->AuditNoChange(audit, absl::OkStatus());
        },
        response);
  }

 private:
  static std::vector<v1::Instance*> InstancesOf(v1::Instance& response) { return {&response}; }
  static std::vector<v1::Instance*> InstancesOf(v1::ListInstancesResponse& response) {
    return {response.mutable_instances()->pointer_begin(),
            response.mutable_instances()->pointer_end()};
  }

  // Adds what the hosts that share the store told. That waits for the database, and so it is done
  // on the thread pool.
  template <typename Response>
  grpc::ServerUnaryReactor* EndWithHosts(Context& context, Response* response) {
    if (server_->audit == nullptr || !server_->audit->is_shared()) {
      return EndCall(context, absl::OkStatus());
    }
    auto reactor = OnceReactor::Make(server_);
    reactor->Post([server = server_, reactor, response, result = *response]() mutable {
      std::vector<std::string> uids;
      for (const v1::Instance* instance : InstancesOf(result)) uids.push_back(instance->uid());
      const auto hosts = server->audit->ListOnHosts(uids);
      for (v1::Instance* instance : InstancesOf(result)) {
        if (hosts.ok()) {
          FillHosts(*hosts, *instance);
        } else {
          instance->add_warnings(
              absl::StrCat("where else it is served is not known: ", hosts.status().message()));
        }
      }
      reactor->CompleteWith([&] {
        *response = std::move(result);
        return absl::OkStatus();
      });
    });
    return reactor.get();
  }

  static bool IsDry(const v1::DeleteInstanceRequest&) { return false; }
  template <typename Request>
  static bool IsDry(const Request& request) {
    return request.validate_only();
  }

  // Runs `change` on the thread pool, since it may wait for the disk and for requests in flight. It
  // fills a response of its own: if the caller is gone by then, gRPC's response is gone as well.
  // What it refuses is kept in the audit here.
  template <typename Request, typename Response, typename Function>
  grpc::ServerUnaryReactor* Change(const Context& context, const Request& request, const char* what,
                                   const std::string& instance, Function change,
                                   Response* response) {
    auto reactor = OnceReactor::Make(
        server_, "the host is stopping; it is not known whether the change was made");
    if (absl::Status status = CheckReadable(request); !status.ok()) {
      reactor->Complete(status);
      return reactor.get();
    }
    if (server_->manager == nullptr) {
      reactor->Complete(absl::UnimplementedError("this host's instances cannot be changed"));
      return reactor.get();
    }
    AuditEntry audit;
    audit.who = NameOfCaller(context);
    audit.what = what;
    // What is no name may be a secret in the wrong place.
    if (base::IsName(instance)) audit.instance = instance;
    reactor->Post([server = server_, reactor, response, audit, dry = IsDry(request),
                   change = std::move(change)] {
      Response result;
      const absl::Status status = change(audit, result);
      if (!status.ok() && !dry) server->manager->AuditNoChange(audit, status).IgnoreError();
      reactor->CompleteWith([&] {
        *response = std::move(result);
        return status;
      });
    });
    return reactor.get();
  }

  static absl::Status Fill(const GrpcServerContext& server,
                           const absl::StatusOr<ListedInstance>& listed, v1::Instance& message) {
    if (listed.ok()) Show(server, *listed, message);
    return listed.status();
  }

  static void Show(const GrpcServerContext& server, const ListedInstance& listed,
                   v1::Instance& message) {
    FillInstance(listed, server.draining, message);
    // The store has the instances' secrets.
    std::string warning = server.store->warning();
    if (!warning.empty() && !listed.in_file) message.add_warnings(std::move(warning));
  }

  const std::shared_ptr<GrpcServerContext> server_;
};

}  // namespace

std::unique_ptr<grpc::Service> NewInstanceService(std::shared_ptr<GrpcServerContext> server) {
  return std::make_unique<InstanceService>(std::move(server));
}

}  // namespace host_stub
