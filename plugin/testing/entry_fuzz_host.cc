#include "plugin/testing/entry_fuzz_host.h"

#include <cstring>
#include <thread>
#include <utility>

#include "absl/strings/match.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/strict_json.h"

namespace webhook {
namespace {

using fuzz::IsMessage;
using fuzz::MayBeJson;
using fuzz::Require;

// Longer than we need it, as a later version's may be.
struct LongPair {
  lri_pair pair;
  char appended[24];
};

FuzzHost& Self(void* context) { return *static_cast<FuzzHost*>(context); }

template <typename Element, typename Array>
const Element& ElementOf(const Array& array, size_t index) {
  return *reinterpret_cast<const Element*>(reinterpret_cast<const char*>(array.data) +
                                           index * array.stride);
}

std::string Joined(const lri_views& views) {
  std::string joined;
  for (size_t i = 0; i < views.count; ++i) joined += Copied(ElementOf<lri_view>(views, i));
  return joined;
}

// Reads everything of a batch; what it reads is compared when the batch is done.
std::string Contents(const lri_incident_batch& batch) {
  std::string all;
  Require(batch.struct_size >= sizeof batch && batch.done != nullptr && batch.incidents.count > 0);
  for (const lri_view& view : {batch.delivery_key, batch.replay_key, batch.content}) {
    all += Copied(view) + '\0';
  }
  for (size_t i = 0; i < batch.incidents.count; ++i) {
    const auto& incident = ElementOf<lri_incident>(batch.incidents, i);
    const std::string details = Joined(incident.details);
    Require(IsMessage(Copied(incident.occurred)) && incident.name.size > 0);
    Require(MayBeJson(details) && absl::StartsWith(details, "{"));
    for (const lri_view& view : {incident.name, incident.type, incident.delivery_key}) {
      all += Copied(view) + '\0';
    }
    all += details + '\0' + Joined(incident.warnings) + '\0' + Copied(incident.content) + '\0' +
           std::to_string(incident.severity) + '\0';
  }
  return all;
}

}  // namespace

std::string Copied(lri_view view) {
  return view.size == 0 ? std::string() : std::string(view.data, view.size);
}

int32_t FuzzError::Checked(int32_t code) const {
  if (code == LRI_OK || kind_ != 0) {
    Require(error_.message[0] == '\x7f');
  } else {
    Require(IsMessage(error_.message));
  }
  return code;
}

struct FuzzHost::Call {
  explicit Call(FuzzRequest given) : texts(std::move(given)), body(new char[BodySize()]) {
    std::memcpy(body.get(), texts.body.data(), texts.body.size());
    std::memset(body.get() + texts.body.size(), '}', LRI_BODY_PADDING);
    const auto view = [](const std::string& text) { return lri_view{text.data(), text.size()}; };
    for (const auto& [name, value] : texts.headers)
      pairs.push_back({{view(name), view(value)}, {}});
    head.struct_size = sizeof head;
    head.method = view(texts.method);
    head.remainder = view(texts.remainder);
    head.query = view(texts.query);
    head.peer_address = view(texts.peer);
    head.headers = {pairs.empty() ? nullptr : &pairs[0].pair, pairs.size(), sizeof(LongPair)};
    head.content_length = texts.body.size();
    request.struct_size = sizeof request;
    request.head = &head;
    request.body = {body.get(), texts.body.size()};
  }

  size_t BodySize() const { return texts.body.size() + LRI_BODY_PADDING; }

