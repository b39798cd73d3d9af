// How a batch is written, the same for every store: which incidents are new, which are duplicates.
#ifndef HOST_STUB_STORE_DEDUPLICATION_H_
#define HOST_STUB_STORE_DEDUPLICATION_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "host_stub/store/duplicate_index.h"
#include "host_stub/store/incident_store.h"
#include "plugin/limits/limits.h"

namespace host_stub {

// What the incidents of a batch share: the end of their details, which are the headers of their
// request, and what else is stored of it. A store keeps it once and joins it when it reads, so that
// a small request with large headers stays small.
struct SharedParts {
  // Whether the last slice of the details ends with this very piece of memory.
  bool EndsDetailsOf(const NewIncident& incident) const;
  bool has_request() const { return !request_address.empty() || !request_query.empty(); }

  absl::string_view end;  // empty where sharing would save little
  absl::string_view request_address;
  absl::string_view request_query;
  // Where the store keeps all, and the request alone; 0: nowhere yet.
  int64_t number = 0;
  int64_t request_number = 0;
};

SharedParts FindSharedParts(const Submission& batch);

// What a store does within a transaction. An error means that the transaction will be rolled back.
class IncidentTables {
 public:
  virtual ~IncidentTables() = default;
  // The small number that stands for an instance. Where it has none yet: a new one if `may_add`,
  // else 0.
  virtual absl::StatusOr<int64_t> InstanceNumber(const Submission& batch, bool may_add) = 0;
  // Sets a number of `shared` where the incident is the first one that shares it.
  virtual absl::StatusOr<int64_t> AddIncident(int64_t instance, absl::Time created,
                                              const NewIncident& incident, SharedParts& shared) = 0;
  // Sets key.row. Keeps key.firsts, and may take it out.
  virtual absl::Status AddKey(DeliveryKey& key) = 0;
  // The firsts of a key that was added; empty where an older version has stored it.
  virtual absl::StatusOr<std::string> ReadFirsts(const DeliveryKey& key) = 0;
  // Sets `created` and `first`; leaves them as they are where the incident was deleted.
  virtual absl::Status ReadFirst(int64_t id, CreatedIncident& duplicate) = 0;
};

// The size of all texts together.
size_t BytesOf(std::span<const absl::string_view> texts);

// The size of what a store keeps of an incident. Each warning has a line break.
size_t TextBytes(const NewIncident& incident);

// Checks what can be checked without a disk. INVALID_ARGUMENT, or the size of the batch in bytes.
absl::StatusOr<int64_t> CheckBatch(const Submission& batch, const webhook::Limits& limits);

// Writes a batch and fills batch.created. New keys are staged in the index.
absl::Status WriteBatch(Submission& batch, absl::Time now, IncidentTables& tables,
                        DuplicateIndex& index);

// Once the transaction of these batches is committed: keeps their keys.
void KeepKeys(std::span<Submission* const> batches, absl::Time now, DuplicateIndex& index);

// Sets the result of a batch that was not created, or may not have been, and empties `created`.
void SetFailure(Submission& batch, CreationOutcome outcome, const absl::Status& status,
                int64_t retry_after_seconds);

// Where the batch's deadline has passed: sets its result, for it must not be begun. False: it may
// be.
bool FailIfPastDeadline(Submission& batch, int64_t now_mono_ns);

}  // namespace host_stub

#endif  // HOST_STUB_STORE_DEDUPLICATION_H_
