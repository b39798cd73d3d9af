#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "host_stub/cli/client.h"
#include "host_stub/cli/commands.h"
#include "host_stub/cli/text.h"
#include "plugin/base/counted.h"

namespace host_stub {
namespace {

namespace v1 = ::long_running_integration::v1;

// The details are a string, so that a program that reads the document keeps every literal as it
// was sent.
std::string IncidentJson(const v1::Incident& incident, bool with_details) {
  std::vector<std::pair<std::string, std::string>> members = {
      {"id", JsonString(incident.id())},
      {"name", JsonString(incident.name())},
      {"type", JsonString(incident.type())},
      {"occurred", JsonString(incident.occurred())},
      {"severity", absl::StrCat(incident.severity())},
      {"created", JsonString(incident.created())},
      {"sourceBrand", JsonString(incident.source_brand())},
      {"sourceInstance", JsonString(incident.instance())},
      {"sourceInstanceUid", JsonString(incident.instance_uid())},
      {"warnings", JsonStrings(incident.warnings())}};
  if (incident.has_request()) {
    members.emplace_back("request",
                         JsonObject({{"address", JsonString(incident.request().address())},
                                     {"query", JsonString(incident.request().query())}}));
  }
  if (with_details) members.emplace_back("details", JsonString(incident.raw_json()));
  return JsonObject(members);
}

std::string SeverityText(const v1::Incident& incident) {
  return incident.severity() == 0 ? "unknown" : absl::StrCat(incident.severity());
}

std::vector<std::string> Row(const v1::Incident& incident) {
  return {incident.id(),   incident.created(),     incident.instance(),
          incident.type(), SeverityText(incident), incident.name()};
}

void PrintOne(const v1::Incident& incident) {
  std::vector<std::vector<std::string>> rows = {{"id", incident.id()},
                                                {"name", incident.name()},
                                                {"type", incident.type()},
                                                {"occurred", incident.occurred()},
                                                {"severity", SeverityText(incident)},
                                                {"created", incident.created()},
                                                {"source brand", incident.source_brand()},
                                                {"source instance", incident.instance()},
                                                {"its uid", incident.instance_uid()}};
  if (incident.has_request()) {
    rows.push_back({"sender", incident.request().address()});
    rows.push_back({"query", incident.request().query()});
  }
  for (const std::string& warning : incident.warnings()) rows.push_back({"warning", warning});
  std::fputs(FormatTable(rows).c_str(), stdout);
  // A pipe gets the bytes: an escape such as \x7F is no JSON.
  std::puts("");
  const std::string text =
      ::isatty(STDOUT_FILENO) ? EscapeForTerminal(incident.raw_json(), true) : incident.raw_json();
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::puts("");
}

// A time as it is, or for "90m" the time so long ago.
std::string TimeText(const std::string& text) {
  absl::Duration ago;
  if (!absl::ParseDuration(text, &ago)) return text;
  return absl::FormatTime(absl::RFC3339_full, absl::Now() - ago, absl::UTCTimeZone());
}

template <typename Request>
void SetFilter(const IncidentsOptions& options, Request& request) {
  request.set_instance(options.instance);
  request.set_instance_uid(options.instance_uid);
  v1::IncidentFilter& filter = *request.mutable_filter();
  filter.set_type(options.type);
  filter.set_name_contains(options.name_part);
  filter.set_created_since(TimeText(options.since));
  filter.set_created_before(TimeText(options.before));
  for (const std::string& condition : options.where) filter.add_where(condition);
}

// False, after a message, where standard output takes no more, such as a full disk.
bool Print(const std::string& text, bool flush) {
  if (std::fputs(text.c_str(), stdout) >= 0 && (!flush || std::fflush(stdout) == 0)) return true;
  Fail(absl::StrCat("standard output: ", std::strerror(errno)), kRefused);
  return false;
}

}  // namespace

int ListIncidents(const IncidentsOptions& options) {
  Client client(options);
  std::vector<std::string> documents;
  std::vector<std::vector<std::string>> rows = {
      {"ID", "CREATED", "INSTANCE", "TYPE", "SEVERITY", "NAME"}};
  v1::ListIncidentsRequest request;
  SetFilter(options, request);
  int wanted = options.limit;
  do {
    request.set_page_size(std::min(wanted, 1'000));
    v1::ListIncidentsResponse response;
    if (const int code = client.Call(request, response); code != kDone) return code;
    for (const v1::Incident& incident : response.incidents()) {
      documents.push_back(IncidentJson(incident, false));
      rows.push_back(Row(incident));
    }
    wanted -= response.incidents_size();
    request.set_page_token(response.next_page_token());
  } while (wanted > 0 && !request.page_token().empty());
  PrintList(options.json, documents, rows, "no incidents");
  return kDone;
}

int GetIncident(const IncidentsOptions& options) {
  v1::GetIncidentRequest request;
  request.set_id(options.id);
  v1::Incident incident;
  if (const int code = Client(options).Call(request, incident); code != kDone) return code;
  if (options.json) {
    std::puts(IncidentJson(incident, true).c_str());
  } else {
    PrintOne(incident);
  }
  return kDone;
}

int FollowIncidents(const IncidentsOptions& options) {
  v1::FollowIncidentsRequest request;
  request.set_after_id(options.after);
  SetFilter(options, request);
  request.set_view(options.json ? v1::INCIDENT_VIEW_FULL : v1::INCIDENT_VIEW_BASIC);
  bool written = true;
  const int code = Client(options).Follow(request, [&](const v1::FollowIncidentsResponse& next) {
    const v1::Incident& incident = next.incident();
    written = Print(
        options.json ? IncidentJson(incident, true) + "\n" : FormatTable({Row(incident)}), true);
    return written;
  });
  return written ? code : kRefused;
}

int ExportIncidents(const IncidentsOptions& options) {
  constexpr absl::Duration kBetweenProgress = absl::Milliseconds(200);
  v1::FollowIncidentsRequest request;
  request.set_after_id(options.after);
  SetFilter(options, request);
  request.set_view(v1::INCIDENT_VIEW_FULL);
  request.set_stop_at_end(true);
  request.set_tell_positions(true);
  const bool shows_progress = ::isatty(STDERR_FILENO) && !::isatty(STDOUT_FILENO);
  absl::Time progress_at = absl::Now();
  int64_t count = 0;
  bool written = true;
  const auto show = [&](double progress) {
    std::fprintf(stderr, "\r%3.0f %%, %s", 100 * progress,
                 base::Counted(count, "incident", "incidents").c_str());
    progress_at = absl::Now() + kBetweenProgress;
  };
  const int code = Client(options).Follow(request, [&](const v1::FollowIncidentsResponse& next) {
    if (next.has_incident()) {
      written = Print(IncidentJson(next.incident(), true) + "\n", false);
      ++count;
    }
    if (shows_progress && absl::Now() >= progress_at) show(next.progress());
    return written;
  });
  written = written && Print("", true);
  if (shows_progress) {
    if (written && code == kDone) show(1);
    std::fputs("\n", stderr);
  }
  return written ? code : kRefused;
}

}  // namespace host_stub
