// The store that many hosts share: group commit over PostgreSQL. Any host may die; the others go
// on, and what it has acknowledged is there.
//
// Each host writes with a lane of its own (schema.h), on one connection; reads go past it. A commit
// whose answer is lost is looked up before anything is answered.
#ifndef HOST_STUB_STORE_POSTGRES_POSTGRES_STORE_H_
#define HOST_STUB_STORE_POSTGRES_POSTGRES_STORE_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "host_stub/store/store.h"
#include "plugin/limits/limits.h"

namespace host_stub {

struct PostgresStoreOptions {
  // As libpq takes it: postgresql://HOST1,HOST2/DATABASE?target_session_attrs=read-write, for
  // example. Never shown.
  std::string url;
  webhook::Limits limits = {};
  std::function<absl::Time()> now = absl::Now;
  Retention retention = {};
  // Serve although the server acknowledges what is not on its disk (synchronous_commit off).
  bool allow_asynchronous = false;
  std::vector<std::string> secrets_keys = {};  // as Sealing takes them
  absl::Duration retention_pause = absl::Minutes(1);
  absl::Duration patience = absl::Seconds(3);  // as GroupCommit::Options has it
};

// Opens the store. FAILED_PRECONDITION: the database has not the tables that this program needs, or
// would not keep what it acknowledges. UNAVAILABLE: it cannot be reached or written. No message
// contains a password.
absl::StatusOr<std::unique_ptr<Store>> OpenPostgresStore(PostgresStoreOptions options);

}  // namespace host_stub

#endif  // HOST_STUB_STORE_POSTGRES_POSTGRES_STORE_H_
