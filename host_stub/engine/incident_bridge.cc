#include "host_stub/engine/incident_bridge.h"

#include <algorithm>
#include <charconv>
#include <ctime>
#include <span>
#include <thread>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "host_stub/engine/border.h"
#include "plugin/base/clock.h"
#include "plugin/base/counted.h"

namespace host_stub {
namespace {

// Whether the elements of an array are long enough for a member, which was appended to them.
#define STRIDE_HAS(array, type, member) \
  ((array).stride >= offsetof(type, member) + sizeof(type::member))

// 0: unknown.
bool IsSeverity(double severity) {
  constexpr double kSeverities[] = {0, 0.5, 1, 2, 3, 4};
  return std::ranges::find(kSeverities, severity) != std::end(kSeverities);
}

// What is wrong with a batch, or null. Limits of size are the store's to check.
const char* WrongWith(const lri_incident_batch* batch) {
  if (batch == nullptr || !LRI_HAS(batch, done_context)) return "a batch that is missing or short";
  if (batch->done == nullptr) return "a batch without done";
  const lri_incidents& incidents = batch->incidents;
  if (incidents.count == 0 || incidents.data == nullptr) return "a batch without incidents";
  if (incidents.stride < offsetof(lri_incident, content)) return "incidents that overlap";
  if (LRI_HAS(batch, request_query) &&
      std::max(batch->request_address.size, batch->request_query.size) > LRI_STORED_REQUEST_BYTES) {
    return "incidents of a request whose address or query is too long";
  }
  const bool have_severity = STRIDE_HAS(incidents, lri_incident, severity);
  for (size_t i = 0; i < incidents.count; ++i) {
    const lri_incident& incident = At(incidents.data, incidents.stride, i);
    if (incident.name.size == 0) return "an incident without a name";
    if (have_severity && !IsSeverity(incident.severity)) {
      return "an incident of a severity that there is not";
    }
    if (!IsReadable(incident.details) || !IsReadable(incident.warnings))
      return "views that overlap";
  }
  return nullptr;
}

// Writes the ABI's views as the store's, from `out` on, and moves `out` past them.
std::span<const absl::string_view> Copy(const lri_views& views, absl::string_view*& out) {
  const absl::string_view* const first = out;
  for (size_t i = 0; i < views.count; ++i) *out++ = ToStringView(At(views.data, views.stride, i));
  return {first, views.count};
}

int32_t ToCode(const absl::Status& status) { return static_cast<int32_t>(status.code()); }

// By CreationOutcome.
constexpr int32_t kOutcomes[] = {LRI_CREATED, LRI_NOT_CREATED, LRI_NOT_KNOWN};

constexpr size_t kIdBytes = 20;
constexpr size_t kCreatedBytes = 32;

// Formats times by RFC 3339 in UTC, with six digits of fraction that are cut where they are zeros:
// "2024-05-01T10:00:00Z", "2024-05-01T10:00:00.25Z". It remembers the last second, which most
// batches share.
class CreatedTimes {
 public:
  size_t Write(absl::Time created, char* begin) {
    const int64_t microseconds = absl::ToUnixMicros(created);
    int64_t fraction = (microseconds % 1'000'000 + 1'000'000) % 1'000'000;
    if (const time_t second = (microseconds - fraction) / 1'000'000; second != second_) {
      second_ = second;
      tm parts{};
      size_ = std::strftime(text_, sizeof text_, "%Y-%m-%dT%H:%M:%S", gmtime_r(&second, &parts));
    }
    char* out = std::copy_n(text_, size_, begin);
    if (fraction != 0) {
      *out = '.';
      for (int i = 6; i > 0; --i, fraction /= 10) out[i] = static_cast<char>('0' + fraction % 10);
      out += 7;
      while (out[-1] == '0') --out;
    }
    *out++ = 'Z';
    return static_cast<size_t>(out - begin);
  }

 private:
  time_t second_ = INT64_MAX;
  char text_[kCreatedBytes];
  size_t size_ = 0;
};

}  // namespace

// A batch between the plugin's call and its `done`. Its vectors keep their room for the next.
struct IncidentBridge::Pending {
  Submission submission;
  uint32_t index = 0;
  InstanceRecord* record = nullptr;
  std::thread::id asker;
  lri_create_done done = nullptr;
  void* done_context = nullptr;
  std::vector<NewIncident> incidents;
  std::vector<absl::string_view> views;

  // The result, as text.
  std::vector<lri_created_incident> created;
  std::vector<char> text;
  CreatedTimes times;

  void Fill(const lri_incident_batch& batch, InstanceRecord& record_in);
  void FormatCreatedIncidents();

  // A rare large batch must not keep its memory for good, because after a burst there may be
  // thousands. The first few keep it, so that a sequence of large batches allocates nothing.
  void Trim() {
    const size_t kept = index < 16 ? 1024 : 64;
    submission.created.clear();
    ReleaseAbove(kept, submission.created);
    ReleaseAbove(kept, incidents);
    ReleaseAbove(8 * kept, views);
    ReleaseAbove(kept, created);
    ReleaseAbove(kept * (kIdBytes + kCreatedBytes), text);
  }

