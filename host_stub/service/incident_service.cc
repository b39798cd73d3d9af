#include <algorithm>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "host_stub/service/grpc_server_context.h"
#include "host_stub/service/once_reactor.h"
#include "host_stub/service/readable.h"
#include "host_stub/store/incident_filter.h"
#include "host_stub/store/incident_store.h"
#include "host_stub/store/position.h"
#include "long_running_integration/v1/incident.grpc.pb.h"
#include "plugin/base/characters.h"

namespace host_stub {
namespace {

namespace v1 = ::long_running_integration::v1;
using Context = grpc::CallbackServerContext;
using IncidentReactor = grpc::ServerWriteReactor<v1::FollowIncidentsResponse>;

constexpr int kDefaultPage = 50;
constexpr int kLargestPage = 1'000;
constexpr int kMostConditions = 16;
// Less than gRPC's clients accept by default, with room for the last incident of a page.
constexpr int64_t kPageBytes = 2 << 20;

constexpr int kMostFollowers = 64;
constexpr int64_t kFollowIncidents = 100;  // of a page
constexpr int64_t kFollowBytes = 1 << 20;

// Moves the texts out of `stored`.
void FillIncident(StoredIncident& stored, bool with_details, v1::Incident& message) {
  message.set_id(absl::StrCat(stored.id));
  message.set_instance(std::move(stored.instance_name));
  message.set_instance_uid(std::move(stored.instance_uid));
  message.set_source_brand(std::move(stored.source_brand));
  message.set_name(std::move(stored.name));
  message.set_type(std::move(stored.type));
  message.set_occurred(std::move(stored.occurred));
  message.set_created(
      absl::FormatTime("%Y-%m-%dT%H:%M:%E*SZ", stored.created, absl::UTCTimeZone()));
  if (with_details) message.set_raw_json(std::move(stored.details));
  for (std::string& warning : stored.warnings) message.add_warnings(std::move(warning));
  message.set_severity(stored.severity);
  if (stored.request_address.empty() && stored.request_query.empty()) return;
  message.mutable_request()->set_address(std::move(stored.request_address));
  message.mutable_request()->set_query(std::move(stored.request_query));
}

// The uid of an instance by name or by uid; empty where there is none. NOT_FOUND: no instance has
// that name. Any uid is taken: incidents stay when their instance is deleted.
template <typename Request>
absl::StatusOr<std::string> FilterUid(const GrpcServerContext& server, const Request& request) {
  const std::string& name = request.instance();
  if (!request.instance_uid().empty() && !name.empty()) {
    return FieldFault("instance_uid", "must not be set together with instance");
  }
  if (name.empty()) return request.instance_uid();
  // Incidents can also be read while their instance does not serve.
  const auto entry = server.FindEntry("instance", name);
  if (!entry.ok()) return entry.status();
  return (*entry)->settings.uid;
}

// An id of this host is a decimal number above zero. INVALID_ARGUMENT names the field.
absl::StatusOr<int64_t> ParseId(absl::string_view field, const std::string& text) {
  int64_t id = 0;
  const bool digits = !text.empty() && base::IsDigit(text[0]);
  if (digits && absl::SimpleAtoi(text, &id) && id > 0) return id;
  return FieldFault(field, "must be a whole number above zero");
}

absl::Status ReadTime(absl::string_view field, const std::string& text, absl::Time& time) {
  if (text.empty() || absl::ParseTime(absl::RFC3339_full, text, &time, nullptr)) {
    return absl::OkStatus();
  }
  return FieldFault(field, "must be a time such as 2024-05-01T10:00:00Z");
}

// What the instance, the uid and the filter of a request ask for.
template <typename Request>
absl::Status ReadFilter(const GrpcServerContext& server, const Request& request,
                        IncidentFilter& filter) {
  absl::StatusOr<std::string> uid = FilterUid(server, request);
  if (!uid.ok()) return uid.status();
  filter.instance_uid = *std::move(uid);
  filter.type = request.filter().type();
  filter.name_part = request.filter().name_contains();
  absl::Status status =
      ReadTime("filter.created_since", request.filter().created_since(), filter.created_since);
  status.Update(
      ReadTime("filter.created_before", request.filter().created_before(), filter.created_before));
  if (request.filter().where_size() > kMostConditions) {
    status.Update(FieldFault("filter.where", absl::StrCat("at most ", kMostConditions)));
  }
  for (int i = 0; status.ok() && i < request.filter().where_size(); ++i) {
    absl::StatusOr<IncidentFilter::Condition> condition = ReadCondition(request.filter().where(i));
    if (!condition.ok()) {
      return FieldFault(absl::StrCat("filter.where[", i, "]"), condition.status().message());
    }
    filter.where.push_back(*std::move(condition));
  }
  return status;
}

// The id of a position. The errors name the field.
absl::StatusOr<int64_t> ReadPositionField(const GrpcServerContext& server, absl::string_view field,
                                          const std::string& text) {
  absl::StatusOr<int64_t> id = ReadPosition(*server.store, text);
  if (id.ok()) return id;
  return absl::Status(id.status().code(), absl::StrCat(field, ": ", id.status().message()));
}

// INVALID_ARGUMENT for a number that is not a view.
absl::Status CheckView(v1::IncidentView view) {
  if (v1::IncidentView_IsValid(view)) return absl::OkStatus();
  return FieldFault("view", "is not a known view");
}

absl::StatusOr<IncidentQuery> MakeQuery(const GrpcServerContext& server,
                                        const v1::ListIncidentsRequest& request) {
  if (request.page_size() < 0) return FieldFault("page_size", "must not be negative");
  if (absl::Status status = CheckView(request.view()); !status.ok()) return status;
  IncidentQuery query;
  query.newest_first = true;
  query.limit =
      request.page_size() == 0 ? kDefaultPage : std::min(request.page_size(), kLargestPage);
  query.limit_bytes = kPageBytes;
  if (!request.page_token().empty()) {
    absl::StatusOr<int64_t> before = ReadPositionField(server, "page_token", request.page_token());
    if (!before.ok()) return before.status();
    query.before_id = *before;
  }
  absl::Status status = ReadFilter(server, request, query.filter);
  if (!status.ok()) return status;
  return query;
}

// Where a stream begins: in query.after_id, which is -1 for what is created from now on, and in
// query.complete.
absl::Status ReadBegin(const GrpcServerContext& server, const v1::FollowIncidentsRequest& request,
                       IncidentQuery& query) {
  const std::string& after_id = request.after_id();
  if (!after_id.empty() && !request.position().empty()) {
    return FieldFault("position", "must not be set together with after_id");
  }
  if (request.position().empty() && (after_id.empty() || after_id == "0")) {
    query.after_id = after_id.empty() && !request.stop_at_end() ? -1 : 0;
    return absl::OkStatus();
  }
  const absl::StatusOr<int64_t> after =
      after_id.empty() ? ReadPositionField(server, "position", request.position())
                       : ParseId("after_id", after_id);
  if (!after.ok()) return after.status();
  query.after_id = *after;
  query.complete = true;
  return absl::OkStatus();
}

// Sends incidents until the caller cancels, the host drains, or the end is reached that it is to
// stop at. Reads a page on the thread pool,
// writes it incident by incident, then reads the next one; after the last it waits for the store's
// next commit. It reads one page ahead at most, however slow the client is.
class Follower : public StreamReactor<Follower, IncidentReactor> {
 public:
  // A query after the id -1 asks for the incidents that are created from now on.
  Follower(std::shared_ptr<GrpcServerContext> server, IncidentQuery query,
           const v1::FollowIncidentsRequest& request, bool ages)
      : StreamReactor(std::move(server), ages),
        with_details_(request.view() != v1::INCIDENT_VIEW_BASIC),
        tells_positions_(request.tell_positions()),
        stops_(request.stop_at_end()),
        query_(std::move(query)) {}

