// The incident store takes batches of new incidents, reports when they are on disk, and reads them
// back.
//
// A batch is created as a whole or not at all. Outcome kCreated: all of it is synced to disk.
// kNotCreated: nothing of it is stored, and nothing will be. kUnknown: a fault interrupted the
// commit; sending the same delivery keys again tells which of the two it was.
//
// The store decides what is a duplicate, because it writes the rows: two equal deliveries cannot
// race there. A delivery key belongs to its instance (by uid). Keys of batches and keys of
// incidents are separate name spaces; a batch may have two keys, and the ABI's header says what
// that means (DELIVERY KEYS). The store remembers the newest Limits::remembered_delivery_keys keys
// of each instance, for the lifetime that their submission asks for; they survive a restart. A
// failed creation remembers nothing.
//
// Incidents are deleted by retention alone, oldest first, and their ids are never given again. Keys
// stay, and what a duplicate is answered with stays with them.
//
// Every reader sees the incidents in the same order, each once. It is the order of their ids, but
// for a store that hosts share: there ids are ordered by time, and the order is found after the
// commit.
//
// Every function may be called on any thread. Create never waits for a disk. Get and List do, so do
// not call them on an I/O thread.
#ifndef HOST_STUB_STORE_INCIDENT_STORE_H_
#define HOST_STUB_STORE_INCIDENT_STORE_H_

#include <algorithm>
#include <array>
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
#include "host_stub/observe/histogram.h"
#include "plugin/base/json_path.h"

namespace host_stub {

// All views belong to the submitter, and must stay valid until the submission's completion.
struct NewIncident {
  absl::string_view name;
  absl::string_view type;      // may be empty
  absl::string_view occurred;  // RFC 3339 text; stored as it is
  // The slices of one JSON object. It is stored byte for byte and never parsed.
  std::span<const absl::string_view> details;
  // One line each; a line break within one is stored as a blank.
  std::span<const absl::string_view> warnings;
  // Empty: none. At most Limits::delivery_key_bytes, and LRI_DELIVERY_KEY_PREFIX more.
  absl::string_view delivery_key;
  absl::string_view content;  // a hash of what was delivered with the key; empty: not known
  double severity = 0;        // as in the ABI; 0: unknown
};

// What a duplicate's sender is told of the incident that was stored first.
struct FirstIncident {
  std::string name;
  std::string type;
  std::string occurred;
  double severity = 0;
};

struct CreatedIncident {
  int64_t id = 0;      // shown in decimal; 0 for what a dry run would have created
  absl::Time created;  // when the incident with this id was created, in whole microseconds
  // Set only for a duplicate; then `id` and `created` are those of the first incident too. Its
  // members are empty if that has been deleted since, and its key was stored by a version that
  // kept nothing of it.
  std::unique_ptr<FirstIncident> first;
  // A duplicate whose content is known to differ: of the first incident only the id is given.
  bool other_content = false;

  bool duplicate() const { return first != nullptr; }
};

enum class CreationOutcome { kCreated, kNotCreated, kUnknown };

class CompletionSink;

// A caller's batch, and its result. The caller owns it. From a successful Create until the
// completion the store keeps a pointer to it and writes the results; after the completion it never
// touches it again.
struct Submission {
  // Set by the caller.
  absl::string_view instance_uid;     // never empty; stays the same when an instance is renamed
  absl::string_view instance_name;    // sourceInstance; the store keeps the last one given
  absl::string_view source_brand;     // likewise
  absl::string_view delivery_key;     // of the batch; empty: none
  absl::string_view replay_key;       // its second key, of what its sender signed; empty: none
  absl::string_view content;          // delivered with these keys; empty: not known
  absl::string_view request_address;  // stored with each incident; as in the ABI, as the next
  absl::string_view request_query;
  absl::Duration delivery_key_lifetime;  // of all keys here; zero: as long as there is room
  int64_t deadline_mono_ns = 0;          // not begun after this (CLOCK_MONOTONIC); 0: none
  bool dry_run = false;                  // do everything but write
  std::span<const NewIncident> incidents;
  CompletionSink* sink = nullptr;  // must outlive the completion
  void* user = nullptr;            // for the caller; the store ignores it

