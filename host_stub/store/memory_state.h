// StateStore in memory: for tests, and for a host that keeps nothing.
#ifndef HOST_STUB_STORE_MEMORY_STATE_H_
#define HOST_STUB_STORE_MEMORY_STATE_H_

#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "host_stub/store/state_queue.h"
#include "host_stub/store/state_store.h"

namespace host_stub {

// Completes before it returns, under no lock. Any thread.
class MemoryState : public StateStore {
 public:
  explicit MemoryState(const webhook::Limits& limits);

  absl::Status GetContext(absl::string_view uid, absl::string_view key, ContextDone done) override;
  absl::Status SetContext(absl::string_view uid, absl::string_view key, std::string value,
                          ContextDone done) override;
  absl::StatusOr<std::vector<StoredInstance>> ListInstances() override;
  absl::Status SaveInstance(const StoredInstance& instance) override;
  absl::Status DeleteInstance(absl::string_view uid) override;
  void CloseState() { queue_.Close(); }

 private:
  class Tables : public StateTables {
   public:
    absl::StatusOr<std::string> ReadContext(const std::string& uid,
                                            const std::string& key) override;
    absl::Status WriteContext(const std::string& uid, const std::string& key,
                              const std::string& value) override;
    absl::StatusOr<std::vector<StoredInstance>> ReadInstances() override;
    absl::Status WriteInstance(const StoredInstance& instance) override;
    absl::Status DeleteInstance(const std::string& uid) override;

   private:
    std::map<std::pair<std::string, std::string>, std::string> context_;
    std::map<std::string, StoredInstance> instances_;  // by name
  };

  // Runs what waits, whoever brought it.
  void RunAll();

  StateQueue queue_;  // for its bounds and checks
  std::mutex mutex_;
  Tables tables_;
};

}  // namespace host_stub

#endif  // HOST_STUB_STORE_MEMORY_STATE_H_
