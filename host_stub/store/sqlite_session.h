// The writer's open database: one connection, its statements, the keys it remembers. What a failed
// transaction means is decided here. For the writer's thread.
#ifndef HOST_STUB_STORE_SQLITE_SESSION_H_
#define HOST_STUB_STORE_SQLITE_SESSION_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "host_stub/store/duplicate_index.h"
#include "host_stub/store/incident_store.h"
#include "host_stub/store/sqlite_connection.h"
#include "host_stub/store/sqlite_state_tables.h"
#include "host_stub/store/sqlite_tables.h"
#include "host_stub/store/state_queue.h"

namespace host_stub {

// What became of a transaction.
struct TransactionResult {
  enum class Kind {
    kCommitted,
    kUndone,      // nothing of it is there; the next one may be tried at once
    kBadBatch,    // likewise, and the fault may be a single batch's
    kUndoneLost,  // nothing of it is there, but the connection can be used no more
    kUnknownLost  // the sync failed: only a reopened database tells
  };
  Kind kind = Kind::kCommitted;
  absl::Status status;
};

class SqliteSession {
 public:
  // Migrates, proves by a synced write that the disk takes it, reads the delivery keys.
  static absl::StatusOr<std::unique_ptr<SqliteSession>> Open(const std::string& path,
                                                             const std::string& vfs,
                                                             int64_t remembered_delivery_keys,
                                                             absl::Time now);

  // Writes these batches in one transaction and fills their `created`. Out of memory is a lost
  // connection.
  TransactionResult Write(std::span<Submission* const> batches, absl::Time now) noexcept;

  // Runs these in one transaction.
  TransactionResult RunState(std::span<StateWork> works) noexcept;

  // Rows of keys that are remembered no more.
  size_t forgotten_keys() { return index_.forgotten_rows().size(); }
  // Deletes at most that many of them in a transaction.
  TransactionResult DeleteForgottenKeys(size_t most);

  int64_t last_id() const { return last_id_; }
  int64_t log_pages() const { return hook_.wal_pages; }  // of the WAL, after the last commit

  // Whether a commit has added to the WAL since the last call.
  bool TakeCommitted() { return std::exchange(hook_.committed, false); }

  // Both tell whether all of the WAL is copied then, or may be.
  //
  // Copies what it can of the WAL into the database, waiting for nobody.
  absl::Status Checkpoint(bool& all_copied);
  // Copies all of it and cuts the WAL to nothing. False: a reader or another copier was in the way,
  // and still was after a moment where `wait` asks for that.
  absl::StatusOr<bool> EmptyLog(bool wait, bool& all_copied);
  // Whether RunState left in the log what it removed from the database, since the last call.
  bool TakeRemovedSecret() { return state_tables_->TakeRemovedSecret(); }

 private:
  explicit SqliteSession(int64_t remembered) : index_(remembered) {}
  absl::Status Prepare(const std::string& path, absl::Time now);
  TransactionResult Conclude(const absl::Status& written, std::span<Submission* const> batches,
                             absl::Time now);
  TransactionResult Finish(const absl::Status& written);

  std::unique_ptr<SqliteConnection> connection_;
  std::unique_ptr<SqliteTables> tables_;
  std::unique_ptr<SqliteStateTables> state_tables_;
  DuplicateIndex index_;
  int64_t last_id_ = 0;
  struct WalHook {
    int64_t wal_pages = 0;
    bool committed = true;  // opening commits
  };
  WalHook hook_;
};

}  // namespace host_stub

#endif  // HOST_STUB_STORE_SQLITE_SESSION_H_
