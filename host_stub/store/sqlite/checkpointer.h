// Copies the write-ahead log (the WAL) into the database, beside the writer, so that no request
// waits for it.
//
// SQLite can begin the WAL anew only when all of it has been copied, and the writer keeps adding.
// So the work is done in two steps. This thread copies a little whenever the WAL has grown a
// little, and the disk begins to write it: what is written in one go is what a commit's own sync
// waits behind. When the WAL has reached its bound, the thread syncs the database, and asks the
// writer to copy, and to sync, the short rest between two commits. The WAL stays near the bound,
// unless a reader keeps an old snapshot; reads are bounded.
//
// A copy must not begin while a commit may begin the WAL anew: SQLite up to 3.51.2 then takes
// commits for copied that are not, and loses them ("the WAL-reset bug",
// https://sqlite.org/wal.html). The writer's next commit begins the WAL anew when all of it is
// copied, and only a copy makes it so. So one thread copies at a time, and once all is copied none
// begins until a commit has added to the WAL. (The writer itself may: it does not commit
// meanwhile.) This covers our own connections. A process of somebody else that checkpoints between
// our copies, as a sqlite3 shell does that writes, has that bug with its own SQLite and with ours;
// SQLite's locks are all that holds then.
#ifndef HOST_STUB_STORE_SQLITE_CHECKPOINTER_H_
#define HOST_STUB_STORE_SQLITE_CHECKPOINTER_H_

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "host_stub/store/sqlite/connection.h"

namespace host_stub {

class Checkpointer {
 public:
  struct Options {
    int64_t wal_pages_between = 4096;  // of 4 KiB: 16 MiB of WAL
    bool own_thread = true;            // else ShouldFinish copies
    // Both of the database's file, by a descriptor that stays open as long as any connection.
    std::function<absl::Status()> sync_database;
    std::function<void()> begin_writing;  // of what is not on the disk; does not wait for it
  };

  static absl::StatusOr<std::unique_ptr<Checkpointer>> Start(const std::string& path,
                                                             const std::string& vfs,
                                                             const Options& options);
  ~Checkpointer();

  // The writer's thread, when a commit that added to the WAL has ended.
  void Committed();
  // The writer's thread, after Committed: the WAL has that many pages. True: copy the rest now.
  bool ShouldFinish(int64_t wal_pages);

  // The writer's thread, around a copy of its own. False: this thread is copying, still after a
  // moment where `wait`. `all_copied`: of the WAL, also where the copy failed and it is not known.
  bool BeginCopy(bool wait);
  void EndCopy(bool all_copied);

  // Any thread. Not OK: why this thread copies no more, and the database must be opened again.
  absl::Status status() const;

  // The writer's thread, or where it has ended: ends this one.
  void Stop();

 private:
  Checkpointer(std::unique_ptr<SqliteConnection> connection, const Options& options);
  void Run();
  void Copy();
  bool TakeFinish();

  const Options options_;
  const std::unique_ptr<SqliteConnection> connection_;
  const int64_t turn_pages_;
  // The writer's: the lengths of the WAL at which this thread begins, and at which the writer
  // itself copies.
  int64_t next_pages_;
  int64_t too_many_pages_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable copied_;
  bool begin_ = false;
  bool is_last_turn_ = false;
  bool finish_ = false;
  bool copying_ = false;  // one of the two threads
  // All of the WAL is in the database, or may be: the next commit begins it anew.
  bool all_copied_ = true;
  absl::Status status_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace host_stub

#endif  // HOST_STUB_STORE_SQLITE_CHECKPOINTER_H_
