// What a store does for StateStore within a transaction.
#ifndef HOST_STUB_STORE_STATE_TABLES_H_
#define HOST_STUB_STORE_STATE_TABLES_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "host_stub/store/state_store.h"

namespace host_stub {

// An error means that the transaction will be undone, except NOT_FOUND of ReadContext. For the
// writer's thread.
class StateTables {
 public:
  virtual ~StateTables() = default;
  virtual absl::StatusOr<std::string> ReadContext(const std::string& uid,
                                                  const std::string& key) = 0;
  virtual absl::Status WriteContext(const std::string& uid, const std::string& key,
                                    const std::string& value) = 0;
  virtual absl::StatusOr<std::vector<StoredInstance>> ReadInstances() = 0;
  virtual absl::Status WriteInstance(const StoredInstance& instance) = 0;
  virtual absl::Status DeleteInstance(const std::string& uid) = 0;
};

}  // namespace host_stub

#endif  // HOST_STUB_STORE_STATE_TABLES_H_
