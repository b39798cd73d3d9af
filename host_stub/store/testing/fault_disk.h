// A disk that fails on demand and forgets what was not synced. Tests only.
//
// The files are real files. They show what is in the kernel's cache. The model keeps what is on the
// platter beside them:
//   - A write or a truncation reaches the platter when its file is synced successfully, not before.
//   - A new, renamed or deleted name becomes durable when its folder is synced.
//   - After a failed sync the kernel considers the pages clean. Each pending sector is on the
//   platter
//     or not, by chance, and is never written again. Every handle that is open on the file then
//     reports the failure at its next sync, once (Linux since 4.13).
//   - At a power cut each pending sector is lost, kept or torn, by chance. A torn sector has the
//     beginning of its new bytes, followed by the old bytes or garbage. Bytes that the write did
//     not cover or did not change stay as they were. (SQLite assumes the same: a sector is written
//     from one end to the other, and overwriting is powersafe.)
// Chance is a generator with a seed, so a run with one thread can be repeated.
#ifndef HOST_STUB_STORE_TESTING_FAULT_DISK_H_
#define HOST_STUB_STORE_TESTING_FAULT_DISK_H_

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <vector>

// Error codes are SQLite's. Any thread.
class FaultDisk {
 public:
  static constexpr int64_t kForEver = INT64_MAX;

  explicit FaultDisk(uint32_t seed = 0) : random_(seed) {}
  FaultDisk(const FaultDisk&) = delete;
  FaultDisk& operator=(const FaultDisk&) = delete;

  // The nth call from now on (0: the next one) and those after it, `times` in all, fail with this
  // code. A failing write writes a part of its bytes.
  void FailWrites(int code, int64_t nth = 0, int64_t times = kForEver);
  void FailSyncs(int code, int64_t nth = 0, int64_t times = kForEver);
  void FailReads(int code, int64_t nth = 0, int64_t times = kForEver);
  void FailOpens(int code);
  // After the first fault no file can be opened until Heal, so that nothing that was lost is
  // written again meanwhile.
  void RefuseOpensAfterAFault();
  void Heal();

  // Syncs wait until ReleaseSyncs. AwaitHeldSync returns when one is waiting.
  void HoldSyncs();
  void AwaitHeldSync();
  void ReleaseSyncs();

  int64_t writes() const;
  int64_t failed_writes() const;
  int64_t failed_syncs() const;
  int64_t failed_wal_syncs() const;  // those of a WAL
  int64_t faults() const;            // of every kind
  int64_t opens() const;             // attempts
  void AwaitOpensPast(int64_t opens) const;
  // A hash of everything that was done, in order. Equal runs have equal traces.
  uint64_t trace() const;

  // Nothing can be changed any more, immediately or from the nth change on (a write, a truncation,
  // a sync, a change of a name). Destroy the store, then call RestoreDisk or KeepCache.
  void CutPower();
  void CutPowerAt(int64_t nth);
  bool power_is_cut() const;
  // The machine lost its power. Seed 0: everything pending is lost; otherwise chance decides.
  void RestoreDisk(uint32_t seed);
  // Only the process ended: the kernel still has everything, and may still lose it.
  void KeepCache();

  // For the layers above. The functions named `real` do it to the real file.
  struct File;
  struct Handle {
    std::string path;
    std::shared_ptr<File> file;
    uint64_t errors_seen = 0;
    bool syncs_its_folder = false;  // at its first sync, as SQLite does for a journal
  };
  int Open(const std::string& path, bool may_create, Handle& handle);
  int Read(const std::function<int()>& real);
  using RealWrite = std::function<int(const void* data, int size)>;
  int Write(Handle& handle, const void* data, int size, int64_t offset, const RealWrite& real);
  int Truncate(Handle& handle, int64_t size, const std::function<int()>& real);
  int Sync(Handle& handle);
  int Delete(const std::string& path, bool sync_folder, const std::function<int()>& real);
  int Rename(const std::string& from, const std::string& to, const std::function<int()>& real);
  int MakeFolder(const std::string& path, const std::function<int()>& real);
  int SyncFolder(const std::string& path);

 private:
  struct Fault {
    int code = 0;
    int64_t countdown = 0;
    int64_t times = 0;
  };

  int Hit(Fault& fault);
  bool PowerIsOff();
  void Note(std::string_view what, std::string_view path, int64_t a, int64_t b);
  void MakeNamesDurable(const std::string& folder);
  void RestoreNames(bool lose_all);
  void SpoilSharedMemory(const std::string& path, bool lose_all);
  uint32_t Below(uint32_t end) { return static_cast<uint32_t>(random_()) % end; }

  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::mt19937 random_;
  std::map<std::string, std::shared_ptr<File>> files_;    // by path
  std::set<std::string> new_names_;                       // files and folders, not yet durable
  std::map<std::string, std::shared_ptr<File>> deleted_;  // names whose deletion is not yet durable
  // The file that had a name before another one was renamed to it.
  std::map<std::string, std::shared_ptr<File>> replaced_;
  Fault write_fault_;
  Fault sync_fault_;
  Fault read_fault_;
  int open_code_ = 0;
  bool refuse_opens_after_a_fault_ = false;
  bool hold_syncs_ = false;
  int held_syncs_ = 0;
  bool power_is_cut_ = false;
  int64_t changes_until_the_cut_ = -1;
  int64_t writes_ = 0;
  int64_t failed_writes_ = 0;
  int64_t failed_syncs_ = 0;
  int64_t failed_wal_syncs_ = 0;
  int64_t faults_ = 0;
  int64_t opens_ = 0;
  uint64_t trace_ = 14695981039346656037u;  // FNV-1a
};

#endif  // HOST_STUB_STORE_TESTING_FAULT_DISK_H_
