#include "host_stub/store/fault_vfs.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <random>
#include <utility>

namespace {

constexpr int64_t kSectorBytes = 512;

std::string ReadWhole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void WriteWhole(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

void CopyRange(const std::string& from, std::string& to, int64_t offset, int64_t size) {
  const int64_t end = std::min<int64_t>(offset + size, static_cast<int64_t>(from.size()));
  if (end <= offset) return;
  if (static_cast<int64_t>(to.size()) < end) to.resize(static_cast<size_t>(end));
  std::copy(from.begin() + offset, from.begin() + end, to.begin() + offset);
}

}  // namespace

// SQLite allocates it; the real layer's file lies behind it.
struct FaultFile {
  sqlite3_file base;
  FaultVfs* vfs;
  std::shared_ptr<void>* disk;
  sqlite3_file* real;
};

struct FaultFileMethods {
  using Disk = FaultVfs::Disk;
  static FaultFile* Of(sqlite3_file* file) { return reinterpret_cast<FaultFile*>(file); }
  static sqlite3_file* Real(sqlite3_file* file) { return Of(file)->real; }

  static int Close(sqlite3_file* file) {
    const int code = Real(file)->pMethods->xClose(Real(file));
    delete Of(file)->disk;
    return code;
  }
  static int Read(sqlite3_file* file, void* data, int size, sqlite3_int64 offset) {
    return Real(file)->pMethods->xRead(Real(file), data, size, offset);
  }
  static int Write(sqlite3_file* file, const void* data, int size, sqlite3_int64 offset) {
    return Of(file)->vfs->Write(static_cast<Disk*>(Of(file)->disk->get()), Real(file), data, size,
                                offset);
  }
  static int Truncate(sqlite3_file* file, sqlite3_int64 size) {
    return Real(file)->pMethods->xTruncate(Real(file), size);
  }
  static int Sync(sqlite3_file* file, int flags) {
    return Of(file)->vfs->Sync(static_cast<Disk*>(Of(file)->disk->get()), Real(file), flags);
  }
  static int FileSize(sqlite3_file* file, sqlite3_int64* size) {
    return Real(file)->pMethods->xFileSize(Real(file), size);
  }
  static int Lock(sqlite3_file* file, int level) {
    return Real(file)->pMethods->xLock(Real(file), level);
  }
  static int Unlock(sqlite3_file* file, int level) {
    return Real(file)->pMethods->xUnlock(Real(file), level);
  }
  static int CheckReservedLock(sqlite3_file* file, int* out) {
    return Real(file)->pMethods->xCheckReservedLock(Real(file), out);
  }
  static int FileControl(sqlite3_file* file, int operation, void* argument) {
    return Real(file)->pMethods->xFileControl(Real(file), operation, argument);
  }
  static int SectorSize(sqlite3_file* file) {
    return Real(file)->pMethods->xSectorSize(Real(file));
  }
  static int Characteristics(sqlite3_file* file) {
    return Real(file)->pMethods->xDeviceCharacteristics(Real(file));
  }
  static int ShmMap(sqlite3_file* file, int page, int size, int extend, void volatile** out) {
    return Real(file)->pMethods->xShmMap(Real(file), page, size, extend, out);
  }
  static int ShmLock(sqlite3_file* file, int offset, int count, int flags) {
    return Real(file)->pMethods->xShmLock(Real(file), offset, count, flags);
  }
  static void ShmBarrier(sqlite3_file* file) { Real(file)->pMethods->xShmBarrier(Real(file)); }
  static int ShmUnmap(sqlite3_file* file, int remove) {
    return Real(file)->pMethods->xShmUnmap(Real(file), remove);
  }

  static constexpr sqlite3_io_methods kTable = {2,
                                                Close,
                                                Read,
                                                Write,
                                                Truncate,
                                                Sync,
                                                FileSize,
                                                Lock,
                                                Unlock,
                                                CheckReservedLock,
                                                FileControl,
                                                SectorSize,
                                                Characteristics,
                                                ShmMap,
                                                ShmLock,
                                                ShmBarrier,
                                                ShmUnmap,
                                                nullptr,
                                                nullptr};
};

int FaultVfs::Fault::Hit() {
  if (code == SQLITE_OK || countdown-- > 0) return SQLITE_OK;
  countdown = 0;
  return code;
}

FaultVfs::FaultVfs(std::string name)
    : name_(std::move(name)), real_(sqlite3_vfs_find(nullptr)), vfs_(*real_) {
  // All but opening and deleting is the real layer's, whose functions need nothing but what was
  // copied here along with them.
  vfs_.szOsFile = static_cast<int>(sizeof(FaultFile)) + real_->szOsFile;
  vfs_.zName = name_.c_str();
  vfs_.pNext = nullptr;
  vfs_.pAppData = this;
  vfs_.xOpen = Open;
  vfs_.xDelete = Delete;
  sqlite3_vfs_register(&vfs_, 0);
}

FaultVfs::~FaultVfs() { sqlite3_vfs_unregister(&vfs_); }

void FaultVfs::FailWrites(int code, int64_t nth) {
  const std::lock_guard<std::mutex> lock(mutex_);
  write_fault_ = {code, nth};
}

void FaultVfs::FailSyncs(int code, int64_t nth) {
  const std::lock_guard<std::mutex> lock(mutex_);
  sync_fault_ = {code, nth};
}

void FaultVfs::FailOpens(int code) {
  const std::lock_guard<std::mutex> lock(mutex_);
  open_code_ = code;
}

void FaultVfs::Heal() {
  const std::lock_guard<std::mutex> lock(mutex_);
  write_fault_ = sync_fault_ = {};
  open_code_ = SQLITE_OK;
}

int64_t FaultVfs::writes() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return writes_;
}

