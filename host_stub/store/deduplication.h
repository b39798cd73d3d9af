// How a batch is written, the same for every store: which incidents are new, which are duplicates.
#ifndef HOST_STUB_STORE_DEDUPLICATION_H_
#define HOST_STUB_STORE_DEDUPLICATION_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "host_stub/store/duplicate_index.h"
#include "host_stub/store/incident_store.h"
#include "plugin/limits/limits.h"

namespace host_stub {

// What a store does within a transaction. An error means that the transaction will be rolled back.
class IncidentTables {
 public:
  virtual ~IncidentTables() = default;
  // The small number that stands for an instance; a new one, where `may_add`, else 0.
  virtual absl::StatusOr<int64_t> InstanceNumber(const Submission& batch, bool may_add) = 0;
  virtual absl::StatusOr<int64_t> AddIncident(int64_t instance, absl::Time created,
                                              const NewIncident& incident) = 0;
  // Sets key.row.
  virtual absl::Status AddKey(DeliveryKey& key) = 0;
  // Tells created and first; leaves them as they are where the incident is gone.
  virtual absl::Status ReadFirst(int64_t id, CreatedIncident& duplicate) = 0;
};

// Of the texts put together.
size_t BytesOf(std::span<const absl::string_view> texts);

// Of what a store keeps of an incident: warnings have a line break each.
size_t TextBytes(const NewIncident& incident);

// What can be said of a batch without a disk, at the cost of its size: INVALID_ARGUMENT, or its
// bytes.
absl::StatusOr<int64_t> CheckBatch(const Submission& batch, const webhook::Limits& limits);

// Writes a batch and fills batch.created. New keys are staged in the index.
absl::Status WriteBatch(Submission& batch, absl::Time now, IncidentTables& tables,
                        DuplicateIndex& index);

// Sets what a finished batch tells; `created` is emptied where nothing was created.
void SetFailure(Submission& batch, CreationOutcome outcome, const absl::Status& status,
                int64_t retry_after_seconds);

// Whether the batch's deadline has passed, so that it must not be begun; it is told so then.
bool FailIfPastDeadline(Submission& batch, int64_t now_mono_ns);

}  // namespace host_stub

#endif  // HOST_STUB_STORE_DEDUPLICATION_H_
