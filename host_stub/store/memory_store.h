// A store in memory: for tests, for measuring everything but the disk, and for a host that keeps
// nothing.
#ifndef HOST_STUB_STORE_MEMORY_STORE_H_
#define HOST_STUB_STORE_MEMORY_STORE_H_

#include <functional>
#include <memory>

#include "absl/time/time.h"
#include "host_stub/store/store.h"
#include "plugin/limits/limits.h"

namespace host_stub {

struct MemoryStoreOptions {
  webhook::Limits limits = {};
  std::function<absl::Time()> now = absl::Now;
  // The oldest incidents are dropped beyond these. The store promises nothing across a restart.
  int64_t kept_incidents = 1'000'000;
  int64_t kept_bytes = int64_t{1} << 30;
  Retention retention = {};
};

// Completes within Create, holding no lock. It has no queue, so it is never full; and no thread, so
// that retention deletes what it does when the store is used.
std::unique_ptr<Store> NewMemoryStore(MemoryStoreOptions options);

}  // namespace host_stub

#endif  // HOST_STUB_STORE_MEMORY_STORE_H_
