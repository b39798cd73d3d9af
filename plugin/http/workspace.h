// The memory that a connection needs only while it is at work, and each thread's pool of it.
//
// An idle connection has none: with thousands of them that is the difference between 1 KiB and
// 20 KiB each.
#ifndef PLUGIN_HTTP_WORKSPACE_H_
#define PLUGIN_HTTP_WORKSPACE_H_

#include <memory>
#include <string>
#include <vector>

#include "plugin/http/request_reader.h"

namespace webhook::http {

struct Workspace {
  static constexpr size_t kCipherBytes = 16 * 1024;

  RequestReader reader;
  ByteBlock cipher;         // TLS: what was read from the socket
  std::string out;          // answers on their way out
  std::string handed_over;  // an answer formatted by another thread

  // Empties an output buffer, and gives its memory back if a large answer made it grow.
  static void Empty(std::string& output);
};

// Not synchronized: each thread has its own.
class WorkspacePool {
 public:
  // Null when there is no memory.
  std::unique_ptr<Workspace> Take(const Limits& limits, ByteBudget& budget);
  void Give(std::unique_ptr<Workspace> workspace) noexcept;

 private:
  std::vector<std::unique_ptr<Workspace>> free_;
};

}  // namespace webhook::http

#endif  // PLUGIN_HTTP_WORKSPACE_H_
