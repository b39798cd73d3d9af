#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "host_stub/cli/arguments.h"
#include "host_stub/cli/client.h"
#include "host_stub/cli/commands.h"
#include "host_stub/cli/text.h"

namespace host_stub {
namespace {

namespace v1 = ::long_running_integration::v1;

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

absl::Status AddHeaders(const std::vector<std::string>& headers, v1::ExecuteRequest& request) {
  for (const std::string& header : headers) {
    const absl::StatusOr<std::string> text = ReadArgument("-H", header);
    if (!text.ok()) return text.status();
    std::vector<absl::string_view> lines = {*text};
    if (absl::StartsWith(header, "@")) lines = absl::StrSplit(*text, '\n', absl::SkipWhitespace());
    for (const absl::string_view line : lines) {
      const size_t colon = line.find(':');
      if (colon == absl::string_view::npos) {
        // The text is not shown: it may be a secret without its name.
        return absl::InvalidArgumentError("-H: must be a header such as 'X-Token: value'");
      }
      AddHeader(request, line.substr(0, colon), line.substr(colon + 1));
    }
  }
  return absl::OkStatus();
}

absl::Status AddUser(const std::string& user, v1::ExecuteRequest& request) {
  if (user.empty()) return absl::OkStatus();
  const absl::StatusOr<std::string> pair = ReadArgument("-u", user);
  if (!pair.ok()) return pair.status();
  AddHeader(request, "Authorization", absl::StrCat("Basic ", absl::Base64Escape(*pair)));
  return absl::OkStatus();
}

bool HasType(const v1::ExecuteRequest& request) {
  return std::any_of(request.headers().begin(), request.headers().end(), [](const auto& header) {
    return absl::EqualsIgnoreCase(header.name(), "Content-Type");
  });
}

absl::StatusOr<v1::ExecuteRequest> MakeRequest(const ExecuteOptions& options) {
  v1::ExecuteRequest request;
  request.set_instance(options.name);
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

// A terminal gets text that cannot control it, a pipe the exact bytes.
void PrintBody(const std::string& body) {
  const std::string text = ::isatty(STDOUT_FILENO) ? EscapeForTerminal(body, true) : body;
  std::fwrite(text.data(), 1, text.size(), stdout);
  if (!text.empty() && text.back() != '\n') std::fputc('\n', stdout);
  std::fflush(stdout);
}

}  // namespace

int Execute(const ExecuteOptions& options) {
  const absl::StatusOr<v1::ExecuteRequest> request = MakeRequest(options);
  if (!request.ok()) return Fail(request.status().message(), kNotAsked);
  v1::ExecuteResponse response;
  if (const int code = Client(options).Call(*request, response); code != kDone) return code;
  const bool success = response.status() >= 200 && response.status() < 300;
  if (options.json) {
    PrintJson(response);
  } else {
    PrintBody(response.body());
    if (!success) std::fprintf(stderr, "HTTP %d\n", response.status());
  }
  return success ? kDone : kRefused;
}

}  // namespace host_stub
