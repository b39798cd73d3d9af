#include <grpcpp/grpcpp.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "host_stub/cli/ask.h"
#include "host_stub/cli/commands.h"
#include "host_stub/cli/connection.h"
#include "host_stub/cli/text.h"
#include "long_running_integration/v1/long_running_integration.grpc.pb.h"

namespace host_stub {
namespace {

namespace v1 = ::long_running_integration::v1;

struct TestOptions {
  ClientOptions client;
  std::string instance;
};

void Print(const v1::TestModuleResponse& response, bool json) {
  if (json) {
    std::vector<std::string> warnings;
    for (const std::string& warning : response.warnings()) warnings.push_back(JsonString(warning));
    std::puts(JsonObject({{"ok", response.ok() ? "true" : "false"},
                          {"message", JsonString(response.message())},
                          {"warnings", JsonArray(warnings)}})
                  .c_str());
    return;
  }
  std::puts(EscapeForTerminal(response.message(), false).c_str());
  for (const std::string& warning : response.warnings()) {
    std::fprintf(stderr, "warning: %s\n", EscapeForTerminal(warning, false).c_str());
  }
}

int Test(const TestOptions& options) {
  v1::TestModuleRequest request;
  request.set_instance(options.instance);
  v1::TestModuleResponse response;
  const int code = Ask<v1::LongRunningIntegration>(
      options.client, [&](v1::LongRunningIntegration::Stub& stub, grpc::ClientContext& context) {
        return stub.TestModule(&context, request, &response);
      });
  if (code != kDone) return code;
  Print(response, options.client.json);
  return response.ok() ? kDone : kRefused;
}

}  // namespace

void AddTestCommand(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<TestOptions>();
  CLI::App* command = app.add_subcommand("test", "Check an instance, as the Test button does");
  command->add_option("NAME", options->instance, "The instance")->required();
  AddClientOptions(*command, options->client);
  command->footer("Prints \"ok\" or the reason. Example:\n  host_stub test webhook");
  command->callback([options, &exit_code] { exit_code = Test(*options); });
}

}  // namespace host_stub
