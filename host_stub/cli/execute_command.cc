#include <simdjson.h>
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

// Empty if there is no such text.
std::string Text(simdjson::dom::element object, const char* name) {
  std::string_view text;
  return object[name].get(text) == simdjson::SUCCESS ? std::string(text) : "";
}

// The members of an array.
simdjson::dom::array Items(simdjson::dom::element object, const char* name) {
  simdjson::dom::array items;
  return object[name].get(items) == simdjson::SUCCESS ? items : simdjson::dom::array();
}

// For a terminal, on one line.
std::string Line(absl::string_view text) { return EscapeForTerminal(text, /*lines=*/false); }

void PrintReport(simdjson::dom::element report) {
  const std::string step = Text(report, "step");
  int64_t status = 0;
  if (report["status"].get(status) != simdjson::SUCCESS) status = 0;
  std::printf("%s (%d)%s%s: %s\n", Text(report, "outcome").c_str(), static_cast<int>(status),
              step.empty() ? "" : " at ", step.c_str(), Line(Text(report, "reason")).c_str());
  std::vector<std::vector<std::string>> rows;
  for (simdjson::dom::element one : Items(report, "steps")) {
    rows.push_back({"  " + Text(one, "step"), Text(one, "what")});
  }
  for (const char* name : {"delivery", "duplicate_of"}) {
    if (const std::string text = Text(report, name); !text.empty()) {
      rows.push_back({absl::StrCat("  ", name), text});
    }
  }
  std::fputs(FormatTable(rows).c_str(), stdout);
  for (simdjson::dom::element one : Items(report, "incidents")) {
    std::printf("incident: %s\n", Line(Text(one, "name")).c_str());
    for (const char* name : {"type", "occurred", "severity", "delivery", "details"}) {
      simdjson::dom::element value;
      if (one[name].get(value) != simdjson::SUCCESS) continue;
      const std::string text = value.is_string() ? Text(one, name) : simdjson::minify(value);
      if (!text.empty()) std::printf("  %-9s %s\n", name, Line(text).c_str());
    }
  }
  std::printf("answer: %s\n", Line(Text(report, "body")).c_str());
}

}  // namespace

int Try(const TryOptions& options) {
  absl::StatusOr<v1::ExecuteRequest> request = MakeRequest(options);
  if (!request.ok()) return Fail(request.status().message(), kNotAsked);
  v1::TryRequest tried;
  *tried.mutable_request() = *std::move(request);
  tried.mutable_request()->set_peer_address(options.from);
  tried.set_at(options.at);
  v1::TryResponse response;
  if (const int code = Client(options).Call(tried, response); code != kDone) return code;
  simdjson::dom::parser parser;
  simdjson::dom::element report;
  if (parser.parse(response.report()).get(report) != simdjson::SUCCESS) {
    return Fail("the plugin's report is no JSON", kRefused);
  }
  if (options.json) {
    std::puts(response.report().c_str());
  } else {
    PrintReport(report);
  }
  return Text(report, "outcome") == "refuse" ? kRefused : kDone;
}

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
