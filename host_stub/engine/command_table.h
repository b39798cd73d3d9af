// Commands that a plugin is running, and who waits for each result. Private to the engine.
#ifndef HOST_STUB_ENGINE_COMMAND_TABLE_H_
#define HOST_STUB_ENGINE_COMMAND_TABLE_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "host_stub/engine/instance_status.h"
#include "host_stub/engine/logger.h"
#include "plugin/abi/long_running_integration.h"

namespace host_stub {

// Any thread. A second result of a command is recognised, logged and ignored.
class CommandTable {
 public:
  explicit CommandTable(Logger& logger);
  ~CommandTable();

  // The done_context of a command that is about to run; its result goes to `done`.
  void* Begin(CommandDone done);

  // The plugin refused the command. False: it gave a result all the same.
  bool Withdraw(void* done_context);

  // An lri_command_done.
  static void Done(void* done_context, int32_t code, lri_view result);

 private:
  struct Entry;
  CommandDone Take(void* done_context);
  static Entry* ToEntry(void* done_context);

  Logger& logger_;
  absl::Mutex mutex_;
  std::vector<std::unique_ptr<Entry>> entries_ ABSL_GUARDED_BY(mutex_);
  std::vector<Entry*> free_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace host_stub

#endif  // HOST_STUB_ENGINE_COMMAND_TABLE_H_
