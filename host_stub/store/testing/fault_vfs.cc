#include "host_stub/store/testing/fault_vfs.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <map>
#include <mutex>
#include <utility>

// SQLite allocates it. The file of the real VFS lies behind it.
struct FaultFile {
  sqlite3_file base;
  FaultVfs* disk;
  FaultDisk::Handle* handle;
  sqlite3_file* real;
};

struct FaultFileMethods {
  static FaultFile* Of(sqlite3_file* file) { return reinterpret_cast<FaultFile*>(file); }
  static sqlite3_file* Real(sqlite3_file* file) { return Of(file)->real; }

  static int Close(sqlite3_file* file) {
    const int code = Real(file)->pMethods->xClose(Real(file));
    delete Of(file)->handle;
    return code;
  }
  static int Read(sqlite3_file* file, void* data, int size, sqlite3_int64 offset) {
    return Of(file)->disk->Read(
        [&] { return Real(file)->pMethods->xRead(Real(file), data, size, offset); });
  }
  static int Write(sqlite3_file* file, const void* data, int size, sqlite3_int64 offset) {
    return Of(file)->disk->Write(
        *Of(file)->handle, data, size, offset, [&](const void* part, int part_size) {
          return Real(file)->pMethods->xWrite(Real(file), part, part_size, offset);
        });
  }
  static int Truncate(sqlite3_file* file, sqlite3_int64 size) {
    return Of(file)->disk->Truncate(
        *Of(file)->handle, size, [&] { return Real(file)->pMethods->xTruncate(Real(file), size); });
  }
  static int Sync(sqlite3_file* file, int) { return Of(file)->disk->Sync(*Of(file)->handle); }
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
    if (offset == kCheckpointLock && count == 1 &&
        flags == (SQLITE_SHM_LOCK | SQLITE_SHM_EXCLUSIVE)) {
      Of(file)->disk->AtCheckpointStep(FaultVfs::CheckpointStep::kBeforeTheLock);
    }
    return Real(file)->pMethods->xShmLock(Real(file), offset, count, flags);
  }
  static void ShmBarrier(sqlite3_file* file) { Real(file)->pMethods->xShmBarrier(Real(file)); }
  static int ShmUnmap(sqlite3_file* file, int remove) {
    return Real(file)->pMethods->xShmUnmap(Real(file), remove);
  }

  // Nothing is mapped here. But a checkpoint calls this when it has read a WAL that has changed.
  static int Fetch(sqlite3_file*, sqlite3_int64, int, void** mapped) {
    *mapped = nullptr;
    return SQLITE_OK;
  }
  static int Unfetch(sqlite3_file* file, sqlite3_int64, void*) {
    Of(file)->disk->AtCheckpointStep(FaultVfs::CheckpointStep::kAfterTheHeader);
    return SQLITE_OK;
  }

  static constexpr int kCheckpointLock = 1;  // https://sqlite.org/walformat.html, section 2.3.1
  static constexpr sqlite3_io_methods kTable = {3,
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
                                                Fetch,
                                                Unfetch};
};

// The calls beside SQLite. Files are known by their descriptors.
class FaultVfs::Calls : public host_stub::DiskCalls {
 public:
  explicit Calls(FaultDisk& disk) : disk_(disk) {}

  int Open(const std::string& path, int flags, mode_t mode) override {
    if (std::filesystem::is_directory(path)) return DiskCalls::Open(path, flags, mode);
    FaultDisk::Handle handle;
    if (Failed(disk_.Open(path, (flags & O_CREAT) != 0, handle))) return -1;
    const int descriptor = DiskCalls::Open(path, flags, mode);
    const std::lock_guard<std::mutex> lock(mutex_);
    if (descriptor >= 0) handles_[descriptor] = std::move(handle);
    return descriptor;
  }
  int MakeFolder(const std::string& path, mode_t mode) override {
    return Ask([&](const Real& real) { disk_.MakeFolder(path, real); },
               [&] { return DiskCalls::MakeFolder(path, mode); });
  }
  ssize_t Write(int descriptor, const void* data, size_t size, off_t offset) override {
    FaultDisk::Handle& handle = HandleOf(descriptor);
    const int code = disk_.Write(
        handle, data, static_cast<int>(size), offset, [&](const void* part, int part_size) {
          DiskCalls::Write(descriptor, part, static_cast<size_t>(part_size), offset);
          return SQLITE_OK;
        });
    return Failed(code) ? -1 : static_cast<ssize_t>(size);
  }
  int Sync(int descriptor) override {
    std::error_code ignored;
    const auto path =
        std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(descriptor), ignored);
    const bool folder = std::filesystem::is_directory(path, ignored);
    const int code = folder ? disk_.SyncFolder(path) : disk_.Sync(HandleOf(descriptor));
    return Failed(code) ? -1 : 0;
  }
  int SyncData(int descriptor) override { return Sync(descriptor); }
  void BeginWriting(int) override {}  // a pending write reaches the platter by chance anyway
  int Rename(const std::string& from, const std::string& to) override {
    return Ask([&](const Real& real) { disk_.Rename(from, to, real); },
               [&] { return DiskCalls::Rename(from, to); });
  }
  int Remove(const std::string& path) override {
    return Ask([&](const Real& real) { disk_.Delete(path, false, real); },
               [&] { return DiskCalls::Remove(path); });
  }

 private:
  using Real = std::function<int()>;

  // A call that the disk permits sets the system's errno; one that it refuses sets EIO.
  static int Ask(const std::function<void(const Real&)>& disk, const Real& system) {
    int result = -1;
    int error = EIO;
    disk([&] {
      result = system();
      error = errno;
      return result == 0 ? SQLITE_OK : SQLITE_IOERR;
    });
    errno = error;
    return result;
  }
  static bool Failed(int code) {
    if (code == SQLITE_OK) return false;
    errno = (code & 0xff) == SQLITE_FULL ? ENOSPC : EIO;
    return true;
  }
  FaultDisk::Handle& HandleOf(int descriptor) {
    const std::lock_guard<std::mutex> lock(mutex_);
    return handles_.at(descriptor);
  }

  FaultDisk& disk_;
  std::mutex mutex_;
  std::map<int, FaultDisk::Handle> handles_;  // a closed file's stays until its number is reused
};

