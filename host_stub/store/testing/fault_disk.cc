#include "host_stub/store/testing/fault_disk.h"

#include <sqlite3.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string_view>
#include <utility>

namespace {

// A change of a file that is not yet synced.
struct PendingChange {
  int64_t offset = 0;
  std::string data;
  int64_t truncate_to = -1;  // 0 or more: a truncation
};

constexpr int64_t kSectorBytes = 512;

void Put(std::string& bytes, int64_t offset, std::string_view data) {
  const size_t end = static_cast<size_t>(offset) + data.size();
  if (bytes.size() < end) bytes.resize(end);
  std::copy(data.begin(), data.end(), bytes.begin() + static_cast<std::ptrdiff_t>(offset));
}

// The part of a write that falls on one sector: it is lost, kept or torn.
void ApplySectorByChance(int64_t offset, std::string_view data, std::mt19937& random,
                         std::string& bytes) {
  const uint32_t chance = random() % 8;
  if (chance < 3) return;
  if (chance < 6) return Put(bytes, offset, data);
  const size_t kept = random() % data.size();
  // Bytes that do not change are the same, however far the write got.
  if (std::string_view(bytes).substr(std::min(bytes.size(), static_cast<size_t>(offset)),
                                     data.size()) == data) {
    return;
  }
  if (kept > 0) Put(bytes, offset, data.substr(0, kept));
  if (chance == 6) return;
  std::string garbage(data.size() - kept, '\0');
  for (char& byte : garbage) byte = static_cast<char>(random());
  Put(bytes, offset + static_cast<int64_t>(kept), garbage);
}

// Makes the change in `bytes`.
void Apply(const PendingChange& change, std::string& bytes) {
  if (change.truncate_to < 0) return Put(bytes, change.offset, change.data);
  bytes.resize(static_cast<size_t>(change.truncate_to));
}

// What is left of a change when the power fails: each of its sectors is lost, kept or torn.
void ApplyByChance(const PendingChange& change, std::mt19937& random, std::string& bytes) {
  if (change.truncate_to >= 0) {
    if (random() % 2 == 0) Apply(change, bytes);
    return;
  }
  const std::string_view data = change.data;
  for (size_t done = 0; done < data.size();) {
    const int64_t offset = change.offset + static_cast<int64_t>(done);
    const auto rest = static_cast<size_t>(kSectorBytes - offset % kSectorBytes);
    const std::string_view part = data.substr(done, rest);
    ApplySectorByChance(offset, part, random, bytes);
    done += part.size();
  }
}

std::string ReadWhole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void WriteWhole(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

bool Exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

std::string FolderOf(const std::string& path) {
  return std::filesystem::path(path).parent_path().string();
}

// The one name of a file, with all links followed.
std::string Canonical(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::weakly_canonical(path, ignored).string();
}

}  // namespace

struct FaultDisk::File {
  std::string synced;
  std::vector<PendingChange> pending;
  uint64_t errors = 0;  // syncs that failed
};

void FaultDisk::FailWrites(int code, int64_t nth, int64_t times) {
  const std::lock_guard<std::mutex> lock(mutex_);
  write_fault_ = {code, nth, times};
}

void FaultDisk::FailSyncs(int code, int64_t nth, int64_t times) {
  const std::lock_guard<std::mutex> lock(mutex_);
  sync_fault_ = {code, nth, times};
}

void FaultDisk::FailReads(int code, int64_t nth, int64_t times) {
  const std::lock_guard<std::mutex> lock(mutex_);
  read_fault_ = {code, nth, times};
}

void FaultDisk::FailOpens(int code) {
  const std::lock_guard<std::mutex> lock(mutex_);
  open_code_ = code;
}

void FaultDisk::RefuseOpensAfterAFault() {
  const std::lock_guard<std::mutex> lock(mutex_);
  refuse_opens_after_a_fault_ = true;
}

void FaultDisk::Heal() {
  const std::lock_guard<std::mutex> lock(mutex_);
  write_fault_ = sync_fault_ = read_fault_ = {};
  open_code_ = SQLITE_OK;
}

void FaultDisk::HoldSyncs() {
  const std::lock_guard<std::mutex> lock(mutex_);
  hold_syncs_ = true;
}

void FaultDisk::AwaitHeldSync() {
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait(lock, [this] { return held_syncs_ > 0; });
}

void FaultDisk::ReleaseSyncs() {
  const std::lock_guard<std::mutex> lock(mutex_);
  hold_syncs_ = false;
  changed_.notify_all();
}

int64_t FaultDisk::writes() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return writes_;
}

int64_t FaultDisk::failed_writes() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return failed_writes_;
}

int64_t FaultDisk::failed_syncs() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return failed_syncs_;
}

int64_t FaultDisk::failed_wal_syncs() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return failed_wal_syncs_;
}

int64_t FaultDisk::faults() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return faults_;
}

int64_t FaultDisk::opens() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return opens_;
}

