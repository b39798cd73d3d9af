#include "host_stub/store/sqlite_store.h"

#include <fcntl.h>

#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/synchronization/notification.h"
#include "host_stub/store/data_folder.h"
#include "host_stub/store/database_file.h"
#include "host_stub/store/disk_file.h"
#include "host_stub/store/log_rewrite.h"
#include "host_stub/store/sqlite_connection.h"
#include "host_stub/store/sqlite_reader.h"
#include "host_stub/store/sqlite_writer.h"
#include "host_stub/store/subscriber_list.h"

namespace host_stub {
namespace {

constexpr char kDatabase[] = "incidents.db";
constexpr char kLog[] = "incidents.db-wal";

// Waits for a piece of work that the writer does.
absl::Status RunAndWait(SqliteWriter& writer, std::function<absl::Status(StateTables&)> run) {
  absl::Status result;
  absl::Notification finished;
  absl::Status status = writer.state_queue().Push({std::move(run), [&](const absl::Status& status) {
                                                     result = status;
                                                     finished.Notify();
                                                   }});
  if (!status.ok()) return status;
  writer.Nudge();
  finished.WaitForNotification();
  return result;
}

class SqliteStore : public Store {
 public:
  SqliteStore(std::unique_ptr<DataFolder> folder, std::shared_ptr<DiskFile> database,
              std::shared_ptr<SubscriberList> subscribers, std::unique_ptr<SqliteWriter> writer,
              const std::string& vfs)
      : folder_(std::move(folder)),
        database_(std::move(database)),
        subscribers_(std::move(subscribers)),
        readers_(folder_->FileIn(kDatabase), vfs),
        writer_(std::move(writer)) {}

  absl::Status Create(Submission* submission) override { return writer_->Create(submission); }
  absl::StatusOr<StoredIncident> Get(int64_t id) override { return readers_.Get(id); }
  absl::StatusOr<IncidentPage> List(const IncidentQuery& query) override {
    return readers_.List(query);
  }
  absl::Status GetContext(absl::string_view uid, absl::string_view key, ContextDone done) override {
    absl::Status status = writer_->state_queue().PushGet(uid, key, std::move(done));
    if (status.ok()) writer_->Nudge();
    return status;
  }
  absl::Status SetContext(absl::string_view uid, absl::string_view key, std::string value,
                          ContextDone done) override {
    absl::Status status =
        writer_->state_queue().PushSet(uid, key, std::move(value), std::move(done));
    if (status.ok()) writer_->Nudge();
    return status;
  }
  absl::StatusOr<std::vector<StoredInstance>> ListInstances() override {
    std::vector<StoredInstance> list;
    absl::Status status = RunAndWait(*writer_, [&list](StateTables& tables) {
      absl::StatusOr<std::vector<StoredInstance>> read = tables.ReadInstances();
      if (read.ok()) list = *std::move(read);
      return read.status();
    });
    if (!status.ok()) return status;
    return list;
  }
  absl::Status SaveInstance(const StoredInstance& instance) override {
    return RunAndWait(*writer_,
                      [&](StateTables& tables) { return tables.WriteInstance(instance); });
  }
  absl::Status DeleteInstance(absl::string_view uid) override {
    return RunAndWait(*writer_, [uid = std::string(uid)](StateTables& tables) {
      return tables.DeleteInstance(uid);
    });
  }
  int64_t last_id() const override { return writer_->last_id(); }
  std::unique_ptr<IncidentSubscription> Subscribe(std::function<void(int64_t)> committed) override {
    return subscribers_->Add(std::move(committed));
  }
  absl::Status health() const override { return writer_->health(); }
  void Close() override { writer_->Close(); }

 private:
  // Destroyed from the last to the first: the lock is given back when all files are closed.
  const std::unique_ptr<DataFolder> folder_;
  // Closing any descriptor of the database drops the locks that SQLite holds on it.
  const std::shared_ptr<DiskFile> database_;
  const std::shared_ptr<SubscriberList> subscribers_;
  SqliteReaders readers_;
  const std::unique_ptr<SqliteWriter> writer_;
};

absl::Status PrepareFiles(const DataFolder& folder, DiskCalls& calls, absl::Duration patience) {
  if (absl::Status status = CheckDatabaseFile(folder.FileIn(kDatabase)); !status.ok()) {
    return status;
  }
  if (absl::Status status = folder.PrepareFile(kDatabase); !status.ok()) return status;
  absl::Status status = RewriteLog(folder, calls, kDatabase, kLog, patience);
  if (!status.ok()) return status;
  return folder.Sync();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Store>> OpenSqliteStore(SqliteStoreOptions options) {
  const auto calls =
      options.disk_calls != nullptr ? options.disk_calls : std::make_shared<DiskCalls>();
  absl::StatusOr<std::unique_ptr<DataFolder>> folder = DataFolder::Open(options.data_dir, calls);
  if (!folder.ok()) return folder.status();
  absl::Status prepared = PrepareFiles(**folder, *calls, options.patience_with_others);
  if (!prepared.ok()) return prepared;
  const std::string path = (*folder)->FileIn(kDatabase);
  const auto database = std::make_shared<DiskFile>(*calls, path, O_RDWR | O_NOFOLLOW);
  if (!database->ok()) return DiskError("opening", path);
  const auto sync_database = [calls, database, path] {
    return calls->SyncData(database->get()) == 0 ? absl::OkStatus() : DiskError("syncing", path);
  };
  const auto begin_writing = [calls, database] { calls->BeginWriting(database->get()); };
  auto subscribers = std::make_shared<SubscriberList>();
  absl::StatusOr<std::unique_ptr<SqliteWriter>> writer =
      SqliteWriter::Start({path,
                           options.vfs,
                           options.limits,
                           options.now,
                           subscribers,
                           options.first_reopen_pause,
                           {options.log_pages_between_copies, options.copies_on_a_thread,
                            sync_database, begin_writing}});
  if (SqliteCodeOf(writer.status()) == SQLITE_NOTADB) {
    return NoDatabase(path);
  }
  if (!writer.ok()) return writer.status();
  // Once more, for the log that SQLite has made: it overlooks a failure of its own sync of the
  // folder.
  if (absl::Status status = (*folder)->Sync(); !status.ok()) return status;
  return std::make_unique<SqliteStore>(std::move(*folder), database, std::move(subscribers),
                                       std::move(*writer), options.vfs);
}

}  // namespace host_stub
