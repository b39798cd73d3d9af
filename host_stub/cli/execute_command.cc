#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <iostream>
#include <iterator>
#include <memory>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "host_stub/cli/ask.h"
#include "host_stub/cli/commands.h"
#include "host_stub/cli/connection.h"
#include "host_stub/cli/file_argument.h"
#include "host_stub/cli/secret_arguments.h"
#include "host_stub/cli/text.h"
#include "long_running_integration/v1/long_running_integration.grpc.pb.h"

namespace host_stub {
namespace {

namespace v1 = ::long_running_integration::v1;

struct ExecuteOptions {
  ClientOptions client;
  std::string instance;
  std::string data;
  std::string user;
  std::vector<std::string> headers;
  std::string method = "POST";
  std::string path;
  std::string query;
};

absl::StatusOr<std::string> ReadBody(const std::string& data) {
  if (data == "-") {
    return std::string(std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>());
  }
  absl::string_view path = data;
  if (!absl::ConsumePrefix(&path, "@")) return data;
  return ReadFileArgument("-d", std::string(path));
}

void AddHeader(v1::ExecuteRequest& request, absl::string_view name, absl::string_view value) {
  v1::Header* header = request.add_headers();
  header->set_name(std::string(name));
  header->set_value(std::string(absl::StripAsciiWhitespace(value)));
}

absl::Status AddHeaderLine(v1::ExecuteRequest& request, absl::string_view line) {
  const size_t colon = line.find(':');
  if (colon == absl::string_view::npos) {
    // Not shown: it may be a secret whose name was forgotten.
    return absl::InvalidArgumentError("-H: is no header such as 'X-Token: value'");
  }
  AddHeader(request, line.substr(0, colon), line.substr(colon + 1));
  return absl::OkStatus();
}

absl::Status AddHeaders(const std::vector<std::string>& headers, v1::ExecuteRequest& request) {
  for (const std::string& header : headers) {
    if (header.empty() || header[0] != '@') {
      if (absl::Status status = AddHeaderLine(request, header); !status.ok()) return status;
      continue;
    }
    const absl::StatusOr<std::string> lines = ReadArgument("-H", header.substr(1));
    if (!lines.ok()) return lines.status();
    for (const absl::string_view line : absl::StrSplit(*lines, '\n', absl::SkipWhitespace())) {
      if (absl::Status status = AddHeaderLine(request, line); !status.ok()) return status;
    }
  }
  return absl::OkStatus();
}

absl::Status AddUser(const std::string& user, v1::ExecuteRequest& request) {
  if (user.empty()) return absl::OkStatus();
  std::string pair = user;
  if (user[0] == '@') {
    absl::StatusOr<std::string> read = ReadArgument("-u", user.substr(1));
    if (!read.ok()) return read.status();
    pair = *std::move(read);
  }
  AddHeader(request, "Authorization", absl::StrCat("Basic ", absl::Base64Escape(pair)));
  return absl::OkStatus();
}

bool HasType(const v1::ExecuteRequest& request) {
  return std::any_of(request.headers().begin(), request.headers().end(), [](const auto& header) {
    return absl::EqualsIgnoreCase(header.name(), "Content-Type");
  });
}

absl::StatusOr<v1::ExecuteRequest> MakeRequest(const ExecuteOptions& options) {
  v1::ExecuteRequest request;
  request.set_instance(options.instance);
  request.set_method(options.method);
  request.set_path_remainder(options.path);
  request.set_query(options.query);
  if (absl::Status status = AddHeaders(options.headers, request); !status.ok()) return status;
  if (absl::Status status = AddUser(options.user, request); !status.ok()) return status;
  absl::StatusOr<std::string> body = ReadBody(options.data);
  if (!body.ok()) return body.status();
  if (!HasType(request) && !body->empty()) AddHeader(request, "Content-Type", "application/json");
  request.set_body(*std::move(body));
  return request;
}

void PrintJson(const v1::ExecuteResponse& response) {
  std::vector<std::string> headers;
  for (const v1::Header& header : response.headers()) {
    headers.push_back(
        JsonObject({{"name", JsonString(header.name())}, {"value", JsonString(header.value())}}));
  }
  std::puts(JsonObject({{"status", absl::StrCat(response.status())},
                        {"requestId", JsonString(response.request_id())},
                        {"headers", JsonArray(headers)},
                        {"body", JsonString(response.body())}})
                .c_str());
}

// To a terminal what cannot drive it; into a pipe the exact bytes.
void PrintBody(const std::string& body) {
  const std::string text = ::isatty(STDOUT_FILENO) ? EscapeForTerminal(body, true) : body;
  std::fwrite(text.data(), 1, text.size(), stdout);
  if (!text.empty() && text.back() != '\n') std::fputc('\n', stdout);
  std::fflush(stdout);
}

int Execute(const ExecuteOptions& options) {
  const absl::StatusOr<v1::ExecuteRequest> request = MakeRequest(options);
  if (!request.ok()) {
    PrintError(std::string(request.status().message()));
    return kNotAsked;
  }
  v1::ExecuteResponse response;
  const int code = Ask<v1::LongRunningIntegration>(
      options.client, [&](v1::LongRunningIntegration::Stub& stub, grpc::ClientContext& context) {
        return stub.Execute(&context, *request, &response);
      });
  if (code != kDone) return code;
  const bool success = response.status() >= 200 && response.status() < 300;
  if (options.client.json) {
    PrintJson(response);
  } else {
    PrintBody(response.body());
    if (!success) std::fprintf(stderr, "HTTP %d\n", response.status());
  }
  return success ? kDone : kRefused;
}

}  // namespace

void AddExecuteCommand(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<ExecuteOptions>();
  CLI::App* command = app.add_subcommand("execute", "Send a request to an instance");
  command->add_option("NAME", options->instance, "The instance")->required();
  command->add_option("-d,--data", options->data, "The body: text, @FILE, or - for standard input")
      ->type_name("BODY");
  command
      ->add_option("-u,--user", options->user,
                   "Basic credentials; @FILE or @- reads them from a file or standard input, where "
                   "other users cannot read them from the command line")
      ->type_name("USER:PASS");
  command
      ->add_option("-H,--header", options->headers,
                   "A header; may be repeated. @FILE or @-: one on each line")
      ->type_name("'Name: value'")
      ->allow_extra_args(false);
  command->add_option("-X,--request", options->method, "The method")
      ->type_name("METHOD")
      ->capture_default_str();
  command->add_option("--path", options->path, "What follows the name in the path, as in /extra")
      ->type_name("REMAINDER");
  command->add_option("--query", options->query, "The query, without '?'")->type_name("QUERY");
  AddClientOptions(*command, options->client);
  command->footer(
      "Prints the answer's body; exits with 0 only for a 2xx. Example:\n"
      "  host_stub execute webhook -u user:pass -d '{\"name\": \"first incident\"}'");
  command->callback([options, &exit_code] { exit_code = Execute(*options); });
}

}  // namespace host_stub
