// Evaluates filters: the same for every store.
#ifndef HOST_STUB_STORE_INCIDENT_FILTER_H_
#define HOST_STUB_STORE_INCIDENT_FILTER_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "host_stub/store/incident_store.h"
#include "plugin/base/json_reader.h"

namespace host_stub {

// Reads PATH=VALUE. INVALID_ARGUMENT tells the place.
absl::StatusOr<IncidentFilter::Condition> ReadCondition(absl::string_view text);

// OUT_OF_RANGE for a query after `after_id` that must be complete: where that id and the first ones
// after it have been deleted, and where no incident has had it yet.
absl::Status DeletedError(int64_t after_id);
absl::Status AheadError(int64_t after_id);

// Fills one page. A store gives it the incidents in the order of the query. What the store has
// sorted out already by the filter needs not be given.
class IncidentPageFiller {
 public:
  explicit IncidentPageFiller(const IncidentQuery& query);

  // For a store whose order is that of the ids, once: the range that the page is of. Cuts it to
  // `most_ids` where the filter may leave out most of them.
  void CutRange(int64_t most_ids, int64_t& least, int64_t& most);
  // The page ends before the next incident.
  bool is_full() const;
  // Keeps the incident if the filter does.
  void Take(StoredIncident incident);
  // Ends the page: before the next incident, or because the range has no more.
  IncidentPage EndBeforeNext();
  IncidentPage EndOfRange();

 private:
  bool Keeps(const StoredIncident& incident);
  bool Holds(const IncidentFilter::Condition& condition);

  const IncidentQuery& query_;
  IncidentPage page_;
  int64_t bytes_ = 0;  // of those that were kept
  int64_t left_out_bytes_ = 0;
  bool is_cut_ = false;
  std::optional<int64_t> range_end_;  // the last id that is looked at
  base::JsonReader reader_;
  std::vector<base::JsonValue> values_;
};

}  // namespace host_stub

#endif  // HOST_STUB_STORE_INCIDENT_FILTER_H_
