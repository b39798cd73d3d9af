#include "plugin/http/workspace.h"

#include <sys/mman.h>

#include <cstring>
#include <new>
#include <utility>

namespace webhook::http {
namespace {

constexpr size_t kPage = 4096;
constexpr size_t kPooled = 64;                  // workspaces a thread keeps for the next one
constexpr size_t kKeptOutputBytes = 64 * 1024;  // larger output buffers are given back
constexpr size_t kKeptBodyBytes = 64 * 1024;    // larger body buffers are given back
constexpr size_t kKeptFields = 64;

}  // namespace

bool ByteBlock::Reserve(size_t capacity) {
  if (capacity <= capacity_) return true;
  capacity = (capacity + kPage - 1) / kPage * kPage;
  void* block = data_ == nullptr ? mmap(nullptr, capacity, PROT_READ | PROT_WRITE,
                                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
                                 : mremap(data_, capacity_, capacity, MREMAP_MAYMOVE);
  if (block == MAP_FAILED) return false;
  data_ = static_cast<char*>(block);
  capacity_ = capacity;
  return true;
}

void ByteBlock::Free() {
  if (data_ != nullptr) munmap(data_, capacity_);
  data_ = nullptr;
  capacity_ = 0;
}

void Workspace::Shrink() {
  if (in.capacity() > kReadBytes) in.Free();
  ShrinkBody();
  Empty(out);
  Empty(handed_over);
  if (fields.capacity() > kKeptFields) std::vector<HeaderField>().swap(fields);
  fields.clear();
}

void Workspace::ShrinkBody() {
  if (body.capacity() > kKeptBodyBytes) body.Free();
}

void Workspace::Empty(std::string& output) {
  output.clear();
  if (output.capacity() > kKeptOutputBytes) std::string().swap(output);
}

std::unique_ptr<Workspace> WorkspacePool::Take() {
  std::unique_ptr<Workspace> workspace;
  if (free_.empty()) {
    workspace.reset(new (std::nothrow) Workspace);
    if (workspace == nullptr) return nullptr;
  } else {
    workspace = std::move(free_.back());
    free_.pop_back();
  }
  if (!workspace->in.Reserve(Workspace::kReadBytes)) return nullptr;
  return workspace;
}

void WorkspacePool::Give(std::unique_ptr<Workspace> workspace) noexcept {
  if (free_.size() >= kPooled) return;
  workspace->Shrink();
  try {
    free_.push_back(std::move(workspace));
  } catch (const std::bad_alloc&) {
    // One less is kept.
  }
}

}  // namespace webhook::http
