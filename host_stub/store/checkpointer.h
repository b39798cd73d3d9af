// Copies the write-ahead log into the database, beside the writer, so that no request waits for it.
//
// SQLite can start the log at its beginning again only when all of it has been copied, and the
// writer keeps adding. So the work is done in two steps. This thread copies a little whenever the
// log has grown a little, and the disk begins to write it: what is written in one go is what a
// commit's own sync waits behind. When the log has reached its bound it syncs the database, and
// asks the writer to copy, and to sync, the short rest between two commits. The log stays near the
// bound, unless a reader keeps an old snapshot; reads are bounded.
#ifndef HOST_STUB_STORE_CHECKPOINTER_H_
#define HOST_STUB_STORE_CHECKPOINTER_H_

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "host_stub/store/sqlite_connection.h"

namespace host_stub {

class Checkpointer {
 public:
  struct Options {
    int64_t log_pages_between = 4096;  // of 4 KiB: 16 MiB of log
    bool own_thread = true;            // else ShouldFinish copies
    // Both of the database's file, by a descriptor that stays open as long as any connection.
    std::function<absl::Status()> sync_database;
    std::function<void()> begin_writing;  // of what is not on the disk; does not wait for it
  };

  // Its connection stays open: it keeps SQLite's index of the log alive while the writer's
  // connection is replaced, so that a transaction whose sync failed is not taken for committed.
  static absl::StatusOr<std::unique_ptr<Checkpointer>> Start(const std::string& path,
                                                             const std::string& vfs,
                                                             const Options& options);
  ~Checkpointer();

  // The writer's thread, after a commit: the log has that many pages. True: copy the rest now.
  bool ShouldFinish(int64_t log_pages);

  // The writer's thread: a sync failed there, and what was copied may not be on the disk. All of
  // the log is to be copied again; until that is sure to happen, nobody may finish or empty it.
  void CopyAllAgain();
  // The writer's thread, before it empties the log. False: not yet, but it is being seen to.
  bool MayEmptyLog();

  // The writer's thread, or where it has ended: ends this one. MayEmptyLog can still be asked.
  void Stop();

 private:
  Checkpointer(std::unique_ptr<SqliteConnection> connection, const Options& options);
  void Run();
  void Copy();
  bool ForgetIfAsked();
  bool IsLastTurn() const;
  bool TakeFinish();

  const Options options_;
  const std::unique_ptr<SqliteConnection> connection_;
  const int64_t turn_pages_;
  int64_t next_pages_;  // the writer's: when to begin
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  bool begin_ = false;
  bool is_last_turn_ = false;
  bool finish_ = false;
  int64_t asked_to_copy_again_ = 0;  // times
  int64_t forgotten_ = 0;            // of them, those after which nothing counts as copied
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace host_stub

#endif  // HOST_STUB_STORE_CHECKPOINTER_H_
