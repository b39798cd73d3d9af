// The memory a connection needs only while it is at work, and a thread's pool of it.
//
// An idle connection holds none: with thousands of them that is the difference between 1 KiB and
// 20 KiB each.
#ifndef PLUGIN_HTTP_WORKSPACE_H_
#define PLUGIN_HTTP_WORKSPACE_H_

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "plugin/http/message.h"

namespace webhook::http {

// Readable zero bytes after a body's end: as many as simdjson reads past a document.
inline constexpr size_t kBodyPadding = 64;

// A block of bytes that grows on demand and goes back to the system in pages, so that giving it
// up shows in the process's size at once.
class ByteBlock {
 public:
  ByteBlock() = default;
  ~ByteBlock() { Free(); }
  ByteBlock(const ByteBlock&) = delete;
  ByteBlock& operator=(const ByteBlock&) = delete;

  char* data() { return data_; }
  size_t capacity() const { return capacity_; }

  // Has at least `capacity` bytes afterwards; the old ones stay. False: no memory, and
  // nothing changed. Untouched pages cost nothing.
  bool Reserve(size_t capacity);
  void Free();

 private:
  char* data_ = nullptr;
  size_t capacity_ = 0;
};

struct Workspace {
  static constexpr size_t kReadBytes = 16 * 1024;

  ByteBlock in;                     // what was read: heads, and bodies that fit in behind them
  ByteBlock body;                   // bodies that do not
  ByteBlock cipher;                 // TLS: what was read from the socket
  std::vector<HeaderField> fields;  // of the current head
  std::string out;                  // answers on their way out
  std::string handed_over;          // an answer formatted by another thread

  // Gives back what a large request made it take.
  void Shrink();

  // The same for `body` alone, when nobody reads it any more.
  void ShrinkBody();

  // Empties an output buffer, and gives its memory back if a large answer made it grow.
  static void Empty(std::string& output);
};

// Not synchronized: one for each thread.
class WorkspacePool {
 public:
  // Null when there is no memory.
  std::unique_ptr<Workspace> Take();
  void Give(std::unique_ptr<Workspace> workspace) noexcept;

 private:
  std::vector<std::unique_ptr<Workspace>> free_;
};

}  // namespace webhook::http

#endif  // PLUGIN_HTTP_WORKSPACE_H_
