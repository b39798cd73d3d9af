#include "host_stub/store/sqlite/sqlite_store.h"

#include <filesystem>
#include <memory>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "host_stub/store/group_commit.h"
#include "host_stub/store/sqlite/connection.h"
#include "host_stub/store/sqlite/data_folder.h"
#include "host_stub/store/sqlite/reader.h"
#include "host_stub/store/sqlite/writer_database.h"

namespace host_stub {
namespace {

constexpr char kDatabase[] = "incidents.db";
constexpr char kWal[] = "incidents.db-wal";

class SqliteDatabase : public Database {
 public:
  SqliteDatabase(std::unique_ptr<DataFolder> folder, std::shared_ptr<DiskCalls> calls,
                 const SqliteStoreOptions& options)
      : options_(options),
        calls_(std::move(calls)),
        folder_(std::move(folder)),
        path_(folder_->FileIn(kDatabase)),
        patience_(options.patience_with_others),
        readers_(path_, options.vfs) {}

  // The WAL is made true, and then SQLite opens it with nothing of ours open, so that it reads the
  // WAL anew and counts nothing of it as copied. Where another process has the database open
  // SQLite's index survives in that process, and may count what a failed sync has lost: then this
  // is refused, at the start after some patience.
  absl::StatusOr<std::unique_ptr<Transaction>> Open() override {
    absl::StatusOr<std::unique_ptr<WriterDatabase>> writer = OpenWriter();
    if (!writer.ok()) {
      Close();
      return writer.status();
    }
    readers_.Open();
    return writer;
  }

  void Close() override {
    readers_.Close();
    file_.reset();
  }

  absl::StatusOr<StoredIncident> Get(int64_t id) override { return readers_.Get(id); }
  absl::StatusOr<IncidentPage> List(const IncidentQuery& query) override {
    return readers_.List(query);
  }
  StoreStatistics sizes() const override {
    StoreStatistics sizes;
    std::error_code error;
    const auto size_of = [&error](const std::string& path) {
      const uintmax_t size = std::filesystem::file_size(path, error);
      return error ? 0 : static_cast<int64_t>(size);
    };
    sizes.database_bytes = size_of(path_);
    sizes.wal_bytes = size_of(path_ + "-wal");
    const std::filesystem::space_info space = std::filesystem::space(path_, error);
    if (!error) sizes.free_disk_bytes = static_cast<int64_t>(space.available);
    return sizes;
  }
  std::string warning() const override {
    constexpr char kWhy[] =
        ": another process keeps reading an old state of the database; end it, and this ends";
    if (wal_.holds_secret) {
      return absl::StrCat("a secret that was replaced or deleted is still in ", path_, "-wal",
                          kWhy);
    }
    if (wal_.pages * kPageBytes > options_.limits.wal_warning_bytes) {
      return absl::StrCat(path_, "-wal is longer than wal_warning_bytes (",
                          options_.limits.wal_warning_bytes, ")", kWhy);
    }
    if (!wal_.keeps_free_space) return "";
    return absl::StrCat("what retention deletes in ", path_,
                        " is used again, but not given back to the disk: stop the host and run, "
                        "once: sqlite3 ",
                        path_, " 'PRAGMA auto_vacuum = INCREMENTAL; VACUUM'");
  }

 private:
  absl::Status PrepareFiles() {
    if (absl::Status status = CheckDatabaseFile(path_); !status.ok()) return status;
    if (absl::Status status = folder_->PrepareFile(kDatabase); !status.ok()) return status;
    absl::Status status =
        folder_->RewriteWal(kDatabase, kWal, std::exchange(patience_, absl::ZeroDuration()));
    return status.ok() ? folder_->Sync() : status;
  }

  absl::StatusOr<std::unique_ptr<WriterDatabase>> OpenWriter() {
    if (absl::Status status = PrepareFiles(); !status.ok()) return status;
    file_.emplace(*calls_, path_, O_RDWR | O_NOFOLLOW);
    if (!file_->ok()) return DiskError("opening", path_);
    const auto sync = [this] {
      return calls_->SyncData(file_->get()) == 0 ? absl::OkStatus() : DiskError("syncing", path_);
    };
    absl::StatusOr<std::unique_ptr<WriterDatabase>> writer =
        WriterDatabase::Open(path_, options_.vfs, options_.now(), options_.retention.is_set(),
                             {options_.wal_pages_between_copies, options_.copies_on_a_thread, sync,
                              [this] { calls_->BeginWriting(file_->get()); }},
                             wal_);
    if (SqliteCodeOf(writer.status()) == SQLITE_NOTADB) return NoDatabase(path_);
    if (!writer.ok()) return writer.status();
    // Once more, for the WAL that SQLite has made: it overlooks a failure of its own sync of the
    // folder.
    if (absl::Status status = folder_->Sync(); !status.ok()) return status;
    return writer;
  }

  const SqliteStoreOptions options_;
  const std::shared_ptr<DiskCalls> calls_;
  // Destroyed from the last to the first: the lock is given back when all files are closed.
  const std::unique_ptr<DataFolder> folder_;
  const std::string path_;
  absl::Duration patience_;  // none after the first opening: the store serves, and tries again
  // To sync the database. Closing any descriptor of it drops the locks that SQLite holds on it, so
  // it is open as long as any connection.
  std::optional<DiskFile> file_;
  SqliteReaders readers_;
  WalState wal_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Store>> OpenSqliteStore(SqliteStoreOptions options) {
  const auto calls =
      options.disk_calls != nullptr ? options.disk_calls : std::make_shared<DiskCalls>();
  absl::StatusOr<std::unique_ptr<DataFolder>> folder = DataFolder::Open(options.data_dir, calls);
  if (!folder.ok()) return folder.status();
  return GroupCommit::Start(std::make_unique<SqliteDatabase>(*std::move(folder), calls, options),
                            {.limits = options.limits,
                             .now = options.now,
                             .first_reopen_pause = options.first_reopen_pause,
                             .retention = options.retention,
                             .retention_step = options.retention_step,
                             .retention_pause = options.retention_pause});
}

}  // namespace host_stub
