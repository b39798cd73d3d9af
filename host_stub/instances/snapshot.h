// The instances of this host as they are now: one immutable snapshot, published at each change.
//
// The HTTP front, the gRPC services and the instance manager all read the same snapshot. It gives
// them an instance's settings and its handle; what the instance does is asked of that handle.
#ifndef HOST_STUB_INSTANCES_SNAPSHOT_H_
#define HOST_STUB_INSTANCES_SNAPSHOT_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "host_stub/config/configuration.h"
#include "host_stub/engine/hosted_instance.h"
#include "host_stub/instances/instance_settings.h"

namespace host_stub {

// One instance. Immutable once its snapshot is published; a change makes a new entry.
struct InstanceEntry {
  // It was started, and its plugin does not say that it is unhealthy.
  bool serves() const {
    return instance != nullptr && !start_error.has_value() &&
           instance->health().state != HealthState::kUnhealthy;
  }

  InstanceSettings settings;
  // Null: the instance is disabled, or could not be created. One that was created and could not be
  // started is here, and refuses requests itself.
  std::shared_ptr<HostedInstance> instance;
  std::optional<InstanceHealth> start_error;  // why it does not serve although it should
  bool unreadable = false;  // so are its settings, but for the facts; it is not tried again
  absl::Time retry_at = absl::InfiniteFuture();
  absl::Duration pause;  // before retry_at; it doubles with each failure

  // Set by InstanceSnapshot::Put: the least number, from 0, that no other entry has. A change keeps
  // it.
  size_t number = 0;
  // Set by InstanceSnapshot::Put from the plugin's description.
  std::string path_prefix;  // of the host's front, before the name: "/instance/execute/"
  bool external_key_needed = false;
  // Set when the snapshot is published: why the host's own doors do not serve it, for its sender.
  // Empty: they do. The control socket serves it in any case.
  std::string closed;
  lri_reason closed_reason = LRI_REASON_ANSWERED;
};

class InstanceSnapshot {
 public:
  using Entries = std::map<std::string, std::shared_ptr<const InstanceEntry>, std::less<>>;

  enum class Outcome { kFound, kNotFound, kClosed };

  struct Match {
    Outcome outcome = Outcome::kNotFound;
    const InstanceEntry* entry = nullptr;  // the snapshot's; null where kNotFound
    absl::string_view name;                // a view into the path
    absl::string_view remainder;           // what follows the name: empty, or begins with '/'
  };

  // Null where there is none. The entry is the snapshot's.
  const InstanceEntry* Find(absl::string_view name) const;

  // The instance that the front serves under this path. kClosed: its entry says why not. Names are
  // compared byte for byte: a valid name contains nothing that would be percent-encoded.
  Match FindPath(absl::string_view path) const;

  const Entries& entries() const { return entries_; }  // in the order of the names

  // To build the next snapshot, before it is published.
  //
  // Adds an entry, or replaces the one of that name. Asks its instance for its description. The
  // error is that it gives none: then the front does not serve it.
  absl::Status Put(InstanceEntry entry);
  void Remove(absl::string_view name);

  PlatformConfiguration platform;
  std::map<std::string, std::string> server_configuration;
  std::string front_url;  // of the host's own front, as in http://127.0.0.1:8080

 private:
  friend class PublishedInstances;
  // Fills in what depends on all that was put: once, before it is published.
  void Finish();

  Entries entries_;
  std::vector<bool> numbers_;               // by number: whether an entry has it
  std::vector<std::string> path_prefixes_;  // of all entries, each once
};

// What may be shown of an entry.
ListedInstance ToListed(const InstanceSnapshot& snapshot, const InstanceEntry& entry);

// Where the current snapshot is. Any thread.
class PublishedInstances {
 public:
  // Readers get this snapshot from the return on.
  void Publish(std::shared_ptr<InstanceSnapshot> snapshot);

  std::shared_ptr<const InstanceSnapshot> current() const;

  // Null where there is none. For threads without a Reader: a reader's lock and a few comparisons.
  // The entry may be kept; an instance that was replaced meanwhile refuses by itself.
  std::shared_ptr<const InstanceEntry> Find(absl::string_view name) const;

  // A copy of the current snapshot that belongs to one thread, so that reading it takes no lock:
  // while nothing changes it costs one load. It keeps its snapshot, and so the instances in it,
  // until the next Get after a change.
  class Reader {
   public:
    const InstanceSnapshot& Get(const PublishedInstances& published) {
      const uint64_t version = published.version_.load(std::memory_order_acquire);
      if (version != version_) {
        version_ = version;
        own_ = published.current();
      }
      return *own_;
    }

   private:
    uint64_t version_ = UINT64_MAX;
    std::shared_ptr<const InstanceSnapshot> own_;
  };

 private:
  mutable absl::Mutex mutex_;
  std::shared_ptr<const InstanceSnapshot> current_ ABSL_GUARDED_BY(mutex_) =
      std::make_shared<InstanceSnapshot>();
  std::atomic<uint64_t> version_{0};
};

}  // namespace host_stub

#endif  // HOST_STUB_INSTANCES_SNAPSHOT_H_