FaultVfs::FaultVfs(std::string name, uint32_t seed, Use use)
    : FaultDisk(seed), name_(std::move(name)), real_(sqlite3_vfs_find(nullptr)), vfs_(*real_) {
  // Everything but opening and deleting is done by the real VFS. Its functions need only the
  // members that were copied together with them.
  vfs_.szOsFile = static_cast<int>(sizeof(FaultFile)) + real_->szOsFile;
  vfs_.zName = name_.c_str();
  vfs_.pNext = nullptr;
  vfs_.pAppData = this;
  vfs_.xOpen = OpenFile;
  vfs_.xDelete = DeleteFile;
  sqlite3_vfs_register(&vfs_, use == Use::kForAll ? 1 : 0);
}

FaultVfs::~FaultVfs() {
  sqlite3_vfs_unregister(&vfs_);
  sqlite3_vfs_register(real_, 1);
}

void FaultVfs::StopCheckpointAt(CheckpointStep step) {
  const std::lock_guard<std::mutex> lock(checkpoint_mutex_);
  stop_at_ = step;
}

void FaultVfs::AwaitStoppedCheckpoint() {
  std::unique_lock<std::mutex> lock(checkpoint_mutex_);
  checkpoint_changed_.wait(lock, [this] { return checkpoint_is_stopped_; });
}

void FaultVfs::ContinueCheckpoint() {
  const std::lock_guard<std::mutex> lock(checkpoint_mutex_);
  checkpoint_is_stopped_ = false;
  checkpoint_changed_.notify_all();
}

int64_t FaultVfs::checkpoints() const {
  const std::lock_guard<std::mutex> lock(checkpoint_mutex_);
  return checkpoints_;
}

void FaultVfs::AtCheckpointStep(CheckpointStep step) {
  std::unique_lock<std::mutex> lock(checkpoint_mutex_);
  checkpoints_ += step == CheckpointStep::kBeforeTheLock;
  if (stop_at_ != step) return;
  stop_at_.reset();  // the next one passes
  checkpoint_is_stopped_ = true;
  checkpoint_changed_.notify_all();
  checkpoint_changed_.wait(lock, [this] { return !checkpoint_is_stopped_; });
}

std::shared_ptr<host_stub::DiskCalls> FaultVfs::disk_calls() {
  return std::make_shared<Calls>(*this);
}

int FaultVfs::OpenFile(sqlite3_vfs* vfs, const char* path, sqlite3_file* file, int flags,
                       int* out) {
  auto* self = static_cast<FaultVfs*>(vfs->pAppData);
  auto* own = reinterpret_cast<FaultFile*>(file);
  own->base.pMethods = nullptr;
  own->real = reinterpret_cast<sqlite3_file*>(own + 1);
  auto handle = std::make_unique<FaultDisk::Handle>();
  const bool may_create = (flags & SQLITE_OPEN_CREATE) != 0;
  // A file without a name is temporary, for SQLite itself. No store needs one.
  if (path == nullptr) return SQLITE_CANTOPEN;
  int code = self->Open(path, may_create, *handle);
  if (code == SQLITE_OK) code = self->real_->xOpen(self->real_, path, own->real, flags, out);
  if (code != SQLITE_OK) return code;
  handle->syncs_its_folder =
      may_create && (flags & (SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_WAL)) != 0;
  own->disk = self;
  own->handle = handle.release();
  own->base.pMethods = &FaultFileMethods::kTable;
  return SQLITE_OK;
}

int FaultVfs::DeleteFile(sqlite3_vfs* vfs, const char* path, int sync_folder) {
  auto* self = static_cast<FaultVfs*>(vfs->pAppData);
  return self->Delete(path, sync_folder != 0,
                      [&] { return self->real_->xDelete(self->real_, path, sync_folder); });
}