  const FuzzRequest texts;
  std::unique_ptr<char[]> body;
  std::vector<LongPair> pairs;
  lri_request_head head{};
  lri_request request{};
};

FuzzHost::FuzzHost() {
  table_.struct_size = sizeof table_;
  table_.abi_minor = LRI_ABI_MINOR;
  table_.context = this;
  table_.create_incidents = [](void* context, lri_host_instance*, const lri_incident_batch* batch) {
    return Self(context).Create(*batch);
  };
  table_.complete = [](void* context, lri_call* call, const lri_answer* answer) {
    Self(context).Complete(call, *answer);
  };
  table_.context_get = [](void* context, lri_host_instance*, lri_view key, lri_context_done done,
                          void* done_context) {
    Require(IsMessage(Copied(key)));
    return Self(context).KeepContext(done, done_context, true);
  };
  table_.context_set = [](void* context, lri_host_instance*, lri_view, lri_view value,
                          lri_context_done done, void* done_context) {
    Require(MayBeJson(Copied(value)));
    return Self(context).KeepContext(done, done_context, false);
  };
  table_.set_health = [](void*, lri_host_instance*, int32_t health, lri_view message) {
    Require(health >= LRI_HEALTHY && health <= LRI_UNHEALTHY);
    Require(message.size == 0 || IsMessage(Copied(message)));
  };
  table_.log = [](void*, lri_host_instance*, int32_t severity, lri_view message) {
    Require(severity >= LRI_DEBUG && severity <= LRI_ERROR && IsMessage(Copied(message)));
  };
}

FuzzHost::~FuzzHost() {
  // Every execute that was taken is answered.
  Require(calls_.empty() && batches_.empty() && contexts_.empty());
}

void FuzzHost::SetContext(Reply reply, int32_t code, std::string value) {
  const std::lock_guard lock(mutex_);
  context_ = reply;
  context_code_ = code;
  context_value_ = std::move(value);
}

int32_t FuzzHost::Execute(const lri_plugin_table& plugin, lri_instance* instance,
                          const FuzzRequest& given, uint64_t ticket, bool may_create) {
  uintptr_t handle = 0;
  const lri_request* request = nullptr;
  {
    const std::lock_guard lock(mutex_);
    handle = ++last_call_;
    auto call = std::make_unique<Call>(given);
    call->request.call = reinterpret_cast<lri_call*>(handle);
    call->request.head_ticket = ticket;
    request = &call->request;
    calls_.emplace(handle, std::move(call));
    may_create_ = may_create;
  }
  const int32_t code = plugin.execute(instance, request);
  const std::lock_guard lock(mutex_);
  // Not OK: never completed.
  if (code != LRI_OK) Require(calls_.erase(handle) == 1);
  return code;
}

lri_call* FuzzHost::AnyCall(size_t number) const {
  return reinterpret_cast<lri_call*>(number % (last_call_ + 1));
}

size_t FuzzHost::calls_in_flight() {
  const std::lock_guard lock(mutex_);
  return calls_.size();
}

int32_t FuzzHost::Create(const lri_incident_batch& batch) {
  const Batch held{&batch, Contents(batch)};
  Reply reply = creation;
  {
    const std::lock_guard lock(mutex_);
    // Nothing is created for a sender without credentials.
    Require(batch.dry_run == 1 || may_create_);
    if (reply == Reply::kHeld) batches_.push_back(held);
    if (reply == Reply::kNested && depth_ > 0) reply = Reply::kNow;
    ++depth_;
  }
  const bool kept = may_create_;
  if (reply == Reply::kRefuse) {
    --depth_;
    return LRI_UNAVAILABLE;
  }
  if (reply == Reply::kNested && nested) nested();
  if (reply == Reply::kOtherThread) {
    std::thread([&] { Finish(held, outcome, outcome_code); }).join();
  } else if (reply != Reply::kHeld) {
    Finish(held, outcome, outcome_code);
  }
  const std::lock_guard lock(mutex_);
  may_create_ = kept;
  --depth_;
  return LRI_OK;
}

void FuzzHost::Finish(const Batch& held, int32_t outcome, int32_t code) {
  // What was given is as it was.
  Require(Contents(*held.batch) == held.contents);
  struct LongIncident {
    lri_created_incident incident;
    char appended[8];
  };
  const size_t count = outcome == LRI_CREATED ? held.batch->incidents.count : 0;
  std::vector<LongIncident> created(count);
  const std::string id = "12", time = "2024-05-01T10:00:01Z", name = "the \"first\"";
  for (size_t i = 0; i < count; ++i) {
    lri_created_incident& one = created[i].incident;
    one.id = {id.data(), id.size()};
    one.created = {time.data(), time.size()};
    one.duplicate = i % 3 == 2;
    if (one.duplicate == 0) continue;
    one.name = {name.data(), name.size()};
    one.occurred = one.created;
  }
  const std::string reason = "a reason";
  lri_create_result result{};
  result.struct_size = sizeof result;
  result.outcome = outcome;
  result.code = outcome == LRI_CREATED ? LRI_OK : code;
  result.message = {reason.data(), reason.size()};
  result.incidents = count == 0 ? nullptr : &created[0].incident;
  result.count = count;
  result.stride = sizeof(LongIncident);
  held.batch->done(held.batch->done_context, &result);
}

bool FuzzHost::FinishBatch(size_t number) {
  Batch held{};
  {
    const std::lock_guard lock(mutex_);
    if (batches_.empty()) return false;
    const auto at = batches_.begin() + static_cast<ptrdiff_t>(number % batches_.size());
    held = std::move(*at);
    batches_.erase(at);
  }
  Finish(held, outcome, outcome_code);
  return true;
}

int32_t FuzzHost::KeepContext(lri_context_done done, void* done_context, bool reads) {
  Reply reply;
  Context context;
  {
    const std::lock_guard lock(mutex_);
    reply = context_;
    context = {done, done_context, context_code_, reads ? context_value_ : ""};
    if (reply == Reply::kHeld) contexts_.push_back(context);
  }
  if (reply == Reply::kRefuse) return LRI_UNAVAILABLE;
  if (reply != Reply::kHeld && done != nullptr) {
    done(done_context, context.code, {context.value.data(), context.value.size()});
  }
  return LRI_OK;
}

bool FuzzHost::FinishContext(size_t number) {
  Context context;
  {
    const std::lock_guard lock(mutex_);
    if (contexts_.empty()) return false;
    const auto at = contexts_.begin() + static_cast<ptrdiff_t>(number % contexts_.size());
    context = std::move(*at);
    contexts_.erase(at);
  }
  if (context.done != nullptr) {
    context.done(context.done_context, context.code, {context.value.data(), context.value.size()});
  }
  return true;
}

void FuzzHost::Complete(lri_call* handle, const lri_answer& answer) {
  Require(answer.struct_size >= sizeof answer && answer.status >= 200 && answer.status <= 599);
  bool json = false;
  for (size_t i = 0; i < answer.headers.count; ++i) {
    const auto& pair = ElementOf<lri_pair>(answer.headers, i);
    Require(IsMessage(Copied(pair.name)) && IsMessage(Copied(pair.value)));
    json = json || Copied(pair.value) == "application/json";
  }
  const std::string body = Copied(answer.body);
  Require(json == (answer.status == 200) && (json ? MayBeJson(body) : IsMessage(body)));
  const std::lock_guard lock(mutex_);
  // Exactly one answer for each call.
  Require(calls_.erase(reinterpret_cast<uintptr_t>(handle)) == 1);
}

}  // namespace webhook
