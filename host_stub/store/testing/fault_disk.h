// A disk that fails on demand and forgets what was not synced. Tests only.
//
// The files are real ones, and stand for what the kernel's cache shows. Beside them the model keeps
// what the platter has:
//   - A write or a truncation reaches the platter at a successful sync of its file, not before.
//   - A name that was made, renamed or deleted is so for good once its folder was synced.
//   - After a failed sync the kernel takes the pages for clean: what was pending is on the platter
//     by chance, sector by sector, and is never written again. Every handle that is open on the
//     file then learns of the failure at its next sync, once (Linux since 4.13).
//   - At a power cut what is pending is lost, kept or torn by chance, each sector for itself. A
//     torn sector has the beginning of its bytes, then the old ones or garbage; bytes that the
//     write did not name, or did not change, stay as they were (SQLite's assumption, too: sectors
//     are written from one end to the other, and powersafe overwrite).
// Chance is a generator with a seed, so a run of one thread can be had again.
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

// Codes are SQLite's. Any thread.
class FaultDisk {
 public:
  static constexpr int64_t kForEver = INT64_MAX;

  explicit FaultDisk(uint32_t seed = 0) : random_(seed) {}
  FaultDisk(const FaultDisk&) = delete;
  FaultDisk& operator=(const FaultDisk&) = delete;

  // That many, from the nth from now on (0: the next), fail with this code. A failing write leaves
  // a part of its bytes.
  void FailWrites(int code, int64_t nth = 0, int64_t times = kForEver);
  void FailSyncs(int code, int64_t nth = 0, int64_t times = kForEver);
  void FailReads(int code, int64_t nth = 0, int64_t times = kForEver);
  void FailOpens(int code);
  // From the first fault on no file can be opened until Heal: what is lost stays lost meanwhile.
  void RefuseOpensAfterAFault();
  void Heal();

  // Syncs wait until they are released. AwaitHeldSync returns when one does.
  void HoldSyncs();
  void AwaitHeldSync();
  void ReleaseSyncs();

  int64_t writes() const;
  int64_t failed_writes() const;
  int64_t failed_syncs() const;
  int64_t failed_wal_syncs() const;  // those of a WAL
  int64_t faults() const;            // of every kind
  int64_t opens() const;             // tried
  void AwaitOpensPast(int64_t opens) const;
  // Of everything that was done, in its order; equal for equal runs.
  uint64_t trace() const;

  // From now on, or at the nth change from now on (a write, truncation, sync, name), nothing can be
  // changed. Destroy the store, then bring the disk back in one of two ways.
  void CutPower();
  void CutPowerAt(int64_t nth);
  bool power_is_cut() const;
  // The machine went down. Seed 0: all that was pending is lost; else chance decides.
  void RestoreDisk(uint32_t seed);
  // Only the process ended: the kernel still has everything, and still may lose it.
  void KeepCache();

  // What the layers above call. Those named `real` do the thing itself.
  struct File;
  struct Handle {
    std::string path;
    std::shared_ptr<File> file;
    uint64_t errors_seen = 0;
    bool syncs_its_folder = false;  // with its first sync, as SQLite does for a journal
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
  std::map<std::string, std::shared_ptr<File>> deleted_;  // names whose end is not yet durable
  std::map<std::string, std::shared_ptr<File>>
      replaced_;  // what a name was before it was renamed to
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
