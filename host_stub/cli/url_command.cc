#include <grpcpp/grpcpp.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>

#include "host_stub/cli/ask.h"
#include "host_stub/cli/commands.h"
#include "host_stub/cli/connection.h"
#include "host_stub/cli/text.h"
#include "long_running_integration/v1/instance.grpc.pb.h"

namespace host_stub {
namespace {

namespace v1 = ::long_running_integration::v1;

struct UrlOptions {
  ClientOptions client;
  std::string instance;
};

void Line(const char* label, const std::string& text) {
  if (!text.empty()) std::printf("%-12s%s\n", label, EscapeForTerminal(text, false).c_str());
}

void Print(const v1::WebhookAddress& address, bool json) {
  if (json) {
    std::puts(JsonObject({{"webhookUrl", JsonString(address.url())},
                          {"listenUrl", JsonString(address.listen_url())},
                          {"path", JsonString(address.path())},
                          {"externalKey", JsonString(address.external_key())},
                          {"external", address.external() ? "true" : "false"},
                          {"dnsRecord", JsonString(address.dns_record())},
                          {"curlPosix", JsonString(address.curl_posix())},
                          {"curlWindows", JsonString(address.curl_windows())}})
                  .c_str());
    return;
  }
  Line("webhook:", address.url());
  Line("listens:", address.listen_url());
  Line("path:", address.path());
  Line("DNS record:", address.dns_record());
  if (!address.external()) {
    Line("not open:", "set " + address.external_key() + " to \"true\" in serverConfiguration");
  }
  // Pasted, so not escaped for the eye but for what would drive the terminal.
  if (!address.curl_posix().empty()) {
    std::printf("\nmacOS, Linux:\n  %s\n", EscapeForTerminal(address.curl_posix(), false).c_str());
    std::printf("\nWindows:\n  %s\n", EscapeForTerminal(address.curl_windows(), false).c_str());
  }
}

int Url(const UrlOptions& options) {
  v1::GetInstanceRequest request;
  request.set_name(options.instance);
  v1::Instance instance;
  const int code = Ask<v1::InstanceService>(
      options.client, [&](v1::InstanceService::Stub& stub, grpc::ClientContext& context) {
        return stub.GetInstance(&context, request, &instance);
      });
  if (code == kDone) Print(instance.address(), options.client.json);
  return code;
}

}  // namespace

void AddUrlCommand(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<UrlOptions>();
  CLI::App* command =
      app.add_subcommand("url", "Show where an instance is triggered, with a curl to paste");
  command->add_option("NAME", options->instance, "The instance")->required();
  AddClientOptions(*command, options->client);
  command->footer("Example:\n  host_stub url webhook");
  command->callback([options, &exit_code] { exit_code = Url(*options); });
}

}  // namespace host_stub
