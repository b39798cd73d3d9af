#include "host_stub/store/postgres/postgres_store.h"

#include <unistd.h>

#include <mutex>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "host_stub/store/group_commit.h"
#include "host_stub/store/postgres/connection.h"
#include "host_stub/store/postgres/host_table.h"
#include "host_stub/store/postgres/reader.h"
#include "host_stub/store/postgres/schema.h"
#include "host_stub/store/postgres/sealing.h"
#include "host_stub/store/postgres/server_check.h"
#include "host_stub/store/postgres/writer.h"

namespace host_stub {
namespace {

// Shown by pg_stat_activity, which cuts names to 63 characters.
std::string MakeOwner() {
  char name[32] = {};
  ::gethostname(name, sizeof(name) - 1);
  std::random_device random;
  return absl::StrCat("webhook-", name, "-", absl::Hex(random(), absl::kZeroPad8),
                      absl::Hex(random(), absl::kZeroPad8));
}

class PostgresDatabase : public Database {
 public:
  explicit PostgresDatabase(const PostgresStoreOptions& options)
      : options_(options),
        owner_(MakeOwner()),
        sealing_(options.secrets_keys),
        readers_([this] { return ConnectReader(); }) {}

  bool is_shared() const override { return true; }

  absl::StatusOr<std::unique_ptr<Transaction>> Open() override {
    absl::StatusOr<std::unique_ptr<PostgresConnection>> connection = Connect("", "");
    if (!connection.ok()) return connection.status();
    PostgresConnection& opened = **connection;
    if (absl::Status status = CheckPostgresSchema(opened); !status.ok()) return status;
    if (absl::Status status = CheckDurability(opened); !status.ok()) return status;
    if (absl::Status status = CheckIdentity(opened); !status.ok()) return status;
    auto writer =
        PostgresWriter::Open(*std::move(connection), {owner_, options_.now, &sealing_, identity_},
                             lane_, [this](std::string what) { TellOfLoss(std::move(what)); });
    if (writer.ok() && !std::exchange(started_, true)) readers_.Start();
    return writer;
  }

  // Readers that are connected may be so to a server that is no longer the primary.
  void Close() override { readers_.Renew(); }

  absl::Status CheckKeepsSecrets() const override {
    if (sealing_.has_key()) return absl::OkStatus();
    return absl::FailedPreconditionError(
        "an instance with secrets needs a key that seals them in the database: make one with "
        "openssl rand -hex 32, give all hosts a file with it by \"secrets_key_files\" in `store`, "
        "and restart them");
  }
  absl::StatusOr<int64_t> InstancesVersion() override {
    int64_t version = 0;
    const absl::Status status = readers_.With([&](PostgresConnection& connection) {
      const auto rows = connection.Run("SELECT configured FROM meta");
      if (rows.ok()) version = rows->Integer(0, 0);
      return rows.status();
    });
    if (!status.ok()) return status;
    return version;
  }
  absl::Status TellOfHost(const HostReport& report) override {
    return readers_.With([&](PostgresConnection& connection) {
      return host_stub::TellOfHost(connection, owner_, report);
    });
  }
  absl::StatusOr<std::vector<InstanceOnHost>> ListOnHosts(
      const std::vector<std::string>& uids) override {
    std::vector<InstanceOnHost> list;
    const absl::Status status = readers_.With([&](PostgresConnection& connection) {
      auto read = ReadOnHosts(connection, uids);
      if (read.ok()) list = *std::move(read);
      return read.status();
    });
    if (!status.ok()) return status;
    return list;
  }
  absl::StatusOr<StoredIncident> Get(int64_t id) override { return readers_.Get(id); }
  absl::StatusOr<IncidentPage> List(const IncidentQuery& query) override {
    return readers_.List(query);
  }
  int64_t last_id() const override { return readers_.last_id(); }
  std::unique_ptr<IncidentSubscription> Subscribe(std::function<void(int64_t)> committed) override {
    return readers_.Subscribe(std::move(committed));
  }
  std::string durability() const override {
    const std::lock_guard<std::mutex> lock(mutex_);
    return durability_;
  }
  std::string warning() const override {
    const std::lock_guard<std::mutex> lock(mutex_);
    return loss_;
  }

 private:
  absl::StatusOr<std::unique_ptr<PostgresConnection>> Connect(absl::string_view use,
                                                              const char* more_settings) const {
    auto connection =
        PostgresConnection::Open({.url = options_.url, .application = absl::StrCat(use, owner_)});
    if (!connection.ok()) return connection.status();
    absl::Status status =
        (*connection)
            ->RunScript(absl::StrCat("SET search_path = generic_webhook, pg_temp", more_settings));
    if (!status.ok()) return status;
    return connection;
  }

  absl::StatusOr<std::unique_ptr<PostgresConnection>> ConnectReader() {
    // A plan for all values would lock all partitions.
    auto connection = Connect("reader-", "; SET plan_cache_mode = force_custom_plan");
    if (!connection.ok()) return connection.status();
    if (absl::Status status = CheckIdentity(**connection); !status.ok()) return status;
    return connection;
  }

  absl::Status CheckDurability(PostgresConnection& connection) {
    absl::StatusOr<Durability> durability = ReadDurability(connection);
    if (!durability.ok()) return durability.status();
    if (!durability->is_on_disk && !options_.allow_asynchronous) {
      return absl::FailedPreconditionError(absl::StrCat(
          durability->text, ", or allow it with \"allow_asynchronous_commit\": true in `store`"));
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    durability_ = std::move(durability->text);
    return absl::OkStatus();
  }

  // Another database behind the same name must not be taken for this one.
  absl::Status CheckIdentity(PostgresConnection& connection) {
    const auto identity = connection.Run("SELECT identity FROM generic_webhook.meta");
    if (!identity.ok()) return identity.status();
    const std::lock_guard<std::mutex> lock(mutex_);
    if (identity_.empty()) identity_ = std::string(identity->Text(0, 0));
    if (identity->Text(0, 0) == identity_) return absl::OkStatus();
    return absl::FailedPreconditionError(
        absl::StrCat("the database has another identity, ", identity->Text(0, 0),
                     ", than the one that this host has served, ", identity_,
                     ": look where the address leads, and restart the host if it is right"));
  }

  void TellOfLoss(std::string what) {
    const std::lock_guard<std::mutex> lock(mutex_);
    loss_ = std::move(what);
  }

  const PostgresStoreOptions options_;
  const std::string owner_;
  const Sealing sealing_;
  PostgresLane lane_;     // the writer's, as is the next
  bool started_ = false;  // the readers
  mutable std::mutex mutex_;
  std::string identity_;
  std::string durability_;
  std::string loss_;
  PostgresReaders readers_;  // the last: its thread uses the others
};

}  // namespace

absl::StatusOr<std::unique_ptr<Store>> OpenPostgresStore(PostgresStoreOptions options) {
  return GroupCommit::Start(std::make_unique<PostgresDatabase>(options),
                            {.limits = options.limits,
                             .now = options.now,
                             .retention = options.retention,
                             .patience = options.patience,
                             .retention_pause = options.retention_pause});
}

}  // namespace host_stub