void FaultDisk::AwaitOpensPast(int64_t opens) const {
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait(lock, [&] { return opens_ > opens; });
}

uint64_t FaultDisk::trace() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return trace_;
}

void FaultDisk::CutPower() {
  const std::lock_guard<std::mutex> lock(mutex_);
  power_is_cut_ = true;
}

void FaultDisk::CutPowerAt(int64_t nth) {
  const std::lock_guard<std::mutex> lock(mutex_);
  changes_until_the_cut_ = nth;
}

bool FaultDisk::power_is_cut() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return power_is_cut_;
}

void FaultDisk::RestoreDisk(uint32_t seed) {
  const std::lock_guard<std::mutex> lock(mutex_);
  random_.seed(seed);
  const bool lose_all = seed == 0;
  RestoreNames(lose_all);
  for (const auto& [path, file] : files_) {
    SpoilSharedMemory(path, lose_all);
    if (!Exists(path)) continue;
    std::string bytes = file->synced;
    for (const PendingChange& change : file->pending) {
      if (!lose_all) ApplyByChance(change, random_, bytes);
    }
    WriteWhole(path, bytes);
  }
  files_.clear();
  power_is_cut_ = false;
  changes_until_the_cut_ = -1;
}

void FaultDisk::KeepCache() {
  const std::lock_guard<std::mutex> lock(mutex_);
  power_is_cut_ = false;
  changes_until_the_cut_ = -1;
}

// New names vanish. Names that were deleted or replaced by a rename come back, with what is on the
// platter.
void FaultDisk::RestoreNames(bool lose_all) {
  for (const std::string& path : new_names_) {
    if (!lose_all && Below(2) == 0) continue;
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  new_names_.clear();
  for (auto& [path, file] : replaced_) {
    if (lose_all || Below(2) == 0) files_[path] = std::move(file);
  }
  replaced_.clear();
  for (auto& [path, file] : deleted_) {
    if (Exists(path) || (!lose_all && Below(2) == 0)) continue;
    if (!Exists(FolderOf(path))) continue;
    WriteWhole(path, {});
    files_[path] = std::move(file);
  }
  deleted_.clear();
}

// SQLite shares its index of the WAL in a file that it never syncs, so anything may be left of it.
void FaultDisk::SpoilSharedMemory(const std::string& path, bool lose_all) {
  const std::string shared = path + "-shm";
  if (!Exists(shared)) return;
  const uint32_t chance = lose_all ? 0 : Below(3);
  if (chance == 0) unlink(shared.c_str());
  if (chance != 1) return;
  std::string garbage(32768, '\0');
  for (char& byte : garbage) byte = static_cast<char>(random_());
  WriteWhole(shared, garbage);
}

// The lock is held here, and in all functions below except those for the layers above.
int FaultDisk::Hit(Fault& fault) {
  if (fault.code == SQLITE_OK || fault.countdown-- > 0) return SQLITE_OK;
  fault.countdown = 0;
  const int code = fault.code;
  if (fault.times != kForEver && --fault.times == 0) fault = {};
  ++faults_;
  if (refuse_opens_after_a_fault_) open_code_ = SQLITE_CANTOPEN;
  return code;
}

bool FaultDisk::PowerIsOff() {
  if (!power_is_cut_ && changes_until_the_cut_ >= 0 && changes_until_the_cut_-- == 0) {
    power_is_cut_ = true;
  }
  return power_is_cut_;
}

void FaultDisk::Note(std::string_view what, std::string_view path, int64_t a, int64_t b) {
  const auto add = [this](uint64_t value) { trace_ = (trace_ ^ value) * 1099511628211u; };
  for (const char c : what) add(static_cast<unsigned char>(c));
  for (const char c : path.substr(path.rfind('/') + 1)) add(static_cast<unsigned char>(c));
  add(static_cast<uint64_t>(a));
  add(static_cast<uint64_t>(b));
}

int FaultDisk::Open(const std::string& path, bool may_create, Handle& handle) {
  const std::lock_guard<std::mutex> lock(mutex_);
  ++opens_;
  changed_.notify_all();
  if (open_code_ != SQLITE_OK) return open_code_;
  handle.path = Canonical(path);
  std::shared_ptr<File>& file = files_[handle.path];
  if (!Exists(handle.path)) {
    file = nullptr;
    if (may_create) {
      if (PowerIsOff()) return SQLITE_CANTOPEN;
      Note("create", handle.path, 0, 0);
      new_names_.insert(handle.path);
    }
  }
  if (file == nullptr) {
    file = std::make_shared<File>();
    file->synced = ReadWhole(handle.path);
  }
  handle.file = file;
  handle.errors_seen = file->errors;
  return SQLITE_OK;
}

int FaultDisk::Read(const std::function<int()>& real) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (const int code = Hit(read_fault_); code != SQLITE_OK) return code;
  }
  return real();
}

