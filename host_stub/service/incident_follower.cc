#include "host_stub/service/incident_follower.h"

#include <algorithm>
#include <deque>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "host_stub/service/guarded_reactor.h"
#include "host_stub/service/incident_messages.h"

namespace host_stub {
namespace {

using ::long_running_integration::v1::FollowIncidentsResponse;

constexpr int kMostFollowers = 64;
constexpr int64_t kPageIncidents = 100;
constexpr int64_t kPageBytes = 1 << 20;

// Reads a page on the worker, writes it incident by incident, reads the next; at the end waits for
// the store's next commit. What is read ahead is one page, however slow the reader.
class Follower : public IncidentReactor,
                 public OpenCall,
                 public std::enable_shared_from_this<Follower> {
 public:
  Follower(std::shared_ptr<CallEnvironment> environment, FollowOptions options)
      : environment_(std::move(environment)), options_(std::move(options)) {
    environment_->calls.Enter();
  }

  ~Follower() override { --environment_->followers; }

  void Begin() {
    self_ = shared_from_this();
    const bool too_many = ++environment_->followers > kMostFollowers;
    // Subscribed before the store is asked for its last id, so that no commit falls between.
    if (!too_many) {
      subscription_ = environment_->store->Subscribe([weak = weak_from_this()](int64_t last_id) {
        if (auto self = weak.lock()) self->Committed(last_id);
      });
    }
    token_ = environment_->calls.Add(absl::InfiniteFuture(), self_);
    const int64_t last_id = environment_->store->last_id();
    absl::MutexLock lock(&mutex_);
    if (too_many) return End(absl::UnavailableError("too many callers follow; try again later"));
    // Tells the caller that from now on it misses nothing.
    if (!finished_) StartSendInitialMetadata();
    cursor_ = options_.after_id < 0 ? last_id : options_.after_id;
    known_ = std::max(known_, last_id);
    ready_ = true;
    Continue();
  }

  void OnWriteDone(bool ok) override {
    absl::MutexLock lock(&mutex_);
    writing_ = false;
    page_.pop_front();
    if (!ok) page_.clear();  // OnCancel follows
    Continue();
  }

  void OnCancel() override {
    absl::MutexLock lock(&mutex_);
    End(absl::CancelledError("the caller gave up"));
  }

  void OnDrain() override {
    absl::MutexLock lock(&mutex_);
    draining_ = true;
    Continue();
  }

  void OnDone() override {
    environment_->calls.Remove(token_);
    // Waits for a callback that is running, which may need the lock: so not under it.
    subscription_.reset();
    const std::shared_ptr<Follower> self = std::move(self_);
    environment_->calls.Leave();
  }

 private:
  void Committed(int64_t last_id) {
    absl::MutexLock lock(&mutex_);
    known_ = std::max(known_, last_id);
    Continue();
  }

  void Continue() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (finished_ || !ready_ || writing_) return;
    if (draining_) return End(absl::UnavailableError("the host is stopping"));
    if (!page_.empty()) {
      writing_ = true;
      return StartWrite(&page_.front());
    }
    if (reading_ || cursor_ >= known_) return;
    reading_ = environment_->worker.Post([self = shared_from_this()] { self->ReadPage(); });
    if (!reading_) End(absl::UnavailableError("too much is in flight; try again later"));
  }

  // On the worker's thread.
  void ReadPage() {
    IncidentQuery query;
    int64_t known = 0;
    {
      absl::MutexLock lock(&mutex_);
      query.after_id = cursor_;
      known = known_;
    }
    query.instance_uid = options_.instance_uid;
    query.limit = kPageIncidents;
    query.limit_bytes = kPageBytes;
    absl::StatusOr<IncidentPage> page = environment_->store->List(query);
    absl::MutexLock lock(&mutex_);
    reading_ = false;
    if (!page.ok()) return End(page.status());
    for (StoredIncident& incident : page->incidents) {
      cursor_ = std::max(cursor_, incident.id);
      FillIncident(incident, options_.with_details, *page_.emplace_back().mutable_incident());
    }
    // Of other instances there may be more than was returned: go past them.
    cursor_ = std::max(cursor_, page->more ? page->resume_id : known);
    Continue();
  }

  void End(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (finished_) return;
    finished_ = true;
    Finish(ToGrpc(status));
  }

  const std::shared_ptr<CallEnvironment> environment_;
  const FollowOptions options_;
  std::shared_ptr<Follower> self_;
  OpenCalls::Token token_;
  std::unique_ptr<IncidentSubscription> subscription_;

  absl::Mutex mutex_;
  std::deque<FollowIncidentsResponse> page_ ABSL_GUARDED_BY(mutex_);  // the first may be gRPC's
  int64_t cursor_ ABSL_GUARDED_BY(mutex_) = 0;                        // read up to this id
  int64_t known_ ABSL_GUARDED_BY(mutex_) = 0;                         // in the store up to this id
  bool ready_ ABSL_GUARDED_BY(mutex_) = false;
  bool reading_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
};

class Refusal : public IncidentReactor {
 public:
  explicit Refusal(const absl::Status& status) { Finish(ToGrpc(status)); }
  void OnDone() override { delete this; }
};

}  // namespace

IncidentReactor* NewFollower(std::shared_ptr<CallEnvironment> environment, FollowOptions options) {
  auto follower = std::make_shared<Follower>(std::move(environment), std::move(options));
  follower->Begin();
  return follower.get();
}

IncidentReactor* NewRefusal(const absl::Status& status) { return new Refusal(status); }

}  // namespace host_stub
