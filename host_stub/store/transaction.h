// What group commit asks of a database engine. SQLite's is in sqlite/; another engine implements
// the two classes of this file, and nothing else of the store or the host changes.
#ifndef HOST_STUB_STORE_TRANSACTION_H_
#define HOST_STUB_STORE_TRANSACTION_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "host_stub/store/deduplication.h"
#include "host_stub/store/duplicate_index.h"
#include "host_stub/store/incident_store.h"
#include "host_stub/store/state_queue.h"

namespace host_stub {

// What became of a transaction.
struct TransactionResult {
  enum class Kind {
    kCommitted,                 // synced to disk
    kRolledBack,                // nothing of it is there; the next one may be tried at once
    kBadBatch,                  // likewise, and the fault may be a single batch's
    kConflict,                  // likewise, and the very same may succeed: another host came first
    kRolledBackConnectionLost,  // nothing of it is there, but the connection can be used no more
    kUnknownConnectionLost      // it may be there: only the database, opened again, tells
  };
  Kind kind = Kind::kCommitted;
  absl::Status status;

  bool connection_is_lost() const {
    return kind == Kind::kRolledBackConnectionLost || kind == Kind::kUnknownConnectionLost;
  }
};

// The writer's connection to an open database, and the one transaction that it can have at a time.
// For one thread.
class Transaction : public IncidentTables, public StateTables {
 public:
  // What the two bases declare, DeleteKeys and DeleteOldest are called between these two.
  virtual absl::Status Begin() = 0;
  // Commits where `written` is OK, and rolls back where it is not.
  virtual TransactionResult End(const absl::Status& written) = 0;

  // Of a shared database, after Begin: gives the keys of these batches that are stored.
  virtual absl::Status ReadKeysOf(std::span<Submission* const> /*batches*/,
                                  const std::function<void(DeliveryKey)>& /*take*/) {
    return absl::OkStatus();
  }
  // Outside a transaction, where the one before has ended as kUnknownConnectionLost and the
  // database was opened again: whether it was committed; nothing: that is not known.
  virtual std::optional<bool> WasCommitted() { return std::nullopt; }

  // Deletes the first `count` of these rows of delivery keys.
  virtual absl::Status DeleteKeys(const std::deque<int64_t>& rows, size_t count) = 0;

  // Deletes the oldest incidents: those created before then, and while the database has more than
  // so many bytes (0: however many). Gives free space back to the disk. Does little at once after
  // the deadline; `more`: there is more to do.
  struct Deleted {
    int64_t incidents = 0;
    bool more = false;
  };
  virtual absl::Status DeleteOldest(absl::Time created_before, int64_t most_bytes,
                                    std::chrono::steady_clock::time_point deadline,
                                    Deleted& deleted) = 0;

  // Outside a transaction, as all that follows. The highest id that was given; 0 where there is
  // none.
  virtual absl::StatusOr<int64_t> ReadLastId() = 0;
  // IncidentStore::identity.
  virtual absl::StatusOr<std::string> ReadIdentity() = 0;
  // Gives every delivery key that is stored, in the order of writing.
  virtual absl::Status ReadKeys(const std::function<void(DeliveryKey)>& take) = 0;

  // Does what is not urgent. Called after each transaction, and at next_maintenance(), if that is
  // set, where no transaction comes. An error means that the connection is lost. OK means that a
  // shared database can be written, which is tried where a transaction has failed: a host that
  // balancers pass by because of its health gets no transaction that would show it.
  virtual absl::Status RunMaintenance() = 0;
  virtual std::optional<std::chrono::steady_clock::time_point> next_maintenance() const = 0;

  // Called before the destruction where the store closes; not where the connection was lost.
  virtual void PrepareToClose() = 0;
};

class Database {
 public:
  virtual ~Database() = default;

  // Other hosts write it at the same time. Then the store asks it for delivery keys at each commit
  // instead of remembering them, and these three are the database's: ids are not in the order in
  // which readers see incidents. last_id and Subscribe as IncidentStore has them; any thread.
  virtual bool is_shared() const { return false; }
  virtual int64_t last_id() const { return 0; }
  virtual std::unique_ptr<IncidentSubscription> Subscribe(
      std::function<void(int64_t)> /*committed*/) {
    return nullptr;
  }

  // The writer's thread. Opens the database, for the first time or after Close, and proves by a
  // synced write that it can be written. Once open it can be read.
  virtual absl::StatusOr<std::unique_ptr<Transaction>> Open() = 0;
  // The writer's thread, after the connection was lost and destroyed: waits for those who read, and
  // closes whatever else is open. Reads are UNAVAILABLE from then on until Open.
  virtual void Close() = 0;

  // Any thread, as StateStore has them.
  virtual absl::Status TellOfHost(const HostReport& /*report*/) { return absl::OkStatus(); }
  virtual absl::StatusOr<std::vector<InstanceOnHost>> ListOnHosts(
      const std::vector<std::string>& /*uids*/) {
    return std::vector<InstanceOnHost>();
  }
  virtual absl::Status CheckKeepsSecrets() const { return absl::OkStatus(); }
  virtual absl::StatusOr<int64_t> InstancesVersion() { return 0; }
  // Any thread, as IncidentStore has them.
  virtual absl::StatusOr<StoredIncident> Get(int64_t id) = 0;
  virtual absl::StatusOr<IncidentPage> List(const IncidentQuery& query) = 0;
  virtual std::string durability() const { return ""; }
  virtual std::string warning() const { return ""; }
  // The sizes alone are set.
  virtual StoreStatistics sizes() const { return {}; }
};

}  // namespace host_stub

#endif  // HOST_STUB_STORE_TRANSACTION_H_