  ~Follower() override { --server_->followers; }

  void Begin() {
    const bool too_many = ++server_->followers > kMostFollowers;
    // Subscribed before the store is asked for its last id, so that no commit falls between.
    bool unreadable = false;
    if (!too_many) {
      subscription_ = server_->store->Subscribe([weak = weak_from_this()](int64_t) {
        if (auto self = weak.lock()) self->Committed();
      });
      unreadable = subscription_ == nullptr;
    }
    Open();
    const int64_t last_id = server_->store->last_id();
    absl::MutexLock lock(&mutex_);
    if (too_many) return End(absl::UnavailableError("too many callers follow; try again later"));
    if (unreadable) {
      return End(absl::UnavailableError("the store cannot be read at the moment; try again later"));
    }
    // Tells the caller that it misses nothing from now on.
    if (!finished_) StartSendInitialMetadata();
    if (query_.after_id < 0) query_.after_id = last_id;
    if (query_.after_id == last_id) query_.complete = true;
    begin_ = query_.after_id;
    end_ = last_id;
    if (tells_positions_) TellPosition(begin_, page_.emplace_back());
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

  void OnDone() override {
    // Waits for a callback that is running and may need the lock, so it is not done under the lock.
    subscription_.reset();
    StreamReactor::OnDone();
  }

 private:
  friend class StreamReactor<Follower, IncidentReactor>;

  void Committed() {
    absl::MutexLock lock(&mutex_);
    more_ = true;
    Continue();
  }

  void Continue() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (finished_ || !ready_ || writing_) return;
    if (!ending_.empty()) return End(absl::UnavailableError(ending_));
    if (!page_.empty()) {
      writing_ = true;
      return StartWrite(&page_.front());
    }
    if (reading_) return;
    if (stops_ && (end_ == 0 || !more_)) return End(absl::OkStatus());
    if (!more_) return;
    reading_ = server_->threads.Post([self = shared_from_this()] { self->ReadPage(); });
    if (!reading_) End(absl::UnavailableError("too much is in flight; try again later"));
  }

