#include "host_stub/store/incident_ids.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace host_stub {

void IncidentIds::Append(int64_t id) {
  if (!runs_.empty() && runs_.back().first + runs_.back().count == id) {
    ++runs_.back().count;
    return;
  }
  runs_.push_back({id, 1});
}

int64_t IncidentIds::size() const {
  int64_t size = 0;
  for (const Run& run : runs_) size += run.count;
  return size;
}

std::vector<int64_t> IncidentIds::Expand(size_t count) const {
  std::vector<int64_t> ids;
  ids.reserve(count);
  for (const Run& run : runs_) {
    for (int64_t i = 0; i < run.count && ids.size() < count; ++i) ids.push_back(run.first + i);
  }
  if (!runs_.empty()) ids.resize(count, runs_.back().first + runs_.back().count - 1);
  return ids;
}

std::string IncidentIds::ToText() const {
  std::string text;
  for (const Run& run : runs_) {
    absl::StrAppend(&text, text.empty() ? "" : " ", run.first, "+", run.count);
  }
  return text;
}

absl::StatusOr<IncidentIds> IncidentIds::FromText(absl::string_view text) {
  IncidentIds ids;
  for (const absl::string_view part : absl::StrSplit(text, ' ')) {
    const std::pair<absl::string_view, absl::string_view> halves = absl::StrSplit(part, '+');
    Run run{};
    if (!absl::SimpleAtoi(halves.first, &run.first) ||
        !absl::SimpleAtoi(halves.second, &run.count) || run.first <= 0 || run.count <= 0) {
      return absl::DataLossError(absl::StrCat("not a list of ids: \"", text, "\""));
    }
    ids.runs_.push_back(run);
  }
  return ids;
}

}  // namespace host_stub
