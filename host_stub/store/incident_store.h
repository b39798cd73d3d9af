// The incident store: takes batches of new incidents, says once they are on disk, reads them back.
//
// The promise. Outcome kCreated: the whole batch is synced to disk. kNotCreated: nothing of it is
// there, nor will be. kUnknown: a fault came in the middle of the commit; the same delivery keys
// sent again tell which of the two it was. A batch is created whole or not at all.
//
// Duplicates are decided here, where the rows are written, so that two twins cannot race. A
// delivery key belongs to its instance (by uid). Batch keys and incident keys are two name spaces.
// Each instance remembers Limits::remembered_delivery_keys keys, the newest ones, for as long as
// their submission's time to live; keys survive a restart. A failed creation remembers nothing.
//
// Threads: every function may be called from any thread. Create never waits for a disk; Get and
// List do, so do not call them from an I/O thread.
#ifndef HOST_STUB_STORE_INCIDENT_STORE_H_
#define HOST_STUB_STORE_INCIDENT_STORE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace host_stub {

// All views are the submitter's and live until the submission's completion.
struct NewIncident {
  absl::string_view name;
  absl::string_view type;      // may be empty
  absl::string_view occurred;  // RFC 3339 text; kept as it is
  // Put together: one JSON object. Kept byte for byte, never looked into.
  std::span<const absl::string_view> details;
  // One line each; a line break within one is kept as a blank.
  std::span<const absl::string_view> warnings;
  absl::string_view delivery_key;  // empty: none; at most Limits::delivery_key_bytes
};

// What is told of an incident that was there already.
struct FirstIncident {
  std::string name;
  std::string type;
  std::string occurred;
};

struct CreatedIncident {
  int64_t id = 0;      // decimal where it is shown; 0 for what a dry run would have created
  absl::Time created;  // of the incident with this id, in whole microseconds
  // Set exactly for a duplicate; then id and created are the first incident's too. Its members are
  // empty where the first incident has been deleted since.
  std::unique_ptr<FirstIncident> first;

  bool duplicate() const { return first != nullptr; }
};

enum class CreationOutcome { kCreated, kNotCreated, kUnknown };

class CompletionSink;

// One caller's batch, and later what became of it. Owned by the caller; the store keeps a pointer
// and writes the results from Create's OK until the completion, and touches it never again after.
struct Submission {
  // Set by the caller.
  absl::string_view instance_uid;        // never empty; stays the same when an instance is renamed
  absl::string_view instance_name;       // sourceInstance; the last one given is kept
  absl::string_view source_brand;        // likewise
  absl::string_view delivery_key;        // of the batch; empty: none
  absl::Duration delivery_key_lifetime;  // of all keys here; zero: as long as there is room
  int64_t deadline_mono_ns = 0;          // not begun after it (CLOCK_MONOTONIC); 0: none
  bool dry_run = false;                  // everything but the writing
  std::span<const NewIncident> incidents;
  CompletionSink* sink = nullptr;  // outlives the completion
  void* user = nullptr;            // the caller's, never looked at

  // Set by the store before the completion. `status` is OK exactly where outcome is kCreated, and
  // else a code and a line for a person: UNAVAILABLE (disk full, read-only, locked, failing),
  // DEADLINE_EXCEEDED, INTERNAL.
  CreationOutcome outcome = CreationOutcome::kNotCreated;
  absl::Status status;
  int64_t retry_after_seconds = 0;  // when trying again is sensible; 0: not known
  // As many as `incidents` and in their order where kCreated, else empty. A batch whose own key is
  // known gets the ids of the first batch, all of them as duplicates.
  std::vector<CreatedIncident> created;

  // The store's while it has the submission; in Complete, the next one of the list or null.
  Submission* next = nullptr;
  int64_t queued_bytes = 0;
};

// Where finished submissions go, for example one for each I/O thread.
class CompletionSink {
 public:
  virtual ~CompletionSink() = default;

  // Takes all submissions of this sink that one commit finished, linked by Submission::next, in
  // the order of their Create. Called on the writer's thread (or within Create, for a store that
  // needs none), holding no lock: hand them over and return. May call Create.
  virtual void Complete(Submission* list) = 0;
};

struct StoredIncident {
  int64_t id = 0;
  std::string instance_uid;
  std::string instance_name;  // the last one known of the instance, as is source_brand
  std::string source_brand;
  std::string name;
  std::string type;
  std::string occurred;
  absl::Time created;
  std::string details;
  std::vector<std::string> warnings;
};

inline constexpr int64_t kMostIncidentsOfAPage = 10'000;

struct IncidentQuery {
  bool newest_first = false;
  int64_t after_id = 0;           // only ids greater than this
  int64_t before_id = 0;          // only ids smaller than this; 0: no such bound
  std::string instance_uid = {};  // only of this instance; empty: of all
  int64_t limit = 100;            // incidents of a page; brought into 1 to kMostIncidentsOfAPage
  int64_t limit_bytes = 8 << 20;  // a page ends when it has grown past this
};

struct IncidentPage {
  std::vector<StoredIncident> incidents;
  // Whether to go on: a page may be short, or empty, before the end (bytes, or a rare instance).
  // Ask again with `after_id` (oldest first) or `before_id` (newest first) set to `resume_id`.
  bool more = false;
  int64_t resume_id = 0;
};

// Ends the subscription when destroyed; a callback that is running then is waited for, unless it
// is the callback itself that destroys. May outlive the store.
class IncidentSubscription {
 public:
  virtual ~IncidentSubscription() = default;
};

class IncidentStore {
 public:
  // Closes, where that was not done.
  virtual ~IncidentStore() = default;

  // Takes a batch. OK: exactly one completion, which may come before the return. Not OK: none, and
  // nothing was created. UNAVAILABLE: the queue is full (Limits::queued_batches, queued_bytes) or
  // the store is closed. INVALID_ARGUMENT: no incidents, no uid, a key or a text beyond its limit.
  // Never blocks but for the queue's lock.
  virtual absl::Status Create(Submission* submission) = 0;

  // NOT_FOUND where there is none; UNAVAILABLE where it cannot be read.
  virtual absl::StatusOr<StoredIncident> Get(int64_t id) = 0;
  virtual absl::StatusOr<IncidentPage> List(const IncidentQuery& query) = 0;

  // The highest id that is on disk; 0 where there is none.
  virtual int64_t last_id() const = 0;

  // Calls back with last_id() after each commit that created incidents, once they can be read. Not
  // called for what was there before: ask last_id() after subscribing. On the writer's thread, one
  // call at a time: hand it over and return, and do not subscribe from there.
  virtual std::unique_ptr<IncidentSubscription> Subscribe(
      std::function<void(int64_t last_id)> committed) = 0;

  // OK, or why the last commit failed.
  virtual absl::Status health() const = 0;

  // Refuses new batches, finishes those it has taken and completes them, and joins its threads.
  // Reading still works. A second call does nothing. Not from within Complete or a subscription.
  virtual void Close() = 0;
};

}  // namespace host_stub

#endif  // HOST_STUB_STORE_INCIDENT_STORE_H_