  // On the thread pool.
  void ReadPage() {
    IncidentQuery query;
    {
      absl::MutexLock lock(&mutex_);
      query = query_;
      if (stops_) query.through_id = end_;
      more_ = false;
    }
    absl::StatusOr<IncidentPage> page = server_->store->List(query);
    absl::MutexLock lock(&mutex_);
    reading_ = false;
    if (!page.ok()) return End(page.status());
    for (StoredIncident& incident : page->incidents) {
      v1::FollowIncidentsResponse& response = page_.emplace_back();
      TellPosition(incident.id, response);
      FillIncident(incident, with_details_, *response.mutable_incident());
    }
    // What the filter leaves out is not returned: skip it. What is deleted from now on must be.
    query_.after_id = page->resume_id;
    query_.complete = true;
    // With the commits that have come in the meantime, unless the end is the one of the beginning.
    more_ = page->more || (more_ && !stops_);
    if (tells_positions_ && page->incidents.empty()) {
      TellPosition(query_.after_id, page_.emplace_back());
    }
    Continue();
  }

  void TellPosition(int64_t id, v1::FollowIncidentsResponse& response)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    response.set_position(PositionAfter(*server_->store, id));
    if (!stops_) return;
    const auto all = static_cast<double>(std::max<int64_t>(end_ - begin_, 1));
    response.set_progress(
        id == end_ ? 1 : std::clamp(static_cast<double>(id - begin_) / all, 0.0, 1.0));
  }

  const bool with_details_;
  const bool tells_positions_;
  const bool stops_;
  std::unique_ptr<IncidentSubscription> subscription_;

