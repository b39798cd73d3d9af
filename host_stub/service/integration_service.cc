#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "host_stub/service/command_results.h"
#include "host_stub/service/execute_rpcs.h"
#include "host_stub/service/listen_port_check.h"
#include "host_stub/service/once_reactor.h"
#include "host_stub/service/readable.h"
#include "long_running_integration/v1/long_running_integration.grpc.pb.h"
#include "plugin/base/json_text.h"

namespace host_stub {
namespace {

namespace v1 = ::long_running_integration::v1;
using Context = grpc::CallbackServerContext;

// As the header of the ABI describes them.
std::string TryArguments(const v1::TryRequest& tried) {
  using base::JsonString;
  const v1::ExecuteRequest& request = tried.request();
  std::vector<std::string> headers;
  for (const v1::Header& header : request.headers()) {
    headers.push_back(base::JsonObject(
        {{"name", JsonString(header.name())}, {"value", JsonString(header.value())}}));
  }
  return base::JsonObject({{"method", JsonString(request.method())},
                           {"path", JsonString(request.path_remainder())},
                           {"query", JsonString(request.query())},
                           {"peer_address", JsonString(request.peer_address())},
                           {"at", JsonString(tried.at())},
                           {"headers", base::JsonArray(headers)},
                           {"body", JsonString(absl::Base64Escape(request.body()))}});
}

// OK where the instance has no listen port.
absl::Status CheckOwnPort(const InstanceEntry& entry, std::string& warning) {
  const auto& parameters = entry.settings.parameters;
  // It would close a connection without a PROXY header.
  if (entry.settings.port() == 0 || parameters.contains("proxy_protocol")) return absl::OkStatus();
  // What the plugin has to say of a port that it could not bind says more.
  if (entry.instance->health().state == HealthState::kUnhealthy) return absl::OkStatus();
  const auto address = parameters.find("bind_address");
  constexpr absl::Duration kTimeout = absl::Seconds(2);
  absl::StatusOr<std::string> checked =
      CheckListenPort({.address = address == parameters.end() ? "0.0.0.0" : address->second,
                       .port = entry.settings.port(),
                       .over_tls = parameters.contains("certificate")},
                      kTimeout);
  if (!checked.ok()) return absl::FailedPreconditionError(checked.status().message());
  warning = *std::move(checked);
  return absl::OkStatus();
}

class IntegrationService : public v1::LongRunningIntegration::CallbackService {
 public:
  IntegrationService(std::shared_ptr<GrpcServerContext> server, bool by_certificate)
      : server_(std::move(server)),
        by_certificate_(by_certificate),
        unary_calls_(server_),
        streams_(server_) {
    SetMessageAllocatorFor_Execute(&unary_calls_);
  }

  grpc::ServerUnaryReactor* Execute(Context* context, const v1::ExecuteRequest*,
                                    v1::ExecuteResponse*) override {
    return UnaryCall::Begin(*context, CallerOf(*context, by_certificate_));
  }

  ExecuteStreamReactor* ExecuteStream(Context* context) override {
    return streams_.New(*context, CallerOf(*context, by_certificate_));
  }

  grpc::ServerUnaryReactor* TestModule(Context* context, const v1::TestModuleRequest* request,
                                       v1::TestModuleResponse* response) override {
    const bool is_stranger = !CallerOf(*context, by_certificate_).trusted;
    auto warning = std::make_shared<std::string>();  // of its listen port
    return RunCommand(
        *context, "test", *request,
        [response, is_stranger, warning](const absl::StatusOr<std::string>& result) {
          absl::Status status = FillTestResult(result, *response);
          if (!warning->empty() && response->ok()) response->add_warnings(*warning);
          if (is_stranger) {
            response->clear_warnings();
            response->set_message(response->ok() ? "ok"
                                                 : "not ok: ask over the control socket why");
          }
          return status;
        },
        "", [warning](const InstanceEntry& entry) { return CheckOwnPort(entry, *warning); });
  }

  grpc::ServerUnaryReactor* FetchSamples(Context* context, const v1::FetchSamplesRequest* request,
                                         v1::FetchSamplesResponse* response) override {
    return ShowPayloads(*context, "samples", *request, &FillSamples, response);
  }

  grpc::ServerUnaryReactor* ListSampleFields(Context* context,
                                             const v1::ListSampleFieldsRequest* request,
                                             v1::ListSampleFieldsResponse* response) override {
    return ShowPayloads(*context, "fields", *request, &FillFields, response);
  }

  grpc::ServerUnaryReactor* MapSamples(Context* context, const v1::MapSamplesRequest* request,
                                       v1::MapSamplesResponse* response) override {
    return ShowPayloads(*context, "map", *request, &FillMapped, response,
                        absl::StrCat("{\"mapper\":", base::JsonString(request->mapper()), "}"));
  }

