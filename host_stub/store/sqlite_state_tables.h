// The statements behind StateStore, on the writer's connection.
#ifndef HOST_STUB_STORE_SQLITE_STATE_TABLES_H_
#define HOST_STUB_STORE_SQLITE_STATE_TABLES_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "host_stub/store/sqlite_connection.h"
#include "host_stub/store/state_tables.h"

namespace host_stub {

// Of one connection, which must outlive it; for the writer's thread, within its transaction.
class SqliteStateTables : public StateTables {
 public:
  static absl::StatusOr<std::unique_ptr<SqliteStateTables>> Prepare(SqliteConnection& connection);

  absl::StatusOr<std::string> ReadContext(const std::string& uid, const std::string& key) override;
  absl::Status WriteContext(const std::string& uid, const std::string& key,
                            const std::string& value) override;
  absl::StatusOr<std::vector<StoredInstance>> ReadInstances() override;
  absl::Status WriteInstance(const StoredInstance& instance) override;
  absl::Status DeleteInstance(const std::string& uid) override;

  // Whether an instance's configuration was replaced or deleted since the last call. Its place in
  // the database is overwritten, but the write-ahead log still holds it.
  bool TakeRemovedSecret() { return std::exchange(removed_secret_, false); }

 private:
  explicit SqliteStateTables(SqliteConnection& connection) : connection_(connection) {}
  absl::Status RunOverwriting(SqliteStatement& statement);

  SqliteConnection& connection_;
  bool removed_secret_ = false;
  SqliteStatement read_context_;
  SqliteStatement write_context_;
  SqliteStatement delete_context_;
  SqliteStatement read_instances_;
  SqliteStatement find_name_;
  SqliteStatement write_instance_;
  SqliteStatement delete_instance_;
};

}  // namespace host_stub

#endif  // HOST_STUB_STORE_SQLITE_STATE_TABLES_H_