  std::deque<v1::FollowIncidentsResponse> page_ ABSL_GUARDED_BY(mutex_);  // the first may be gRPC's
  IncidentQuery query_ ABSL_GUARDED_BY(mutex_);                           // of the next page
  bool more_ ABSL_GUARDED_BY(mutex_) = true;   // there may be incidents after query_.after_id
  int64_t begin_ ABSL_GUARDED_BY(mutex_) = 0;  // after this id
  int64_t end_ ABSL_GUARDED_BY(mutex_) = 0;    // the last id when the stream began
  bool ready_ ABSL_GUARDED_BY(mutex_) = false;
  bool reading_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
};

// Ends with the status.
class Refusal : public IncidentReactor {
 public:
  explicit Refusal(const absl::Status& status) { Finish(ToGrpc(status)); }
  void OnDone() override { delete this; }
};

class IncidentService : public v1::IncidentService::CallbackService {
 public:
  explicit IncidentService(std::shared_ptr<GrpcServerContext> server)
      : server_(std::move(server)) {}

  grpc::ServerUnaryReactor* GetIncident(Context* context, const v1::GetIncidentRequest* request,
                                        v1::Incident* response) override {
    if (absl::Status status = CheckReadable(*request); !status.ok()) {
      return EndCall(*context, status);
    }
    const absl::StatusOr<int64_t> id = ParseId("id", request->id());
    if (!id.ok()) return EndCall(*context, id.status());
    auto reactor = OnceReactor::Make(server_);
    reactor->Post([store = server_->store, reactor, response, id = *id] {
      if (reactor->finished()) return;
      absl::StatusOr<StoredIncident> incident = store->Get(id);
      reactor->CompleteWith([&] {
        if (incident.ok()) FillIncident(*incident, true, *response);
        return incident.status();
      });
    });
    return reactor.get();
  }

  // The page token is the position of the id before which the next page begins.
  grpc::ServerUnaryReactor* ListIncidents(Context* context, const v1::ListIncidentsRequest* request,
                                          v1::ListIncidentsResponse* response) override {
    if (absl::Status status = CheckReadable(*request); !status.ok()) {
      return EndCall(*context, status);
    }
    const absl::StatusOr<IncidentQuery> query = MakeQuery(*server_, *request);
    if (!query.ok()) return EndCall(*context, query.status());
    auto reactor = OnceReactor::Make(server_);
    const bool full = request->view() == v1::INCIDENT_VIEW_FULL;
    reactor->Post([store = server_->store, reactor, response, full, query = *query] {
      if (reactor->finished()) return;
      absl::StatusOr<IncidentPage> page = store->List(query);
      reactor->CompleteWith([&] {
        if (!page.ok()) return page.status();
        for (StoredIncident& incident : page->incidents) {
          FillIncident(incident, full, *response->add_incidents());
        }
        if (page->more) response->set_next_page_token(PositionAfter(*store, page->resume_id));
        return absl::OkStatus();
      });
    });
    return reactor.get();
  }

  IncidentReactor* FollowIncidents(Context* context,
                                   const v1::FollowIncidentsRequest* request) override {
    absl::Status status = CheckReadable(*request);
    status.Update(CheckView(request->view()));
    IncidentQuery query;
    query.limit = kFollowIncidents;
    query.limit_bytes = kFollowBytes;
    if (status.ok()) status = ReadFilter(*server_, *request, query.filter);
    if (status.ok()) status = ReadBegin(*server_, *request, query);
    if (!status.ok()) return new Refusal(status);
    auto follower = std::make_shared<Follower>(server_, std::move(query), *request,
                                               !CallerOf(*context, false).is_owner());
    follower->Begin();
    return follower.get();
  }

 private:
  const std::shared_ptr<GrpcServerContext> server_;
};

}  // namespace

std::unique_ptr<grpc::Service> NewIncidentService(std::shared_ptr<GrpcServerContext> server) {
  return std::make_unique<IncidentService>(std::move(server));
}

}  // namespace host_stub