int64_t FaultVfs::failed_writes() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return failed_writes_;
}

int64_t FaultVfs::failed_syncs() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return failed_syncs_;
}

void FaultVfs::CutPower() {
  const std::lock_guard<std::mutex> lock(mutex_);
  power_is_cut_ = true;
}

void FaultVfs::RestoreDisk(uint32_t seed) {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::mt19937 random(seed);
  for (const auto& [path, disk] : disks_) {
    unlink((path + "-shm").c_str());
    if (access(path.c_str(), F_OK) != 0) continue;
    const std::string seen = ReadWhole(path);
    std::string bytes = disk->synced;
    for (const auto& [offset, size] : disk->pending) {
      for (int64_t sector = offset / kSectorBytes; sector * kSectorBytes < offset + size;
           ++sector) {
        if (seed == 0 || random() % 2 == 0) continue;
        const int64_t first = std::max(offset, sector * kSectorBytes);
        const int64_t end = std::min(offset + size, (sector + 1) * kSectorBytes);
        CopyRange(seen, bytes, first, end - first);
      }
    }
    WriteWhole(path, bytes);
  }
  disks_.clear();
  power_is_cut_ = false;
}

int FaultVfs::Open(sqlite3_vfs* vfs, const char* path, sqlite3_file* file, int flags, int* out) {
  auto* self = static_cast<FaultVfs*>(vfs->pAppData);
  auto* own = reinterpret_cast<FaultFile*>(file);
  own->base.pMethods = nullptr;
  own->real = reinterpret_cast<sqlite3_file*>(own + 1);
  const std::lock_guard<std::mutex> lock(self->mutex_);
  if (self->open_code_ != SQLITE_OK) return self->open_code_;
  const std::shared_ptr<Disk> disk =
      path == nullptr ? std::make_shared<Disk>() : self->DiskOf(path);
  const int code = self->real_->xOpen(self->real_, path, own->real, flags, out);
  if (code != SQLITE_OK) return code;
  own->vfs = self;
  own->disk = new std::shared_ptr<void>(disk);
  own->base.pMethods = &FaultFileMethods::kTable;
  return SQLITE_OK;
}

int FaultVfs::Delete(sqlite3_vfs* vfs, const char* path, int sync_folder) {
  auto* self = static_cast<FaultVfs*>(vfs->pAppData);
  const std::lock_guard<std::mutex> lock(self->mutex_);
  if (self->power_is_cut_) return SQLITE_IOERR_DELETE;
  self->disks_.erase(path);
  return self->real_->xDelete(self->real_, path, sync_folder);
}

std::shared_ptr<FaultVfs::Disk> FaultVfs::DiskOf(const std::string& path) {
  std::shared_ptr<Disk>& disk = disks_[path];
  if (disk == nullptr) {
    disk = std::make_shared<Disk>();
    disk->synced = ReadWhole(path);
  }
  return disk;
}

int FaultVfs::Write(Disk* disk, sqlite3_file* real, const void* data, int size, int64_t offset) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (power_is_cut_) return SQLITE_IOERR_WRITE;
  ++writes_;
  if (const int code = write_fault_.Hit(); code != SQLITE_OK) {
    ++failed_writes_;
    return code;
  }
  disk->pending.emplace_back(offset, size);
  return real->pMethods->xWrite(real, data, size, offset);
}

int FaultVfs::Sync(Disk* disk, sqlite3_file* real, int flags) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (power_is_cut_) return SQLITE_IOERR_FSYNC;
  if (const int code = sync_fault_.Hit(); code != SQLITE_OK) {
    ++failed_syncs_;
    disk->pending.clear();
    return code;
  }
  sqlite3_int64 size = 0;
  real->pMethods->xFileSize(real, &size);
  if (size < static_cast<int64_t>(disk->synced.size())) disk->synced.resize(size);
  for (const auto& [offset, length] : disk->pending) {
    std::string bytes(static_cast<size_t>(length), '\0');
    if (offset + length > size) continue;  // cut off since
    if (real->pMethods->xRead(real, bytes.data(), static_cast<int>(length), offset) != SQLITE_OK) {
      return SQLITE_IOERR_READ;
    }
    if (static_cast<int64_t>(disk->synced.size()) < offset + length) {
      disk->synced.resize(static_cast<size_t>(offset + length));
    }
    std::copy(bytes.begin(), bytes.end(), disk->synced.begin() + offset);
  }
  disk->pending.clear();
  // The real sync is left out: this disk's own is what counts, and tests run faster.
  static_cast<void>(flags);
  return SQLITE_OK;
}