int FaultDisk::Write(Handle& handle, const void* data, int size, int64_t offset,
                     const RealWrite& real) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (power_is_cut_) return SQLITE_IOERR_WRITE;
  ++writes_;
  Note("write", handle.path, offset, size);
  int code = PowerIsOff() ? SQLITE_IOERR_WRITE : Hit(write_fault_);
  if (code != SQLITE_OK) {
    ++failed_writes_;
    size = static_cast<int>(Below(static_cast<uint32_t>(size)));
    if (size == 0) return code;
  }
  handle.file->pending.push_back(
      {offset, std::string(static_cast<const char*>(data), static_cast<size_t>(size)), -1});
  const int real_code = real(data, size);
  return code == SQLITE_OK ? real_code : code;
}

int FaultDisk::Truncate(Handle& handle, int64_t size, const std::function<int()>& real) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (PowerIsOff()) return SQLITE_IOERR_TRUNCATE;
  Note("truncate", handle.path, size, 0);
  handle.file->pending.push_back({0, {}, size});
  return real();
}

// The real file is not synced: only the model counts, and tests run faster.
int FaultDisk::Sync(Handle& handle) {
  std::unique_lock<std::mutex> lock(mutex_);
  ++held_syncs_;
  changed_.notify_all();
  changed_.wait(lock, [this] { return !hold_syncs_; });
  --held_syncs_;
  if (PowerIsOff()) return SQLITE_IOERR_FSYNC;
  Note("sync", handle.path, 0, 0);
  File& file = *handle.file;
  if (const int code = Hit(sync_fault_); code != SQLITE_OK) {
    ++failed_syncs_;
    failed_wal_syncs_ += handle.path.ends_with("-wal");
    for (const PendingChange& change : file.pending) ApplyByChance(change, random_, file.synced);
    file.pending.clear();
    handle.errors_seen = ++file.errors;
    return code;
  }
  if (std::exchange(handle.errors_seen, file.errors) != file.errors) {
    ++faults_;
    if (refuse_opens_after_a_fault_) open_code_ = SQLITE_CANTOPEN;
    return SQLITE_IOERR_FSYNC;
  }
  for (const PendingChange& change : file.pending) Apply(change, file.synced);
  file.pending.clear();
  if (std::exchange(handle.syncs_its_folder, false)) MakeNamesDurable(FolderOf(handle.path));
  return SQLITE_OK;
}

int FaultDisk::Delete(const std::string& given_path, bool sync_folder,
                      const std::function<int()>& real) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const std::string path = Canonical(given_path);
  if (!Exists(path)) return real();
  if (PowerIsOff()) return SQLITE_IOERR_DELETE;
  Note("delete", path, 0, 0);
  auto file = files_.extract(path);
  if (new_names_.erase(path) == 0 && !file.empty() && file.mapped() != nullptr) {
    deleted_[path] = std::move(file.mapped());
  }
  if (sync_folder) MakeNamesDurable(FolderOf(path));
  return real();
}

int FaultDisk::Rename(const std::string& given_from, const std::string& given_to,
                      const std::function<int()>& real) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (PowerIsOff()) return SQLITE_IOERR_WRITE;
  const std::string from = Canonical(given_from);
  const std::string to = Canonical(given_to);
  Note("rename", to, 0, 0);
  std::shared_ptr<File> old = files_[to];
  if (Exists(to) && old == nullptr) {
    old = std::make_shared<File>();
    old->synced = ReadWhole(to);
  }
  const int code = real();
  if (code != SQLITE_OK) return code;
  files_[to] = std::move(files_[from]);
  files_.erase(from);
  new_names_.erase(from);
  if (old == nullptr) {
    new_names_.insert(to);
  } else if (!new_names_.contains(to)) {
    replaced_.try_emplace(to, std::move(old));
  }
  return SQLITE_OK;
}

int FaultDisk::MakeFolder(const std::string& path, const std::function<int()>& real) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (Exists(path)) return real();
  if (PowerIsOff()) return SQLITE_IOERR_WRITE;
  Note("folder", "", 0, 0);
  const int code = real();
  if (code == SQLITE_OK) new_names_.insert(Canonical(path));
  return code;
}

int FaultDisk::SyncFolder(const std::string& path) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (PowerIsOff()) return SQLITE_IOERR_DIR_FSYNC;
  Note("sync folder", "", 0, 0);
  if (const int code = Hit(sync_fault_); code != SQLITE_OK) {
    ++failed_syncs_;
    return code;
  }
  MakeNamesDurable(Canonical(path));
  return SQLITE_OK;
}

void FaultDisk::MakeNamesDurable(const std::string& folder) {
  std::erase_if(new_names_, [&](const std::string& path) { return FolderOf(path) == folder; });
  std::erase_if(deleted_, [&](const auto& entry) { return FolderOf(entry.first) == folder; });
  std::erase_if(replaced_, [&](const auto& entry) { return FolderOf(entry.first) == folder; });
}
