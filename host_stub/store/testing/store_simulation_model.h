// What a simulated history knows: what was acknowledged, and what may be stored. Tests only.
#ifndef HOST_STUB_STORE_TESTING_STORE_SIMULATION_MODEL_H_
#define HOST_STUB_STORE_TESTING_STORE_SIMULATION_MODEL_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "host_stub/store/incident_store.h"
#include "host_stub/store/testing/store_test_util.h"

namespace host_stub {

// One submission as it was sent. No two incidents have the same details.
struct SentBatch {
  std::string uid;
  std::string key;
  std::string replay_key;
  absl::Duration lifetime;  // of its keys; zero: for good
  std::vector<TestIncident> incidents;
  // The store looked at its clock in between. Set when the batch was finished.
  absl::Time begun;
  absl::Time ended;
};

class SimulationModel {
 public:
  // Takes the result of a batch. This and Check return which promise was broken, or "".
  std::string Finished(const SentBatch& batch, const Submission& result);
  // Retention may have deleted, from the oldest on, what was created before then.
  void MayBeDeleted(absl::Time created_before);
  // Takes all incidents that the store has, opened again on a healthy disk.
  std::string Check(const std::vector<StoredIncident>& all);

  // The key of an incident or batch that was once acknowledged, to repeat it; nullopt if there is
  // none.
  std::optional<std::pair<std::string, std::string>> KnownKey(uint32_t chance) const;
  std::optional<std::pair<std::string, std::string>> KnownBatchKey(uint32_t chance) const;

  int64_t acknowledged() const { return static_cast<int64_t>(created_.size()); }
  int64_t unknown() const { return unknown_; }
  int64_t unknown_there() const { return unknown_there_; }
  int64_t duplicates() const { return duplicates_; }
  int64_t replays() const { return replays_; }
  int64_t expired() const { return expired_; }
  int64_t deleted() const { return deleted_; }
  int64_t duplicates_of_deleted() const { return duplicates_of_deleted_; }

 private:
  using Key = std::pair<std::string, std::string>;  // uid and key
  // When something is, as far as this is known.
  struct Time {
    absl::Time earliest;
    absl::Time latest;
  };
  struct Known {
    std::vector<int64_t> ids;
    Time expires;

    bool MayLive(Time now) const { return expires.latest > now.earliest; }
    bool MustLive(Time now) const { return expires.earliest > now.latest; }
  };
  struct Incident {
    std::string uid;
    std::string details;
    absl::Time created;
    bool may_be_deleted = false;
  };

  static Time Expiry(const SentBatch& batch, Time now);
  std::string Created(const SentBatch& batch, const std::vector<CreatedIncident>& created);
  std::string OneCreated(const SentBatch& batch, size_t i, Time now,
                         const CreatedIncident& created);
  void RememberBatch(const SentBatch& batch, const std::vector<int64_t>& ids, Time now);
  void RememberReplay(const SentBatch& batch, const Known& known, bool certain);
  std::string CheckFirst(const CreatedIncident& duplicate);
  std::string CheckMissing(const std::set<int64_t>& seen);
  std::string SettleUnknown(const std::map<std::string, const StoredIncident*>& extra);

  std::map<int64_t, Incident> incidents_;  // acknowledged, or seen after an opening; not deleted
  std::map<int64_t, absl::Time> created_;  // when each of them was, deleted or not
  std::map<Key, Known> keys_;
  std::map<Key, Known> batch_keys_;  // and replay keys
  std::vector<SentBatch> uncertain_;
  int64_t last_id_ = 0;
  int64_t unknown_ = 0;
  int64_t unknown_there_ = 0;
  int64_t duplicates_ = 0;
  int64_t replays_ = 0;  // batches that were known by their replay key alone
  int64_t expired_ = 0;  // keys that came again after their lifetime
  int64_t deleted_ = 0;
  int64_t duplicates_of_deleted_ = 0;
};

// The slices of the details in one piece.
std::string DetailsOf(const TestIncident& incident);

}  // namespace host_stub

#endif  // HOST_STUB_STORE_TESTING_STORE_SIMULATION_MODEL_H_
