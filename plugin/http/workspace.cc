#include "plugin/http/workspace.h"

#include <exception>
#include <new>
#include <utility>

namespace webhook::http {
namespace {

constexpr size_t kPooled = 64;                  // workspaces a thread keeps for the next one
constexpr size_t kKeptOutputBytes = 64 * 1024;  // larger output buffers are given back

}  // namespace

void Workspace::Empty(std::string& output) {
  output.clear();
  if (output.capacity() > kKeptOutputBytes) std::string().swap(output);
}

std::unique_ptr<Workspace> WorkspacePool::Take(const Limits& limits, ByteBudget& budget) {
  std::unique_ptr<Workspace> workspace;
  if (free_.empty()) {
    workspace.reset(new (std::nothrow) Workspace);
  } else {
    workspace = std::move(free_.back());
    free_.pop_back();
  }
  if (workspace == nullptr || !workspace->reader.Begin(limits, budget)) return nullptr;
  return workspace;
}

void WorkspacePool::Give(std::unique_ptr<Workspace> workspace) noexcept {
  workspace->reader.End();
  if (free_.size() >= kPooled) return;
  Workspace::Empty(workspace->out);
  Workspace::Empty(workspace->handed_over);
  try {
    free_.push_back(std::move(workspace));
  } catch (const std::bad_alloc&) {
    // One less is kept.
  }
}

}  // namespace webhook::http
