// Reading from PostgreSQL, in the order that incident_order.h tells. A reader's place is the id of
// the last incident that it has seen: the run that has this id tells what follows. Internal.
#ifndef HOST_STUB_STORE_POSTGRES_READER_H_
#define HOST_STUB_STORE_POSTGRES_READER_H_

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "host_stub/store/incident_store.h"
#include "host_stub/store/postgres/connection.h"
#include "host_stub/store/postgres/incident_order.h"
#include "host_stub/store/subscriber_list.h"

namespace host_stub {

// A few connections, made when they are needed; a caller waits where all are at work. Any thread.
class PostgresReaders {
 public:
  using Connect = std::function<absl::StatusOr<std::unique_ptr<PostgresConnection>>()>;

  explicit PostgresReaders(Connect connect) : connect_(std::move(connect)) {}
  ~PostgresReaders();
  // Begins to look at the lanes. Called once.
  void Start();

  // From now on with new connections.
  void Renew();

  absl::StatusOr<StoredIncident> Get(int64_t id);
  absl::StatusOr<IncidentPage> List(const IncidentQuery& query);
  // Anything else that a connection can do; perhaps twice, where the first one is lost.
  absl::Status With(absl::FunctionRef<absl::Status(PostgresConnection&)> use);

  // The last incident of the order, as this host last looked.
  int64_t last_id() const { return last_id_; }
  // Null: the database cannot be read. Blocks for the database. While somebody subscribes, the
  // lanes are looked at every 25 ms; otherwise every second, so that the order is about that of
  // time, and last_id not old.
  std::unique_ptr<IncidentSubscription> Subscribe(std::function<void(int64_t)> committed);

 private:
  // Null: there is none, and one may be made.
  std::unique_ptr<PostgresConnection> TakeIdle();
  void GiveBack(std::unique_ptr<PostgresConnection> connection, int64_t generation);
  template <typename Read>
  auto ReadWithOne(const Read& read);
  bool Look();
  void Keep(const LastOrdered& last);
  void WatchLanes();

  const Connect connect_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::unique_ptr<PostgresConnection>> idle_;
  int at_work_ = 0;
  bool ending_ = false;
  std::atomic<int64_t> generation_ = 0;  // of connections

  int64_t last_position_ = 0;
  std::atomic<int64_t> last_id_ = 0;
  const std::shared_ptr<SubscriberList> subscribers_ = std::make_shared<SubscriberList>();
  std::thread watcher_;
};

}  // namespace host_stub

#endif  // HOST_STUB_STORE_POSTGRES_READER_H_
