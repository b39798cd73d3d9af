// The statements of the writer.
#ifndef HOST_STUB_STORE_SQLITE_TABLES_H_
#define HOST_STUB_STORE_SQLITE_TABLES_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "host_stub/store/batch_writer.h"
#include "host_stub/store/duplicate_index.h"
#include "host_stub/store/sqlite_connection.h"

namespace host_stub {

// Of one connection, which must outlive it; for the writer's thread.
class SqliteTables : public IncidentTables {
 public:
  static absl::StatusOr<std::unique_ptr<SqliteTables>> Prepare(SqliteConnection& connection);

  absl::StatusOr<int64_t> InstanceNumber(const Submission& batch, bool may_add) override;
  absl::StatusOr<int64_t> AddIncident(int64_t instance, absl::Time created,
                                      const NewIncident& incident) override;
  absl::Status AddKey(DeliveryKey& key) override;
  absl::Status ReadFirst(int64_t id, CreatedIncident& duplicate) override;

  absl::Status Begin() { return begin_.Run(); }
  absl::Status Commit() { return commit_.Run(); }
  // Undoes the transaction, if there still is one, and what is remembered of it here.
  absl::Status Undo();

  // Remembers every key of the table, in the order of writing.
  absl::Status LoadKeys(DuplicateIndex& index, absl::Time now);
  // Deletes the first `count` of those key rows.
  absl::Status DeleteKeys(const std::deque<int64_t>& rows, size_t count);

 private:
  struct Instance {
    int64_t number;
    std::string name;
    std::string brand;
  };

  explicit SqliteTables(SqliteConnection& connection) : connection_(connection) {}
  absl::StatusOr<int64_t> ReadInstance(absl::string_view uid);

  SqliteConnection& connection_;
  SqliteStatement begin_;
  SqliteStatement commit_;
  SqliteStatement rollback_;
  SqliteStatement add_incident_;
  SqliteStatement add_key_;
  SqliteStatement delete_key_;
  SqliteStatement read_first_;
  SqliteStatement find_instance_;
  SqliteStatement save_instance_;
  std::map<std::string, Instance, std::less<>> instances_;  // by uid; a cache
  std::string details_;                                     // reused from row to row
  std::string warnings_;
};

}  // namespace host_stub

#endif  // HOST_STUB_STORE_SQLITE_TABLES_H_
