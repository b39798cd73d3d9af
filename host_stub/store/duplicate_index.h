// The delivery keys that are remembered, in memory: what decides whether an incident is new.
//
// A transaction stages its keys. They are found at once, so that twins within one transaction or
// one batch meet, and none is evicted before the transaction ends, however few keys are remembered.
// Then the keys are kept (Commit) or dropped (Abandon). Not thread-safe: it belongs to the writer.
//
// Of an instance so many keys are kept at most; then the oldest go. A key that has expired is not
// found, and its memory is freed once those that were written before it and expire too have
// expired.
#ifndef HOST_STUB_STORE_DUPLICATE_INDEX_H_
#define HOST_STUB_STORE_DUPLICATE_INDEX_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <queue>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/hash/hash.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace host_stub {

// The ids that a delivery key stands for, kept as runs: a batch's new ids follow one another.
class IncidentIds {
 public:
  IncidentIds() = default;
  explicit IncidentIds(int64_t id) { Append(id); }

  void Append(int64_t id);
  // The first `count` ids; where there are fewer, the last one is repeated.
  std::vector<int64_t> Expand(size_t count) const;
  int64_t first() const { return runs_.front().first; }
  size_t size() const;

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

enum class KeyScope : int { kBatch = 0, kIncident = 1 };

struct DeliveryKey {
  int64_t instance = 0;
  KeyScope scope = KeyScope::kBatch;
  std::string key;
  IncidentIds ids;
  absl::Time expires = absl::InfiniteFuture();
  int64_t row = 0;      // where it is stored
  std::string content;  // of what was delivered with it; empty: not known
  // What duplicates are told of its incidents; see IncidentTables::ReadFirsts.
  std::string firsts;
};

class DuplicateIndex {
 public:
  explicit DuplicateIndex(int64_t remembered_of_an_instance)
      : remembered_of_an_instance_(remembered_of_an_instance) {}

  // Null where the key is not known or has expired. A key that an earlier version stored in its own
  // encoding (see the ABI's header) is known as well. Valid until the next change.
  const DeliveryKey* Find(int64_t instance, KeyScope scope, absl::string_view key,
                          absl::Time now) const;

  void Stage(DeliveryKey key);
  // Remembers what was staged; of each instance only the newest stay. Frees what has expired.
  void Commit(absl::Time now);
  void Abandon();

  // Frees what has expired, of all instances. Commit does it too; for times when none comes.
  void Expire(absl::Time now);
  bool has_expiring() const { return !expiries_.empty(); }

  // How many keys of the instance were forgotten before they expired, since this was last asked.
  // Keys without a lifetime do not count: they live as long as there is room.
  int64_t TakeForgottenEarly(int64_t instance);

  // Rows of keys that are no longer remembered, oldest first. Their owner deletes them and takes
  // them out of here. They are not remembered after a restart either.
  std::deque<int64_t>& forgotten_rows() { return forgotten_rows_; }

 private:
  template <typename Key>
  using Map = std::unordered_map<Key, const DeliveryKey*, absl::Hash<Key>>;

  // In the order of their rows; elements do not move.
  using Queue = std::deque<DeliveryKey>;
  struct Memory {
    size_t size() const { return lasting.size() + expiring.size(); }

    Queue lasting;
    Queue expiring;
    bool is_awaited = false;  // whether it is in expiries_
    Map<absl::string_view> by_key[2];
  };
  // When the first key of Memory::expiring expires, or one that was before it; and the instance.
  using Expiry = std::pair<absl::Time, int64_t>;

  const DeliveryKey* FindExact(int64_t instance, KeyScope scope, absl::string_view key,
                               absl::Time now) const;
  void ForgetBeyondTheBound(int64_t instance, Memory& memory, absl::Time now);
  void ForgetFirst(Memory& memory, Queue& queue);

  int64_t remembered_of_an_instance_;
  std::unordered_map<int64_t, Memory> memories_;  // by instance
  std::priority_queue<Expiry, std::vector<Expiry>, std::greater<>> expiries_;
  std::unordered_map<int64_t, int64_t> forgotten_early_;  // by instance
  std::deque<DeliveryKey> staged_;
  Map<std::pair<int64_t, absl::string_view>> staged_by_key_[2];
  std::deque<int64_t> forgotten_rows_;
};

}  // namespace host_stub

#endif  // HOST_STUB_STORE_DUPLICATE_INDEX_H_
