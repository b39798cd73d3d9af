// Reading, on connections of its own that can only read.
#ifndef HOST_STUB_STORE_SQLITE_READER_H_
#define HOST_STUB_STORE_SQLITE_READER_H_

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "host_stub/store/incident_store.h"
#include "host_stub/store/sqlite/connection.h"

namespace host_stub {

// One connection and its statements; for one thread at a time.
class SqliteReader {
 public:
  static absl::StatusOr<std::unique_ptr<SqliteReader>> Open(const std::string& path,
                                                            const std::string& vfs);

  absl::StatusOr<StoredIncident> Get(int64_t id);
  absl::StatusOr<IncidentPage> List(const IncidentQuery& query);

 private:
  absl::StatusOr<int64_t> ReadInteger(SqliteStatement& statement);

  std::unique_ptr<SqliteConnection> connection_;
  SqliteStatement get_;
  SqliteStatement list_oldest_first_;
  SqliteStatement list_newest_first_;
  SqliteStatement last_id_;
  SqliteStatement instance_number_;
};

// A few readers, made when they are needed; a caller waits where all are at work. Closed at first,
// and again after Close: all is UNAVAILABLE then. Any thread.
class SqliteReaders {
 public:
  SqliteReaders(std::string path, std::string vfs) : path_(std::move(path)), vfs_(std::move(vfs)) {}

  absl::StatusOr<StoredIncident> Get(int64_t id);
  absl::StatusOr<IncidentPage> List(const IncidentQuery& query);

  void Open();
  // Waits for those who read and closes all connections.
  void Close();

 private:
  absl::StatusOr<std::unique_ptr<SqliteReader>> Take();
  void GiveBack(std::unique_ptr<SqliteReader> reader);

  const std::string path_;
  const std::string vfs_;
  std::mutex mutex_;
  std::condition_variable returned_;
  std::vector<std::unique_ptr<SqliteReader>> idle_;
  int at_work_ = 0;
  bool open_ = false;
};

}  // namespace host_stub

#endif  // HOST_STUB_STORE_SQLITE_READER_H_
