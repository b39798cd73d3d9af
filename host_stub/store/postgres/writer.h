// The database as a host's writer has it: its lane, and its transactions. Internal.
//
// What a transaction adds is collected, and goes to the server with its COMMIT in one round trip,
// so that a host which is stopped at any moment holds no lock of the others for longer than the
// server takes for it.
#ifndef HOST_STUB_STORE_POSTGRES_WRITER_H_
#define HOST_STUB_STORE_POSTGRES_WRITER_H_

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "host_stub/store/postgres/connection.h"
#include "host_stub/store/postgres/sealing.h"
#include "host_stub/store/transaction.h"

namespace host_stub {

// What a host knows of its lane, also while it has no connection.
struct PostgresLane {
  int64_t number = 0;  // 0: none yet
  int64_t epoch = 0;
  int64_t batch = 0;  // of the last commit that is known
  int64_t head = 0;
};

// For the writer's thread.
class PostgresWriter : public Transaction {
 public:
  struct Options {
    // Names the host's connections, and owns its lane: different for each start of a host.
    std::string owner;
    std::function<absl::Time()> now;
    const Sealing* sealing;
    std::string store;  // its identity
  };

  // Takes the lane over from an earlier connection of this host, or a free one. `lane` must outlive
  // the writer, as must what `tell_of_loss` needs: it is called where the server has lost commits
  // that it acknowledged.
  static absl::StatusOr<std::unique_ptr<PostgresWriter>> Open(
      std::unique_ptr<PostgresConnection> connection, const Options& options, PostgresLane& lane,
      const std::function<void(std::string)>& tell_of_loss);

  absl::Status Begin() override;
  TransactionResult End(const absl::Status& written) override;
  absl::Status ReadKeysOf(std::span<Submission* const> batches,
                          const std::function<void(DeliveryKey)>& take) override;
  std::optional<bool> WasCommitted() override { return was_committed_; }

  absl::StatusOr<int64_t> InstanceNumber(const Submission& batch, bool may_add) override;
  absl::StatusOr<int64_t> AddIncident(int64_t instance, absl::Time created,
                                      const NewIncident& incident, SharedParts& shared) override;
  absl::Status AddKey(DeliveryKey& key) override;
  absl::StatusOr<std::string> ReadFirsts(const DeliveryKey& key) override { return key.firsts; }
  absl::Status ReadFirst(int64_t id, CreatedIncident& duplicate) override;
  absl::Status DeleteKeys(const std::deque<int64_t>&, size_t) override { return absl::OkStatus(); }
  absl::Status DeleteOldest(absl::Time created_before, int64_t most_bytes,
                            std::chrono::steady_clock::time_point deadline,
                            Deleted& deleted) override;

  absl::StatusOr<std::string> ReadContext(const std::string& uid, const std::string& key) override;
  absl::Status WriteContext(const std::string& uid, const std::string& key,
                            const std::string& value) override;
  absl::StatusOr<std::vector<StoredInstance>> ReadInstances() override;
  absl::StatusOr<int64_t> ReadVersion() override;
  absl::Status AdvanceVersion(int64_t version) override;
  absl::Status WriteInstance(const StoredInstance& instance) override;
  absl::Status DeleteInstance(const std::string& uid) override;
  absl::Status WriteAudit(const AuditEntry& entry, int64_t most_kept) override;
  absl::StatusOr<std::vector<AuditEntry>> ReadAudit(int64_t before, int64_t most) override;

  absl::StatusOr<int64_t> ReadLastId() override { return 0; }
  absl::StatusOr<std::string> ReadIdentity() override { return options_.store; }
  absl::Status ReadKeys(const std::function<void(DeliveryKey)>&) override {
    return absl::OkStatus();
  }
  absl::Status RunMaintenance() override;
  std::optional<std::chrono::steady_clock::time_point> next_maintenance() const override;
  void PrepareToClose() override;

 private:
  using Clock = std::chrono::steady_clock;
  struct Instance {
    int64_t number;
    std::string name;
    std::string brand;
  };
  struct IncidentRow {
    int64_t id;
    int64_t instance;
    int64_t shared;
    int64_t created;
    const NewIncident* incident;
    size_t shared_bytes;  // the end of its details, which is in the part
  };
  struct PartRow {
    int64_t id;
    absl::string_view end;
    absl::string_view address;
    absl::string_view query;
  };
  struct KeyRow {
    int64_t instance;
    KeyScope scope;
    std::string hash;
    int64_t expires;
    std::string ids;
    std::string content;
    std::string firsts;
  };

  PostgresWriter(std::unique_ptr<PostgresConnection> connection, Options options,
                 PostgresLane& lane)
      : connection_(std::move(connection)), options_(std::move(options)), lane_(lane) {}
  absl::Status TakeLane(const std::function<void(std::string)>& tell_of_loss);
  absl::Status TakeFreeLane();
  absl::Status MakePartitions();
  absl::Time Now() const { return options_.now() + clock_offset_; }
  absl::StatusOr<PostgresRows> RunState(const char* sql, const PostgresValues& values = {});
  void PushIncidents();
  void PushKeys();
  TransactionResult Commit();
  TransactionResult RollBack(const absl::Status& why);
  absl::Status RenewLane();
  absl::Status CleanUp();
  absl::StatusOr<bool> Leads(absl::string_view role);
  absl::Status DeleteExpiredKeys();

  const std::unique_ptr<PostgresConnection> connection_;
  const Options options_;
  PostgresLane& lane_;
  std::optional<bool> was_committed_;
  absl::Duration clock_offset_;                             // of the server's clock to ours
  std::map<std::string, Instance, std::less<>> instances_;  // by uid; a cache

  // Of the transaction.
  bool begun_ = false;        // at the server
  bool must_commit_ = false;  // it has found something that another host may just have committed
  absl::Time now_;
  int64_t head_ = 0;
  std::vector<IncidentRow> incidents_;
  std::vector<PartRow> parts_;
  std::vector<KeyRow> keys_;
  PostgresValues values_;  // reused

  Clock::time_point renew_at_;
  Clock::time_point expire_at_;
};

}  // namespace host_stub

#endif  // HOST_STUB_STORE_POSTGRES_WRITER_H_
