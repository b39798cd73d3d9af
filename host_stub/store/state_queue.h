// The reads and writes of StateStore that wait for the writer: bounded and in order. Several values
// of one key that wait are written once.
#ifndef HOST_STUB_STORE_STATE_QUEUE_H_
#define HOST_STUB_STORE_STATE_QUEUE_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "host_stub/store/store.h"
#include "plugin/limits/limits.h"

namespace host_stub {

// What a store does for StateStore within a transaction. An error means that the transaction
// will be rolled back, except NOT_FOUND of ReadContext. For the writer's thread.
class StateTables {
 public:
  virtual ~StateTables() = default;
  virtual absl::StatusOr<std::string> ReadContext(const std::string& uid,
                                                  const std::string& key) = 0;
  virtual absl::Status WriteContext(const std::string& uid, const std::string& key,
                                    const std::string& value) = 0;
  virtual absl::StatusOr<std::vector<StoredInstance>> ReadInstances() = 0;
  // As StateStore has it. Advance: ABORTED where it is another one.
  virtual absl::StatusOr<int64_t> ReadVersion() { return 0; }
  virtual absl::Status AdvanceVersion(int64_t /*version*/) { return absl::OkStatus(); }
  virtual absl::Status WriteInstance(const StoredInstance& instance) = 0;
  virtual absl::Status DeleteInstance(const std::string& uid) = 0;
  // Removes the oldest beyond `most_kept`.
  virtual absl::Status WriteAudit(const AuditEntry& entry, int64_t most_kept) = 0;
  // As StateStore::ListAudit.
  virtual absl::StatusOr<std::vector<AuditEntry>> ReadAudit(int64_t before, int64_t most) = 0;
};

// Runs within a transaction, perhaps again after it was rolled back; then `finish` is called once,
// with what became of both.
struct StateWork {
  std::function<absl::Status(StateTables& tables)> run;
  std::function<void(const absl::Status& status)> finish;
  int64_t calls = 1;  // of the queue's bound
  int64_t bytes = 0;
};

// Any thread.
class StateQueue {
 public:
  explicit StateQueue(const webhook::Limits& limits);

  // UNAVAILABLE: full or closed. INVALID_ARGUMENT: the key or the value's size.
  absl::Status PushGet(absl::string_view uid, absl::string_view key, ContextDone done);
  absl::Status PushSet(absl::string_view uid, absl::string_view key, std::string value,
                       ContextDone done);
  // Not bounded: these are a person's calls, one at a time.
  absl::Status Push(StateWork work);

  // At most `most`, oldest first.
  std::vector<StateWork> Take(size_t most);
  bool empty() const;
  void Close();

 private:
  using Key = std::pair<std::string, std::string>;
  // A value that waits. Its work shares it; Take removes it from the map.
  struct PendingSet {
    std::string value;
    std::vector<ContextDone> done;
  };
  struct Entry {
    StateWork work;
    Key set_key;  // of a value that waits; else empty
  };

  absl::Status Admit(absl::string_view key, int64_t bytes);

  const int64_t most_calls_;
  const int64_t most_bytes_;
  const int64_t most_value_bytes_;
  mutable std::mutex mutex_;
  bool closed_ = false;
  int64_t calls_ = 0;
  int64_t bytes_ = 0;
  std::deque<Entry> entries_;
  std::map<Key, std::shared_ptr<PendingSet>> sets_;
};

}  // namespace host_stub

#endif  // HOST_STUB_STORE_STATE_QUEUE_H_