  grpc::ServerUnaryReactor* Try(Context* context, const v1::TryRequest* request,
                                v1::TryResponse* response) override {
    if (!CallerOf(*context, by_certificate_).trusted) return EndCall(*context, ShowsPayloads());
    if (absl::Status status = CheckReadable(*request); !status.ok()) {
      return EndCall(*context, status);
    }
    return RunCommand(
        *context, "try", request->request(),
        [response](const absl::StatusOr<std::string>& result) {
          if (result.ok()) response->set_report(*result);
          return result.status();
        },
        TryArguments(*request));
  }

  grpc::ServerUnaryReactor* GetPluginInfo(Context* context, const v1::GetPluginInfoRequest*,
                                          v1::GetPluginInfoResponse* response) override {
    const PluginInfo& plugin = server_->plugin;
    response->set_name(plugin.name);
    response->set_version(plugin.version);
    response->mutable_parameters()->Add(plugin.parameters.begin(), plugin.parameters.end());
    for (const ParameterInfo& from : plugin.described_parameters) {
      v1::ParameterDescription& to = *response->add_described_parameters();
      to.set_name(from.name);
      to.set_type(v1::ParameterType_IsValid(from.type) ? static_cast<v1::ParameterType>(from.type)
                                                       : v1::PARAMETER_TYPE_UNSPECIFIED);
      to.set_secret(from.secret);
      to.set_may_be_file(from.may_be_file);
      to.set_default_value(from.default_value);
      to.set_required(from.required);
      to.set_meaning(from.meaning);
    }
    for (const LimitInfo& from : plugin.limits) {
      v1::LimitDescription& to = *response->add_limits();
      to.set_name(from.name);
      to.set_default_value(from.default_value);
      to.set_least(from.least);
      to.set_most(from.most);
      to.set_meaning(from.meaning);
    }
    for (const SourceInfo& from : plugin.sources) {
      v1::SourceDescription& to = *response->add_sources();
      to.set_name(from.name);
      to.set_title(from.title);
      to.set_description(from.description);
      to.set_profile(from.profile);
    }
    return EndCall(*context, absl::OkStatus());
  }

 private:
  static absl::Status ShowsPayloads() {
    return absl::PermissionDeniedError(
        "what it shows holds payloads: use the control socket or mTLS");
  }

  // A command whose result only a trusted caller may see.
  template <typename Request, typename Response>
  grpc::ServerUnaryReactor* ShowPayloads(Context& context, const char* command,
                                         const Request& request,
                                         absl::Status (*fill)(absl::string_view, Response&),
                                         Response* response, std::string arguments = "") {
    if (!CallerOf(context, by_certificate_).trusted) return EndCall(context, ShowsPayloads());
    return RunCommand(
        context, command, request,
        [fill, response](const absl::StatusOr<std::string>& result) {
          return result.ok() ? fill(*result, *response) : result.status();
        },
        std::move(arguments));
  }

  // Looks at the instance first; may take its time.
  using Before = std::function<absl::Status(const InstanceEntry&)>;

  // Asks the plugin on the thread pool, since a command may take its time.
  template <typename Request, typename Fill>
  grpc::ServerUnaryReactor* RunCommand(Context& context, const char* command,
                                       const Request& request, Fill fill,
                                       std::string arguments = "", Before before = nullptr) {
    if (absl::Status status = CheckReadable(request); !status.ok()) {
      return EndCall(context, status);
    }
    const auto found = server_->FindInstance(request.instance());
    if (!found.ok()) return EndCall(context, found.status());
    auto reactor = OnceReactor::Make(server_);
    auto done = [reactor, entry = *found, fill](const absl::StatusOr<std::string>& result) {
      reactor->CompleteWith([&] { return fill(result); });
    };
    reactor->Post([command, entry = *found, done, arguments = std::move(arguments),
                   before = std::move(before)] {
      absl::Status status = before == nullptr ? absl::OkStatus() : before(*entry);
      if (!status.ok()) return done(status);
      status = entry->instance->RunCommand(command, arguments, done);
      // NOT_FOUND would read as if there were no such instance.
      if (absl::IsNotFound(status)) {
        status = absl::UnimplementedError(absl::StrCat("the plugin has no command ", command));
      }
      if (!status.ok()) done(status);
    });
    return reactor.get();
  }

  const std::shared_ptr<GrpcServerContext> server_;
  const bool by_certificate_;
  UnaryCalls unary_calls_;
  ExecuteStreams streams_;
};

}  // namespace

std::unique_ptr<grpc::Service> NewIntegrationService(std::shared_ptr<GrpcServerContext> server,
                                                     bool by_certificate) {
  return std::make_unique<IntegrationService>(std::move(server), by_certificate);
}

}  // namespace host_stub
