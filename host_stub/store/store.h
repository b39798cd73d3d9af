// Everything that a host keeps: incidents (incident_store.h), a small memory for each instance (its
// context), the instances that were made while it ran, and who changed what (the audit).
//
// Writes go through the incident store's one writer, between its commits, so the two never wait for
// each other's lock; an incident's commit comes first. A change that is answered OK is synced to
// disk.
#ifndef HOST_STUB_STORE_STORE_H_
#define HOST_STUB_STORE_STORE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "host_stub/store/incident_store.h"

namespace host_stub {

// What is known of an instance beside its configuration.
struct InstanceFacts {
  std::string uid;   // never changes
  std::string name;  // no two have the same
  bool disabled = false;
  bool on_engine = false;
  int64_t generation = 1;  // grows with each change
  std::string request_id;  // of the call that made it; may be empty
  absl::Time created;      // whole microseconds, as is changed
  absl::Time changed;
};

// An instance that belongs to the store.
struct StoredInstance : InstanceFacts {
  // JSON text, with secrets: the database is its owner's alone, or they are sealed there. Never
  // looked into here.
  std::string configuration;
  absl::Status fault;  // where it is listed: why its configuration is not known
};

// An instance on one of the hosts that share a store.
struct InstanceOnHost {
  std::string host;
  std::string uid;
  int64_t generation = 0;  // of its configuration there
  std::string state;       // "healthy", "degraded", "unhealthy", "disabled"
  std::string message;     // one line for a person, or empty
  int64_t requests = 0;    // since it began to serve there, as the next
  int64_t incidents = 0;
  absl::Time seen;    // when the host last told of itself; set where it is listed, as the next
  bool gone = false;  // that was more than a minute ago
};

// What a host tells the others.
struct HostReport {
  std::string program;  // its version
  int64_t version = 0;  // of the instances that it has; see ListInstances
  std::vector<InstanceOnHost> instances;
};

// A management call, and what became of it. It has no value of a parameter.
struct AuditEntry {
  int64_t number = 0;    // given by the store; grows
  absl::Time time;       // whole microseconds
  std::string who;       // "unix": the host's user; the subject of a certificate; "SIGHUP"
  std::string what;      // "create", "update", "enable", "disable", "delete", "reload"
  std::string instance;  // a name; empty for a reload
  std::string outcome;   // "OK", or the name of a code
  std::vector<std::string> parameters;  // the names of those that changed
};

// The value that is set now, or why it is not known: NOT_FOUND; UNAVAILABLE; UNKNOWN, where a fault
// came in the middle of the commit, and the value may be set or not.
using ContextDone = absl::AnyInvocable<void(absl::StatusOr<std::string>)>;

// Any thread.
class StateStore {
 public:
  virtual ~StateStore() = default;

  // These two never wait. OK: `done` is called exactly once, on the writer's thread or before the
  // return, so it must hand over and return. Not OK: never. UNAVAILABLE: too much waits
  // (Limits::queued_context_calls, queued_context_bytes), or the store is closed. INVALID_ARGUMENT:
  // the value is longer than Limits::context_value_bytes, or the key is none.
  //
  // Of several values of one key that wait, the last is written, and all are told what became of
  // it. A read sees every write that was taken before it.
  virtual absl::Status GetContext(absl::string_view uid, absl::string_view key,
                                  ContextDone done) = 0;
  virtual absl::Status SetContext(absl::string_view uid, absl::string_view key, std::string value,
                                  ContextDone done) = 0;

  // These wait for the disk: do not call them from an I/O thread. UNAVAILABLE: nothing was changed;
  // the disk refuses, or the store is closed. UNKNOWN: a fault came in the middle of the commit,
  // and the change may be there or not.

  // In the order of their names. Where hosts share the store, `version` becomes that of the list,
  // or of one before it: it grows with each change, and is never 0. Where they do not it is 0.
  virtual absl::StatusOr<std::vector<StoredInstance>> ListInstances(int64_t* version = nullptr) = 0;
  // OK: an instance with secrets may be kept. FAILED_PRECONDITION says what must be done first.
  virtual absl::Status CheckKeepsSecrets() const { return absl::OkStatus(); }
  // The version that a list would have now.
  virtual absl::StatusOr<int64_t> InstancesVersion() { return 0; }
  // Adds it, or changes the one with this uid. ALREADY_EXISTS: the name is another's. `audit`,
  // where it is not null, is kept by the same commit: both are there, or neither. ABORTED: the
  // version is not `version` any more, since another host has changed an instance; it becomes
  // the next one. 0: it is neither asked for nor changed.
  virtual absl::Status SaveInstance(const StoredInstance& instance,
                                    const AuditEntry* audit = nullptr, int64_t version = 0) = 0;
  // Removes it and its context; OK also where there is none. Likewise.
  virtual absl::Status DeleteInstance(absl::string_view uid, const AuditEntry* audit = nullptr,
                                      int64_t version = 0) = 0;

  // In place of what this host told before. Other hosts see it; a store of one host keeps nothing.
  virtual absl::Status TellOfHost(const HostReport& /*report*/) { return absl::OkStatus(); }
  // What all hosts told of these, in the order of uid and host.
  virtual absl::StatusOr<std::vector<InstanceOnHost>> ListOnHosts(
      const std::vector<std::string>& /*uids*/) {
    return std::vector<InstanceOnHost>();
  }
  virtual bool is_shared() const { return false; }

  // The newest Limits::audit_entries are kept.
  virtual absl::Status AddAudit(const AuditEntry& entry) = 0;
  // Newest first, at most so many; with `before`, only those with smaller numbers.
  virtual absl::StatusOr<std::vector<AuditEntry>> ListAudit(int64_t before, int64_t most) = 0;
};

// Both in one place, under one lock on the folder. Close of the one closes the other too.
class Store : public IncidentStore, public StateStore {};

}  // namespace host_stub

#endif  // HOST_STUB_STORE_STORE_H_
