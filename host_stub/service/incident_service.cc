#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "host_stub/service/guarded_reactor.h"
#include "host_stub/service/incident_follower.h"
#include "host_stub/service/incident_messages.h"
#include "host_stub/service/services.h"
#include "long_running_integration/v1/incident.grpc.pb.h"

namespace host_stub {
namespace {

namespace v1 = ::long_running_integration::v1;
using Context = grpc::CallbackServerContext;

constexpr int kDefaultPage = 50;
constexpr int kLargestPage = 1'000;
// Below what gRPC's clients take by default, with room for the last incident of a page.
constexpr int64_t kPageBytes = 2 << 20;

absl::StatusOr<IncidentQuery> MakeQuery(const CallEnvironment& environment,
                                        const v1::ListIncidentsRequest& request) {
  if (request.page_size() < 0) {
    return absl::InvalidArgumentError("page_size: must not be negative");
  }
  if (absl::Status status = CheckView(request.view()); !status.ok()) return status;
  IncidentQuery query;
  query.newest_first = true;
  query.limit =
      request.page_size() == 0 ? kDefaultPage : std::min(request.page_size(), kLargestPage);
  query.limit_bytes = kPageBytes;
  if (!request.page_token().empty()) {
    absl::StatusOr<int64_t> before = ParseId("page_token", request.page_token());
    if (!before.ok()) return before.status();
    query.before_id = *before;
  }
  absl::StatusOr<std::string> uid = FilterUid(environment, request.instance());
  if (!uid.ok()) return uid.status();
  query.instance_uid = *std::move(uid);
  return query;
}

class IncidentService : public v1::IncidentService::CallbackService {
 public:
  explicit IncidentService(std::shared_ptr<CallEnvironment> environment)
      : environment_(std::move(environment)) {}

  grpc::ServerUnaryReactor* GetIncident(Context*, const v1::GetIncidentRequest* request,
                                        v1::Incident* response) override {
    auto reactor = GuardedReactor::Make(environment_);
    const absl::StatusOr<int64_t> id = ParseId("id", request->id());
    if (!id.ok()) {
      reactor->Complete(id.status());
      return reactor.get();
    }
    OnWorker(reactor, [store = environment_->store, reactor, response, id = *id] {
      if (reactor->finished()) return;
      absl::StatusOr<StoredIncident> incident = store->Get(id);
      reactor->Complete([&] {
        if (incident.ok()) FillIncident(*incident, true, *response);
        return incident.status();
      });
    });
    return reactor.get();
  }

  // The page token is the id before which the next page begins.
  grpc::ServerUnaryReactor* ListIncidents(Context*, const v1::ListIncidentsRequest* request,
                                          v1::ListIncidentsResponse* response) override {
    auto reactor = GuardedReactor::Make(environment_);
    const absl::StatusOr<IncidentQuery> query = MakeQuery(*environment_, *request);
    if (!query.ok()) {
      reactor->Complete(query.status());
      return reactor.get();
    }
    const bool full = request->view() == v1::INCIDENT_VIEW_FULL;
    OnWorker(reactor, [store = environment_->store, reactor, response, full, query = *query] {
      if (reactor->finished()) return;
      absl::StatusOr<IncidentPage> page = store->List(query);
      reactor->Complete([&] {
        if (!page.ok()) return page.status();
        for (StoredIncident& incident : page->incidents) {
          FillIncident(incident, full, *response->add_incidents());
        }
        if (page->more) response->set_next_page_token(absl::StrCat(page->resume_id));
        return absl::OkStatus();
      });
    });
    return reactor.get();
  }

  IncidentReactor* FollowIncidents(Context*, const v1::FollowIncidentsRequest* request) override {
    if (absl::Status status = CheckView(request->view()); !status.ok()) return NewRefusal(status);
    absl::StatusOr<std::string> uid = FilterUid(*environment_, request->instance());
    if (!uid.ok()) return NewRefusal(uid.status());
    FollowOptions options;
    options.instance_uid = *std::move(uid);
    options.with_details = request->view() != v1::INCIDENT_VIEW_BASIC;
    if (!request->after_id().empty() && request->after_id() != "0") {
      const absl::StatusOr<int64_t> after = ParseId("after_id", request->after_id());
      if (!after.ok()) return NewRefusal(after.status());
      options.after_id = *after;
    }
    if (request->after_id() == "0") options.after_id = 0;
    return NewFollower(environment_, std::move(options));
  }

 private:
  // The store may wait for its disk, so a thread of our own asks it. A call that is cancelled ends
  // at once, and this service may then end before `work` runs: so `work` must not refer to it.
  void OnWorker(const std::shared_ptr<GuardedReactor>& reactor, std::function<void()> work) {
    absl::Status posted = environment_->Post(std::move(work));
    if (!posted.ok()) reactor->Complete(posted);
  }

  const std::shared_ptr<CallEnvironment> environment_;
};

}  // namespace

std::unique_ptr<grpc::Service> NewIncidentService(std::shared_ptr<CallEnvironment> environment) {
  return std::make_unique<IncidentService>(std::move(environment));
}

}  // namespace host_stub
