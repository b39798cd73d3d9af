#include "host_stub/service/grpc_server_context.h"

#include <arpa/inet.h>

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "host_stub/config/configuration.h"
#include "plugin/base/characters.h"

namespace host_stub {

absl::StatusOr<std::shared_ptr<const InstanceEntry>> GrpcServerContext::FindEntry(
    absl::string_view field, const std::string& name) const {
  if (absl::Status status = CheckName(field, name); !status.ok()) return status;
  std::shared_ptr<const InstanceEntry> entry = instances->Find(name);
  if (entry == nullptr) return absl::NotFoundError(absl::StrCat("no instance \"", name, "\""));
  return entry;
}

absl::StatusOr<std::shared_ptr<const InstanceEntry>> GrpcServerContext::FindInstance(
    const std::string& name) const {
  absl::StatusOr<std::shared_ptr<const InstanceEntry>> entry = FindEntry("instance", name);
  if (!entry.ok() || (*entry)->instance != nullptr) return entry;
  if ((*entry)->settings.disabled) {
    return absl::FailedPreconditionError(absl::StrCat("instance \"", name, "\" is disabled"));
  }
  return absl::UnavailableError(absl::StrCat("instance \"", name, "\" does not serve now"));
}

absl::Status FieldFault(absl::string_view field, absl::string_view reason) {
  return absl::InvalidArgumentError(absl::StrCat(field, ": ", reason));
}

absl::Status CheckName(absl::string_view field, const std::string& name) {
  if (base::IsName(name)) return absl::OkStatus();
  return FieldFault(field, "must be 1 to 64 of the characters A-Z a-z 0-9 _ -");
}

bool IsIpAddress(const std::string& text) {
  in6_addr address;  // the larger of the two
  return ::inet_pton(AF_INET, text.c_str(), &address) == 1 ||
         ::inet_pton(AF_INET6, text.c_str(), &address) == 1;
}

Caller MakeCaller(const std::string& peer, bool authenticated) {
  if (absl::StartsWith(peer, "unix:")) return {true, "unix"};
  Caller caller{authenticated, ""};
  std::string decoded;
  absl::string_view rest = peer;
  if (absl::StrContains(peer, '%')) {
    decoded = absl::StrReplaceAll(peer, {{"%5B", "["}, {"%5D", "]"}, {"%25", "%"}});
    rest = decoded;
  }
  if (!absl::ConsumePrefix(&rest, "ipv4:") && !absl::ConsumePrefix(&rest, "ipv6:")) return caller;
  rest = rest.substr(0, rest.rfind(':'));
  absl::ConsumePrefix(&rest, "[");
  absl::ConsumeSuffix(&rest, "]");
  rest = rest.substr(0, rest.find('%'));  // the zone of a link-local address
  absl::ConsumePrefix(&rest, "::ffff:");  // IPv4 on a socket for both
  std::string text(rest);
  if (IsIpAddress(text)) caller.address = std::move(text);
  return caller;
}

}  // namespace host_stub
