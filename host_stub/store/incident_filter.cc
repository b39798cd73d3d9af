#include "host_stub/store/incident_filter.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace host_stub {
namespace {

// What one page looks at and leaves out, at most: a reader holds the store up, or keeps a snapshot
// of it, no longer than that takes.
constexpr int64_t kLeftOutBytes = 1 << 20;

bool ContainsInAnyCase(absl::string_view text, absl::string_view part) {
  return std::search(text.begin(), text.end(), part.begin(), part.end(), [](char a, char b) {
           return absl::ascii_tolower(static_cast<unsigned char>(a)) ==
                  absl::ascii_tolower(static_cast<unsigned char>(b));
         }) != text.end();
}

}  // namespace

bool IncidentFilter::passes_all() const {
  return instance_uid.empty() && type.empty() && name_part.empty() && where.empty() &&
         created_since == absl::InfinitePast() && created_before == absl::InfiniteFuture();
}

absl::StatusOr<IncidentFilter::Condition> ReadCondition(absl::string_view text) {
  absl::StatusOr<base::JsonPath> path = base::JsonPath::ParseUpTo('=', text);
  if (!path.ok()) return path.status();
  path->LowerCaseHeaderName();
  return IncidentFilter::Condition{*std::move(path), std::string(text)};
}

absl::Status DeletedError(int64_t after_id) {
  return absl::OutOfRangeError(
      absl::StrCat("incidents after ", after_id,
                   " have been deleted by retention; begin with the first that is there, after 0"));
}

absl::Status AheadError(int64_t after_id) {
  return absl::OutOfRangeError(
      absl::StrCat("no incident has had the id ", after_id,
                   " yet: it was given before an older copy of the store was put back"));
}

IncidentPageFiller::IncidentPageFiller(const IncidentQuery& query)
    : query_(query), reader_(base::JsonReader::kMostDepth, /*lone_surrogates=*/true) {
  page_.resume_id = query.newest_first ? query.before_id : query.after_id;
}

void IncidentPageFiller::CutRange(int64_t most_ids, int64_t& least, int64_t& most) {
  int64_t& end = query_.newest_first ? least : most;
  is_cut_ = !query_.filter.passes_all() && most - least >= most_ids;
  if (is_cut_) end = query_.newest_first ? most - most_ids + 1 : least + most_ids - 1;
  if (least <= most) range_end_ = end;
}

bool IncidentPageFiller::is_full() const {
  return static_cast<int64_t>(page_.incidents.size()) >=
             std::clamp<int64_t>(query_.limit, 1, kMostIncidentsOfAPage) ||
         bytes_ > query_.limit_bytes || left_out_bytes_ > kLeftOutBytes;
}

void IncidentPageFiller::Take(StoredIncident incident) {
  page_.resume_id = incident.id;
  const bool keeps = Keeps(incident);
  (keeps ? bytes_ : left_out_bytes_) += incident.bytes();
  if (keeps) page_.incidents.push_back(std::move(incident));
}

IncidentPage IncidentPageFiller::EndBeforeNext() {
  page_.more = true;
  return std::move(page_);
}

IncidentPage IncidentPageFiller::EndOfRange() {
  page_.more = is_cut_;
  page_.resume_id = range_end_.value_or(page_.resume_id);
  return std::move(page_);
}

bool IncidentPageFiller::Keeps(const StoredIncident& incident) {
  const IncidentFilter& filter = query_.filter;
  if (!filter.instance_uid.empty() && incident.instance_uid != filter.instance_uid) return false;
  if (!filter.type.empty() && incident.type != filter.type) return false;
  if (incident.created < filter.created_since || incident.created >= filter.created_before) {
    return false;
  }
  if (!ContainsInAnyCase(incident.name, filter.name_part)) return false;
  if (filter.where.empty()) return true;
  return reader_.OpenCopy(incident.details) &&
         std::all_of(filter.where.begin(), filter.where.end(),
                     [this](const auto& condition) { return Holds(condition); });
}

bool IncidentPageFiller::Holds(const IncidentFilter::Condition& condition) {
  values_.clear();
  reader_.Rewind();
  if (!condition.path.Collect(reader_, values_)) return false;
  return std::any_of(values_.begin(), values_.end(), [&](const base::JsonValue& value) {
    return value.kind == base::JsonKind::kString ? base::TextOfString(value) == condition.value
                                                 : value.text == condition.value;
  });
}

}  // namespace host_stub
