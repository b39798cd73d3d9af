#include "host_stub/service/execute_request.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "host_stub/engine/character_set.h"

namespace host_stub {
namespace {

using ::long_running_integration::v1::ExecuteRequest;
using ::long_running_integration::v1::ExecuteResponse;
using ::long_running_integration::v1::Header;

constexpr size_t kRequestIdBytes = 64;
constexpr size_t kMethodBytes = 64;

constexpr CharacterSet kTargetCharacters =
    CharacterSet::Of([](int c) { return c > 0x20 && c < 0x7F && c != '#'; });
constexpr CharacterSet kIdCharacters =
    CharacterSet::Of([](int c) { return IsAlphanumeric(c) || IsOneOf(c, "._-"); });

absl::Status Fault(absl::string_view field, absl::string_view reason) {
  return absl::InvalidArgumentError(absl::StrCat(field, ": ", reason));
}

}  // namespace

absl::Status CheckFields(const ExecuteRequest& request) {
  if (absl::Status status = CheckName("instance", request.instance()); !status.ok()) return status;
  if (!request.method().empty() &&
      (!IsToken(request.method()) || request.method().size() > kMethodBytes)) {
    return Fault("method", "must be an HTTP method such as POST");
  }
  const std::string& remainder = request.path_remainder();
  if (!remainder.empty() && (remainder[0] != '/' || absl::StrContains(remainder, '?') ||
                             !kTargetCharacters.HasAll(remainder))) {
    return Fault("path_remainder", "must begin with '/' and be percent-encoded");
  }
  if (!kTargetCharacters.HasAll(request.query())) return Fault("query", "must be percent-encoded");
  for (int i = 0; i < request.headers_size(); ++i) {
    const Header& header = request.headers(i);
    if (!IsToken(header.name())) {
      return Fault(absl::StrCat("headers[", i, "].name"),
                   "must be one or more of the characters A-Z a-z 0-9 !#$%&'*+-.^_`|~");
    }
    if (!kHeaderValueCharacters.HasAll(header.value())) {
      return Fault(absl::StrCat("headers[", i, "].value"),
                   "must not hold line breaks or other control characters");
    }
  }
  if (request.request_id().size() > kRequestIdBytes ||
      !kIdCharacters.HasAll(request.request_id())) {
    return Fault("request_id", "must be at most 64 of the characters A-Z a-z 0-9 . _ -");
  }
  return absl::OkStatus();
}

ExecuteResponse TextAnswer(int status, const std::string& line) {
  ExecuteResponse response;
  response.set_status(status);
  Header* type = response.add_headers();
  type->set_name("Content-Type");
  type->set_value("text/plain; charset=utf-8");
  response.set_body(line);
  return response;
}

std::optional<ExecuteResponse> TooLong(const ExecuteRequest& request,
                                       const webhook::Limits& limits) {
  const size_t target = request.path_remainder().size() + request.query().size();
  if (target > static_cast<size_t>(limits.request_line_bytes)) {
    return TextAnswer(414, absl::StrCat("The request line is longer than ",
                                        limits.request_line_bytes, " bytes."));
  }
  if (request.headers_size() > limits.header_fields) {
    return TextAnswer(431, absl::StrCat("There are more than ", limits.header_fields, " headers."));
  }
  size_t section = 0;
  // As they stand in HTTP/1.1: name, colon, blank, value, line break.
  for (const Header& header : request.headers()) {
    section += header.name().size() + header.value().size() + 4;
  }
  if (section > static_cast<size_t>(limits.header_section_bytes)) {
    return TextAnswer(
        431, absl::StrCat("The headers are longer than ", limits.header_section_bytes, " bytes."));
  }
  return std::nullopt;
}

absl::StatusOr<std::string> EffectivePeer(const ExecuteRequest& request, const Caller& caller) {
  if (!caller.trusted || request.peer_address().empty()) return caller.address;
  if (request.peer_address() != "unix" && !IsIpAddress(request.peer_address())) {
    return Fault("peer_address", "must be an IP address without a port, or \"unix\"");
  }
  return request.peer_address();
}

}  // namespace host_stub
