// How a host is, and what it refused.
#include <algorithm>
#include <cstdio>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "host_stub/cli/client.h"
#include "host_stub/cli/commands.h"
#include "host_stub/cli/text.h"
#include "long_running_integration/v1/operations.pb.h"

namespace host_stub {
namespace {

namespace v1 = ::long_running_integration::v1;

constexpr absl::Duration kPause = absl::Milliseconds(500);

absl::Time TimeOf(const google::protobuf::Timestamp& time) {
  return absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
}

std::string TimeText(const google::protobuf::Timestamp& time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", TimeOf(time), absl::UTCTimeZone());
}

double Milliseconds(const google::protobuf::Duration& duration) {
  return static_cast<double>(duration.seconds()) * 1e3 +
         static_cast<double>(duration.nanos()) * 1e-6;
}

std::string RefusalJson(const v1::Refusal& refusal) {
  return JsonObject({{"time", JsonString(TimeText(refusal.time()))},
                     {"instance", JsonString(refusal.instance())},
                     {"via", JsonString(refusal.via())},
                     {"requestId", JsonString(refusal.request_id())},
                     {"traceId", JsonString(refusal.trace_id())},
                     {"peer", JsonString(refusal.peer())},
                     {"method", JsonString(refusal.method())},
                     {"path", JsonString(refusal.path())},
                     {"headerNames", JsonStrings(refusal.header_names())},
                     {"status", absl::StrCat(refusal.status())},
                     {"reason", JsonString(refusal.reason())},
                     {"detail", JsonString(refusal.detail())},
                     {"bytesReceived", absl::StrCat(refusal.bytes_received())},
                     {"bytesSent", absl::StrCat(refusal.bytes_sent())},
                     {"durationMs", absl::StrCat(Milliseconds(refusal.duration()))}});
}

std::vector<std::string> Row(const v1::Refusal& refusal) {
  const std::string request = refusal.method().empty()
                                  ? "(connection)"
                                  : absl::StrCat(refusal.method(), " ", refusal.path());
  return {TimeText(refusal.time()),
          refusal.instance().empty() ? "-" : refusal.instance(),
          refusal.via(),
          refusal.peer(),
          refusal.status() == 0 ? "-" : absl::StrCat(refusal.status()),
          refusal.reason(),
          request,
          refusal.detail()};
}

const std::vector<std::string> kHeadings = {"TIME",   "INSTANCE", "VIA",     "PEER",
                                            "STATUS", "REASON",   "REQUEST", "WHY"};

template <typename Counts>
std::map<std::string, int64_t> Sorted(const Counts& counts) {
  return {counts.begin(), counts.end()};
}

std::string CountsText(const std::map<std::string, int64_t>& counts) {
  return counts.empty() ? "none" : absl::StrJoin(counts, ", ", absl::PairFormatter(" "));
}

std::string CountsJson(const std::map<std::string, int64_t>& counts) {
  std::vector<std::pair<std::string, std::string>> members;
  for (const auto& [name, count] : counts) members.emplace_back(name, absl::StrCat(count));
  return JsonObject(members);
}

std::string MebibytesText(int64_t bytes) { return absl::StrCat(bytes >> 20, " MiB"); }

std::string StatusJson(const v1::HostStatus& status, double requests_per_second) {
  const auto flag = [](bool value) { return std::string(value ? "true" : "false"); };
  return JsonObject(
      {{"version", JsonString(status.version())},
       {"started", JsonString(TimeText(status.started()))},
       {"httpAddress", JsonString(status.http_address())},
       {"grpcAddress", JsonString(status.grpc_address())},
       {"adminAddress", JsonString(status.admin_address())},
       {"draining", flag(status.draining())},
       {"instances", absl::StrCat(status.instances())},
       {"instancesServing", absl::StrCat(status.instances_serving())},
       {"requestsPerSecond", absl::StrCat(requests_per_second)},
       {"outcomes", CountsJson(Sorted(status.outcomes()))},
       {"refusals", CountsJson(Sorted(status.refusals()))},
       {"incidentsCreated", absl::StrCat(status.incidents_created())},
       {"incidentsDuplicate", absl::StrCat(status.incidents_duplicate())},
       {"storeFault", JsonString(status.store_fault())},
       {"lastIncidentId", JsonString(absl::StrCat(status.last_incident_id()))},
       {"frontConnections", absl::StrCat(status.front_connections())},
       {"frontActiveRequests", absl::StrCat(status.front_active_requests())},
       {"callsInFlight", absl::StrCat(status.calls_in_flight())},
       {"configurationTakenOver", JsonString(TimeText(status.configuration_taken_over()))},
       {"lastReloadSucceeded", flag(status.last_reload_succeeded())},
       {"logLinesDropped", absl::StrCat(status.log_lines_dropped())},
       {"residentBytes", absl::StrCat(status.resident_bytes())},
       {"openDescriptors", absl::StrCat(status.open_descriptors())},
       {"mostDescriptors", absl::StrCat(status.most_descriptors())},
       {"warnings", JsonStrings(status.warnings())}});
}

int64_t Requests(const v1::HostStatus& status) {
  int64_t requests = 0;
  for (const auto& [outcome, count] : status.outcomes()) requests += count;
  return requests;
}

}  // namespace

int ListRefusals(const RefusalsOptions& options) {
  Client client(options);
  v1::ListRefusalsRequest request;
  request.set_instance(options.name);
  request.set_reason(options.reason);
  request.set_page_size(options.limit);
  for (bool first = true;; first = false) {
    v1::ListRefusalsResponse response;
    if (const int code = client.Call(request, response); code != kDone) return code;
    if (response.gap() && !options.json) std::puts("(some are not kept any more)");
    std::vector<std::string> documents;
    std::vector<std::vector<std::string>> rows;
    if (first) rows.push_back(kHeadings);
    for (const v1::Refusal& refusal : response.refusals()) {
      documents.push_back(RefusalJson(refusal));
      rows.push_back(Row(refusal));
    }
    if (!options.follow) {
      PrintList(options.json, documents, rows,
                options.name.empty() ? "nothing was refused"
                                     : "nothing of this instance was refused; what "
                                       "reached no instance is shown without a name");
      if (response.refusals_size() == options.limit && !options.json) {
        std::fprintf(stderr, "(the newest %d: --limit shows more, --reason those of one kind)\n",
                     options.limit);
      }
      return kDone;
    }
    // Each line is one document.
    for (const std::string& document : documents) {
      if (options.json) std::puts(document.c_str());
    }
    if (!options.json) std::fputs(FormatTable(rows).c_str(), stdout);
    std::fflush(stdout);
    request.set_position(response.position());
    request.set_page_size(0);
    absl::SleepFor(kPause);
  }
}

int ListAudit(const AuditOptions& options) {
  Client client(options);
  std::vector<std::string> documents;
  std::vector<std::vector<std::string>> rows = {
      {"TIME", "WHO", "WHAT", "INSTANCE", "OUTCOME", "CHANGED"}};
  v1::ListAuditRequest request;
  for (int left = options.limit; left > 0;) {
    request.set_page_size(left);
    v1::ListAuditResponse response;
    if (const int code = client.Call(request, response); code != kDone) return code;
    for (const v1::AuditEntry& entry : response.entries()) {
      documents.push_back(JsonObject({{"time", JsonString(TimeText(entry.time()))},
                                      {"who", JsonString(entry.who())},
                                      {"what", JsonString(entry.what())},
                                      {"instance", JsonString(entry.instance())},
                                      {"outcome", JsonString(entry.outcome())},
                                      {"parameters", JsonStrings(entry.parameters())}}));
      rows.push_back({TimeText(entry.time()), entry.who(), entry.what(),
                      entry.instance().empty() ? "-" : entry.instance(), entry.outcome(),
                      absl::StrJoin(entry.parameters(), ", ")});
    }
    left -= response.entries_size();
    request.set_page_token(response.next_page_token());
    if (response.next_page_token().empty()) break;
  }
  PrintList(options.json, documents, rows, "nothing was changed");
  return kDone;
}

// The rate is that of one second between two answers.
int ShowStatus(const ClientOptions& options) {
  Client client(options);
  v1::HostStatus before;
  if (const int code = client.Call(v1::GetStatusRequest(), before); code != kDone) return code;
  const absl::Time asked = absl::Now();
  absl::SleepFor(absl::Seconds(1));
  v1::HostStatus status;
  if (const int code = client.Call(v1::GetStatusRequest(), status); code != kDone) return code;
  // An instance that was deleted meanwhile took its counts along.
  const double rate =
      static_cast<double>(std::max<int64_t>(0, Requests(status) - Requests(before))) /
      absl::ToDoubleSeconds(absl::Now() - asked);
  if (options.json) {
    std::puts(StatusJson(status, rate).c_str());
    return kDone;
  }
  const absl::Duration uptime =
      absl::Trunc(absl::Now() - TimeOf(status.started()), absl::Seconds(1));
  std::vector<std::vector<std::string>> rows = {
      {"version", status.version()},
      {"up", absl::StrCat(absl::FormatDuration(uptime), status.draining() ? ", stopping" : "")},
      {"addresses", absl::StrCat("http ", status.http_address(), ", grpc ", status.grpc_address(),
                                 ", admin ", status.admin_address())},
      {"instances", absl::StrCat(status.instances_serving(), " of ", status.instances(), " serve")},
      {"requests", absl::StrCat(absl::StrFormat("%.1f", rate), " a second; so far ",
                                CountsText(Sorted(status.outcomes())))},
      {"refused", CountsText(Sorted(status.refusals()))},
      {"incidents",
       absl::StrCat(status.incidents_created(), " created, ", status.incidents_duplicate(),
                    " duplicates; last id ", status.last_incident_id())},
      {"store", status.store_fault().empty() ? "writes" : status.store_fault()},
      {"in flight",
       absl::StrCat(status.front_connections(), " connections, ", status.front_active_requests(),
                    " requests of the front, ", status.calls_in_flight(), " calls")},
      {"configuration",
       absl::StrCat(
           "taken over ", TimeText(status.configuration_taken_over()),
           status.last_reload_succeeded() ? "" : "; the last reload was refused, see the log")},
      {"process", absl::StrCat(MebibytesText(status.resident_bytes()), " of memory, ",
                               status.open_descriptors(), " of ", status.most_descriptors(),
                               " file descriptors")}};
  if (status.log_lines_dropped() > 0) {
    rows.push_back({"log", absl::StrCat(status.log_lines_dropped(), " lines were dropped")});
  }
  for (const std::string& warning : status.warnings()) rows.push_back({"warning", warning});
  std::fputs(FormatTable(rows).c_str(), stdout);
  return kDone;
}

}  // namespace host_stub