 private:
  // Not `= {}`, which assigns an empty list and keeps the room.
  template <typename T>
  static void ReleaseAbove(size_t kept, std::vector<T>& vector) {
    if (vector.capacity() > kept) std::vector<T>().swap(vector);
  }
};

// Finished batches on their way to one thread.
class IncidentBridge::Sink : public CompletionSink {
 public:
  Sink(IncidentBridge& bridge, int thread) : bridge_(bridge), thread_(thread) {}

  void Complete(Submission* list) override {
    CompletionThreads& threads = *bridge_.services_.threads;
    // A store that needs no disk completes at once, on the thread that the batch came from.
    const bool is_here = threads.current() == thread_ ||
                         (list->next == nullptr && static_cast<const Pending*>(list->user)->asker ==
                                                       std::this_thread::get_id());
    if (is_here) return FinishAll(list);
    threads.Post(thread_, [this, list] { FinishAll(list); });
  }

 private:
  void FinishAll(Submission* list) {
    while (list != nullptr) {
      Submission* next = list->next;  // Finish gives the batch back
      bridge_.Finish(*static_cast<Pending*>(list->user));
      list = next;
    }
  }

  IncidentBridge& bridge_;
  const int thread_;
};

IncidentBridge::IncidentBridge(const HostServices& services, absl::string_view plugin)
    : services_(services), plugin_(plugin) {
  for (int thread = 0; thread < services_.threads->count(); ++thread) {
    sinks_.push_back(std::make_unique<Sink>(*this, thread));
  }
}

IncidentBridge::~IncidentBridge() = default;

void IncidentBridge::Pending::Fill(const lri_incident_batch& batch, InstanceRecord& record_in) {
  size_t view_count = 0;
  for (size_t i = 0; i < batch.incidents.count; ++i) {
    const lri_incident& incident = At(batch.incidents.data, batch.incidents.stride, i);
    view_count += incident.details.count + incident.warnings.count;
  }
  views.resize(view_count);
  absl::string_view* next_view = views.data();
  incidents.clear();
  incidents.reserve(batch.incidents.count);
  const bool have_content = STRIDE_HAS(batch.incidents, lri_incident, content);
  const bool have_severity = STRIDE_HAS(batch.incidents, lri_incident, severity);
  for (size_t i = 0; i < batch.incidents.count; ++i) {
    const lri_incident& incident = At(batch.incidents.data, batch.incidents.stride, i);
    incidents.push_back({.name = ToStringView(incident.name),
                         .type = ToStringView(incident.type),
                         .occurred = ToStringView(incident.occurred),
                         .details = Copy(incident.details, next_view),
                         .warnings = Copy(incident.warnings, next_view),
                         .delivery_key = ToStringView(incident.delivery_key),
                         .content = have_content ? ToStringView(incident.content) : "",
                         .severity = have_severity ? incident.severity : 0});
  }
  record = &record_in;
  asker = std::this_thread::get_id();
  done = batch.done;
  done_context = batch.done_context;
  submission.instance_uid = record->uid;
  submission.instance_name = record->name;
  submission.source_brand = record->source_brand;
  submission.delivery_key = ToStringView(batch.delivery_key);
  submission.content = LRI_HAS(&batch, content) ? ToStringView(batch.content) : "";
  submission.replay_key = LRI_HAS(&batch, replay_key) ? ToStringView(batch.replay_key) : "";
  const bool has_request = LRI_HAS(&batch, request_query);
  submission.request_address = has_request ? ToStringView(batch.request_address) : "";
  submission.request_query = has_request ? ToStringView(batch.request_query) : "";
  submission.delivery_key_lifetime = absl::Seconds(batch.delivery_key_ttl_s);
  submission.deadline_mono_ns = batch.deadline_mono_ns;
  submission.dry_run = batch.dry_run != 0;
  submission.incidents = incidents;
  submission.user = this;
  submission.outcome = CreationOutcome::kNotCreated;
  submission.status = absl::OkStatus();
  submission.retry_after_seconds = 0;
  submission.keys_forgotten_early = 0;
  submission.created.clear();
  submission.next = nullptr;
}

void IncidentBridge::GiveBack(Pending& pending) {
  pending.Trim();
  pool_.GiveBack(pending.index);
}

int32_t IncidentBridge::Create(InstanceRecord& record, const lri_incident_batch* batch) {
  if (const char* wrong = WrongWith(batch); wrong != nullptr) {
    record.Fault(absl::StrCat("the plugin asked to create ", wrong, "; refused"),
                 /*broken=*/false);
    return LRI_INVALID_ARGUMENT;
  }
  if (batch->deadline_mono_ns != 0 && base::MonotonicNanoseconds() >= batch->deadline_mono_ns) {
    return LRI_DEADLINE_EXCEEDED;
  }
  const auto lease = pool_.Take();
  if (lease.object == nullptr) return LRI_UNAVAILABLE;
  Pending& pending = *lease.object;
  pending.index = lease.index;
  absl::Cleanup give_back = [this, &pending] { GiveBack(pending); };
  pending.Fill(*batch, record);
  pending.submission.sink =
      sinks_[static_cast<size_t>(std::max(services_.threads->current(), 0))].get();
  record.batches_begun.fetch_add(1, std::memory_order_relaxed);
  absl::Cleanup not_begun = [&record] {
    record.batches_begun.fetch_sub(1, std::memory_order_relaxed);
  };
  const absl::Status status = services_.store->Create(&pending.submission);
  if (status.ok()) {
    // It may be over already.
    std::move(give_back).Cancel();
    std::move(not_begun).Cancel();
  } else if (!absl::IsUnavailable(status)) {
    if (const auto left_out = warnings_.Admit(absl::Now()); left_out.has_value()) {
      record.logger.Log(
          Severity::kWarning, record.name,
          absl::StrCat("incidents were not taken: ", status.message(), base::LeftOut(*left_out)));
    }
  }
  return ToCode(status);
}

void IncidentBridge::Pending::FormatCreatedIncidents() {
  const std::vector<CreatedIncident>& results = submission.created;
  created.clear();
  created.reserve(results.size());
  text.resize(results.size() * (kIdBytes + kCreatedBytes));
  char* out = text.data();
  lri_view created_at = {};
  absl::Time formatted = absl::InfinitePast();  // what created_at says
  for (const CreatedIncident& result : results) {
    lri_created_incident& incident = created.emplace_back();
    char* const id = out;
    // A dry run gives no ids.
    if (result.id != 0) out = std::to_chars(id, id + kIdBytes, result.id).ptr;
    incident.id = {id, static_cast<size_t>(out - id)};
    if (result.duplicate()) incident.duplicate = 1;
    if (result.other_content) {
      incident.other_content = 1;
      continue;
    }
    // All incidents but duplicates have the same time.
    if (result.created != formatted) {
      formatted = result.created;
      created_at = {out, times.Write(formatted, out)};
      out += created_at.size;
    }
    incident.created = created_at;
    if (result.duplicate()) {
      incident.name = ToView(result.first->name);
      incident.type = ToView(result.first->type);
      incident.occurred = ToView(result.first->occurred);
      incident.severity = result.first->severity;
    }
  }
}

void IncidentBridge::CountHidden(InstanceRecord& record, int64_t incidents) {
  record.incidents_hidden.fetch_add(incidents, std::memory_order_relaxed);
  const auto left_out = warnings_.Admit(absl::Now());
  if (!left_out.has_value()) return;
  record.logger.Log(
      Severity::kWarning, record.name,
      absl::StrCat(base::Counted(incidents, "incident was", "incidents were"),
                   " not created, because the delivery key is known with another content; see "
                   "duplication_key",
                   base::LeftOut(*left_out)));
}

void IncidentBridge::CountForgotten(InstanceRecord& record, int64_t keys) {
  record.keys_forgotten_early.fetch_add(keys, std::memory_order_relaxed);
  const auto left_out = forgotten_.Admit(absl::Now());
  if (!left_out.has_value()) return;
  record.logger.Log(
      Severity::kWarning, record.name,
      absl::StrCat(keys, keys == 1 ? " delivery key was" : " delivery keys were",
                   " forgotten before delivery_key_ttl was over: sent again, such a delivery is "
                   "created again; raise the limit remembered_delivery_keys",
                   base::LeftOut(*left_out)));
}

void IncidentBridge::Finish(Pending& pending) noexcept {
  pending.FormatCreatedIncidents();
  const Submission& submission = pending.submission;
  InstanceRecord& record = *pending.record;
  if (submission.outcome == CreationOutcome::kCreated && !submission.dry_run) {
    int64_t fresh = 0;
    int64_t hidden = 0;
    for (const CreatedIncident& incident : submission.created) {
      fresh += !incident.duplicate();
      hidden += incident.other_content;
    }
    record.incidents_created.fetch_add(fresh, std::memory_order_relaxed);
    if (const int64_t known = static_cast<int64_t>(submission.created.size()) - fresh; known > 0) {
      record.incidents_duplicate.fetch_add(known, std::memory_order_relaxed);
    }
    if (hidden > 0) CountHidden(record, hidden);
    if (submission.keys_forgotten_early > 0)
      CountForgotten(record, submission.keys_forgotten_early);
  }
  lri_create_result result = {};
  result.struct_size = sizeof(result);
  result.outcome = kOutcomes[static_cast<int>(submission.outcome)];
  result.code = ToCode(submission.status);
  result.retry_after_s = static_cast<uint32_t>(submission.retry_after_seconds);
  result.message = ToView(submission.status.message());
  result.incidents = pending.created.data();
  result.count = pending.created.size();
  result.stride = sizeof(lri_created_incident);
  CallPlugin(plugin_, "done (of create_incidents)",
             [&] { pending.done(pending.done_context, &result); });
  GiveBack(pending);
  // Last: once no batch is in flight, the record and the plugin's code may go.
  record.batches_ended.fetch_add(1, std::memory_order_release);
}

}  // namespace host_stub
