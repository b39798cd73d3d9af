// The database as the writer has it open: its schema, its statements, its transactions, and the
// copying of the WAL between them.
#ifndef HOST_STUB_STORE_SQLITE_WRITER_DATABASE_H_
#define HOST_STUB_STORE_SQLITE_WRITER_DATABASE_H_

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "host_stub/store/sqlite/checkpointer.h"
#include "host_stub/store/sqlite/connection.h"
#include "host_stub/store/transaction.h"

namespace host_stub {

// PRAGMA user_version of what this program writes.
extern const int64_t kSchemaVersion;

inline constexpr int64_t kPageBytes = 4096;

// What the writer's thread tells of the WAL and the database. Any thread reads it.
struct WalState {
  std::atomic<bool> holds_secret{false};  // one that was replaced or deleted
  std::atomic<int64_t> pages{0};
  // The database has room that it should give back to the disk, and was made without the means.
  std::atomic<bool> keeps_free_space{false};
};

// For the writer's thread.
class WriterDatabase : public Transaction {
 public:
  // Brings the schema up to kSchemaVersion and proves by a synced write that the disk takes it.
  // FAILED_PRECONDITION, with the file's path: a newer program made the database.
  // `gives_space_back`: a new database is to be made such that it can.
  static absl::StatusOr<std::unique_ptr<WriterDatabase>> Open(
      const std::string& path, const std::string& vfs, absl::Time now, bool gives_space_back,
      const Checkpointer::Options& checkpointer, WalState& wal);

  absl::Status Begin() override;
  TransactionResult End(const absl::Status& written) override;

  absl::StatusOr<int64_t> InstanceNumber(const Submission& batch, bool may_add) override;
  absl::StatusOr<int64_t> AddIncident(int64_t instance, absl::Time created,
                                      const NewIncident& incident, SharedParts& shared) override;
  absl::Status AddKey(DeliveryKey& key) override;
  absl::StatusOr<std::string> ReadFirsts(const DeliveryKey& key) override;
  absl::Status ReadFirst(int64_t id, CreatedIncident& duplicate) override;
  absl::Status DeleteKeys(const std::deque<int64_t>& rows, size_t count) override;
  absl::Status DeleteOldest(absl::Time created_before, int64_t most_bytes,
                            std::chrono::steady_clock::time_point deadline,
                            Deleted& deleted) override;

  absl::StatusOr<std::string> ReadContext(const std::string& uid, const std::string& key) override;
  absl::Status WriteContext(const std::string& uid, const std::string& key,
                            const std::string& value) override;
  absl::StatusOr<std::vector<StoredInstance>> ReadInstances() override;
  absl::Status WriteInstance(const StoredInstance& instance) override;
  absl::Status DeleteInstance(const std::string& uid) override;
  absl::Status WriteAudit(const AuditEntry& entry, int64_t most_kept) override;
  absl::StatusOr<std::vector<AuditEntry>> ReadAudit(int64_t before, int64_t most) override;

  absl::StatusOr<int64_t> ReadLastId() override;
  absl::StatusOr<std::string> ReadIdentity() override;
  absl::Status ReadKeys(const std::function<void(DeliveryKey)>& take) override;
  absl::Status RunMaintenance() override;
  std::optional<std::chrono::steady_clock::time_point> next_maintenance() const override;
  void PrepareToClose() override;

 private:
  struct Instance {
    int64_t number;
    std::string name;
    std::string brand;
  };
  struct Space {
    int64_t used_pages;
    int64_t free_pages;
  };

  WriterDatabase(std::unique_ptr<SqliteConnection> connection, WalState& wal)
      : connection_(std::move(connection)), wal_(wal) {}
  absl::Status Migrate(const std::string& path);
  absl::Status PrepareStatements();
  absl::StatusOr<int64_t> ReadInstance(absl::string_view uid);
  absl::Status RunOverwriting(SqliteStatement& statement);
  absl::StatusOr<bool> DeleteIncident(absl::Time created_before, int64_t most_bytes);
  absl::StatusOr<Space> ReadSpace();
  absl::StatusOr<bool> GiveSpaceBack();
  int Checkpoint(int mode, bool wait);
  void WipeWal(bool wait);
  void TellOfWal();

  const std::unique_ptr<SqliteConnection> connection_;
  WalState& wal_;
  std::unique_ptr<Checkpointer> checkpointer_;
  SqliteStatement begin_;
  SqliteStatement commit_;
  SqliteStatement rollback_;
  SqliteStatement add_incident_;
  SqliteStatement add_end_;
  SqliteStatement add_key_;
  SqliteStatement delete_key_;
  SqliteStatement read_firsts_;
  SqliteStatement read_first_;
  SqliteStatement read_oldest_;
  SqliteStatement delete_incident_;
  SqliteStatement delete_ends_;
  SqliteStatement pages_;
  SqliteStatement free_pages_;
  SqliteStatement find_instance_;
  SqliteStatement save_instance_;
  SqliteStatement read_context_;
  SqliteStatement write_context_;
  SqliteStatement delete_context_;
  SqliteStatement read_instances_;
  SqliteStatement find_name_;
  SqliteStatement write_instance_;
  SqliteStatement delete_instance_;
  SqliteStatement write_audit_;
  SqliteStatement trim_audit_;
  SqliteStatement read_audit_;
  std::map<std::string, Instance, std::less<>> instances_;  // by uid; a cache
  std::string details_;                                     // reused from row to row
  std::vector<absl::string_view> slices_;
  std::string warnings_;

  bool gives_space_back_ = false;
  int64_t wal_pages_ = 0;  // after the last commit
  absl::Status lost_;      // not OK: why this connection can be trusted no more
  // An instance's configuration was replaced or deleted in this transaction. Its place in the
  // database is overwritten, but the WAL still holds it, until it is emptied.
  bool removed_secret_ = false;
  bool wal_holds_secret_ = false;
  std::chrono::steady_clock::time_point wipe_at_;
};

}  // namespace host_stub

#endif  // HOST_STUB_STORE_SQLITE_WRITER_DATABASE_H_