  // Set by the store before the completion. `status` is OK if and only if the outcome is kCreated.
  // Otherwise it has a code and one line for a person: UNAVAILABLE (the disk is full, read-only,
  // locked or failing), DEADLINE_EXCEEDED, INTERNAL.
  CreationOutcome outcome = CreationOutcome::kNotCreated;
  absl::Status status;
  int64_t retry_after_seconds = 0;  // when to try again; 0: not known
  // For kCreated, one for each of `incidents`, in their order; otherwise empty. A batch whose own
  // key is known gets the ids of the first batch, all of them as duplicates.
  std::vector<CreatedIncident> created;
  // For kCreated: keys of the instance that were forgotten before the end of their lifetime,
  // because of Limits::remembered_delivery_keys, since the last batch that was told.
  int64_t keys_forgotten_early = 0;

  // For the store, while it has the submission. In Complete: the next one of the list, or null.
  Submission* next = nullptr;
  int64_t queued_bytes = 0;
  int64_t instance_number = 0;
};

// Receives finished submissions. There may be several, such as one for each I/O thread.
class CompletionSink {
 public:
  virtual ~CompletionSink() = default;

  // Receives all submissions of this sink that one commit finished, linked by Submission::next, in
  // the order of their Create. It is called on the writer's thread (or within Create, if the store
  // has no writer), without a lock. It must hand them over and return, and may call Create.
  virtual void Complete(Submission* list) = 0;
};

struct StoredIncident {
  int64_t id = 0;
  std::string instance_uid;
  std::string instance_name;  // the instance's last known one, as is source_brand
  std::string source_brand;
  std::string name;
  std::string type;
  std::string occurred;
  absl::Time created;
  std::string details;
  std::vector<std::string> warnings;
  double severity = 0;
  std::string request_address;  // these two are empty where the request was not to be stored
  std::string request_query;

  // As a page counts them.
  int64_t bytes() const {
    return static_cast<int64_t>(sizeof(*this) + details.size() + request_query.size());
  }
};

inline constexpr int64_t kMostIncidentsOfAPage = 10'000;

// Which incidents are wanted: those for which all of this holds. Empty: whatever it is.
struct IncidentFilter {
  struct Condition {
    base::JsonPath path;  // in the details
    // One of the values there is a string of this text, or another value that is written like this.
    std::string value;
  };

  bool passes_all() const;

  std::string instance_uid = {};
  std::string type = {};
  std::string name_part = {};  // ASCII letters in any case
  absl::Time created_since = absl::InfinitePast();
  absl::Time created_before = absl::InfiniteFuture();
  std::vector<Condition> where = {};
};

struct IncidentQuery {
  bool newest_first = false;
  // In the order of the store, which is that of the ids unless hosts share it. 0: no such bound.
  int64_t after_id = 0;    // only what follows this one
  int64_t before_id = 0;   // only what comes before this one
  int64_t through_id = 0;  // this one and what comes before it
  // OUT_OF_RANGE where an incident after after_id has been deleted, or none has had that id yet.
  bool complete = false;
  // Where ids are the order: the last id of those that are asked for, of a store's that end there.
  int64_t LastOf(int64_t last_id) const {
    if (before_id > 0) last_id = std::min(last_id, before_id - 1);
    return through_id > 0 ? std::min(last_id, through_id) : last_id;
  }

  IncidentFilter filter = {};
  int64_t limit = 100;            // incidents of a page; clamped to 1 to kMostIncidentsOfAPage
  int64_t limit_bytes = 8 << 20;  // a page ends when it has grown past this
};

struct IncidentPage {
  std::vector<StoredIncident> incidents;
  // There may be more. A page can be short or empty before the end, because of limit_bytes or
  // because a store looks at a limited number of incidents for one page. To continue, now or when
  // more has come, ask again with `after_id` (oldest first) or `before_id` (newest first) set to
  // `resume_id`: the page has nothing to tell of what is before it.
  bool more = false;
  int64_t resume_id = 0;
};

// Which incidents are deleted; 0: none for that reason.
struct Retention {
  bool is_set() const { return days > 0 || bytes > 0; }

