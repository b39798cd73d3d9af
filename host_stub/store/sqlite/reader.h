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

namespace host_stub {

// A few readers, made when they are needed; a caller waits where all are at work. Closed at first,
// and again after Close: all is UNAVAILABLE then. Any thread.
class SqliteReaders {
 public:
  SqliteReaders(std::string path, std::string vfs);
  ~SqliteReaders();

  absl::StatusOr<StoredIncident> Get(int64_t id);
  absl::StatusOr<IncidentPage> List(const IncidentQuery& query);

  void Open();
  // Waits for those who read and closes all connections.
  void Close();

 private:
  class Reader;

  template <typename Read>
  auto ReadWithOne(const Read& read);
  absl::StatusOr<std::unique_ptr<Reader>> Take();
  void GiveBack(std::unique_ptr<Reader> reader);

  const std::string path_;
  const std::string vfs_;
  std::mutex mutex_;
  std::condition_variable returned_;
  std::vector<std::unique_ptr<Reader>> idle_;
  int at_work_ = 0;
  bool open_ = false;
};

}  // namespace host_stub

#endif  // HOST_STUB_STORE_SQLITE_READER_H_
