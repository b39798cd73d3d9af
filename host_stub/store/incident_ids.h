// The ids that a delivery key stands for, kept as runs: a batch's new ids follow one another.
#ifndef HOST_STUB_STORE_INCIDENT_IDS_H_
#define HOST_STUB_STORE_INCIDENT_IDS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace host_stub {

class IncidentIds {
 public:
  IncidentIds() = default;
  explicit IncidentIds(int64_t id) { Append(id); }

  void Append(int64_t id);

  int64_t size() const;
  // That many of them, from the first on; past the end the last one stands again.
  std::vector<int64_t> Expand(size_t count) const;
  int64_t first() const { return runs_.front().first; }

  // As in "17+3 40+1": runs of a first id and a count.
  std::string ToText() const;
  static absl::StatusOr<IncidentIds> FromText(absl::string_view text);

 private:
  struct Run {
    int64_t first;
    int64_t count;
  };
  absl::InlinedVector<Run, 1> runs_;
};

}  // namespace host_stub

#endif  // HOST_STUB_STORE_INCIDENT_IDS_H_