  int64_t days = 0;   // those that are older; a shared store keeps them for up to a day more
  int64_t bytes = 0;  // the oldest while the store has more, without what can be used again
};

// Its destruction ends the subscription, and waits for a callback that is running, unless that
// callback destroys it. It may outlive the store.
class IncidentSubscription {
 public:
  virtual ~IncidentSubscription() = default;
};

// What a store has done since it was opened, and what waits.
struct StoreStatistics {
  // Upper bounds: of a commit's duration in nanoseconds, and of the incidents in it.
  static constexpr std::array<int64_t, 13> kCommitBounds = {
      100'000,    250'000,    500'000,     1'000'000,   2'500'000,   5'000'000,    10'000'000,
      25'000'000, 50'000'000, 100'000'000, 250'000'000, 500'000'000, 1'000'000'000};
  static constexpr std::array<int64_t, 10> kIncidentBounds = {1,  2,   5,   10,    20,
                                                              50, 100, 500, 1'000, 4'000};
  HistogramCounts<kCommitBounds.size()> commit_durations;
  HistogramCounts<kIncidentBounds.size()> incidents_of_commits;
  int64_t deleted_incidents = 0;  // by retention
  int64_t failed_commits = 0;     // rolled back, or unknown
  int64_t lost_connections = 0;   // since then the database had to be opened again
  int64_t queued_batches = 0;     // waiting or being written; Limits::queued_batches
  int64_t queued_bytes = 0;       // Limits::queued_bytes
  int64_t database_bytes = 0;     // on disk; 0 where there is none
  int64_t wal_bytes = 0;          // likewise
  int64_t free_disk_bytes = -1;   // of the data folder's file system; -1 where it is not known
};

class IncidentStore {
 public:
  // Closes the store if Close was not called.
  virtual ~IncidentStore() = default;

  // Accepts a batch. After OK there is exactly one completion, which may come before Create
  // returns. After an error there is none, and nothing was created. UNAVAILABLE: the queue is full
  // (Limits::queued_batches, queued_bytes) or the store is closed. INVALID_ARGUMENT: there are no
  // incidents or no uid, or a key or a text exceeds its limit. Blocks only for the queue's lock.
  virtual absl::Status Create(Submission* submission) = 0;

  // NOT_FOUND: there is no such incident. UNAVAILABLE: it cannot be read.
  virtual absl::StatusOr<StoredIncident> Get(int64_t id) = 0;
  virtual absl::StatusOr<IncidentPage> List(const IncidentQuery& query) = 0;

  // The last id in the order, deleted or not; 0 if there is none. A shared store does not know what
  // other hosts have added since somebody has last read, or subscribed.
  virtual int64_t last_id() const = 0;

  // 16 hexadecimal digits that no other store has. A store keeps them when it is opened again.
  virtual std::string identity() const = 0;

  // Calls `committed` with last_id() after each commit that created incidents, or after several,
  // when they can be read. It is not called for incidents that were there before: ask last_id()
  // after subscribing. It runs on a thread of the store, one call at a time. It must hand the id
  // over and return, and must not subscribe. A shared store waits for its database here; null: it
  // cannot be read.
  virtual std::unique_ptr<IncidentSubscription> Subscribe(
      std::function<void(int64_t last_id)> committed) = 0;

  // From now on. Does not wait: incidents are deleted in small steps.
  virtual void SetRetention(const Retention& retention) = 0;

  // OK, or the reason why the last commit failed.
  virtual absl::Status health() const = 0;

  // Any thread; reads sizes from the file system.
  virtual StoreStatistics statistics() const = 0;

  // What a commit that was acknowledged is worth, in a sentence; empty: it is on this machine's
  // disk. Any thread.
  virtual std::string durability() const { return ""; }

  // What a person should do something about although the store works, in one line; or empty. Any
  // thread.
  virtual std::string warning() const { return ""; }

  // Refuses new batches, finishes and completes those that it has accepted, and joins its threads.
  // Reading still works. A second call does nothing. Do not call it in Complete or in a
  // subscription's callback.
  virtual void Close() = 0;
};

}  // namespace host_stub

#endif  // HOST_STUB_STORE_INCIDENT_STORE_H_
