#include "plugin/runtime/call.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "plugin/base/clock.h"
#include "plugin/base/counted.h"
#include "plugin/core/answer.h"
#include "plugin/core/query.h"

namespace webhook::runtime {
namespace {

// How much memory of each kind a call keeps for the next one. There may be thousands of calls after
// a burst; the first few keep more, so that large requests one after another allocate nothing.
constexpr uint32_t kFewCalls = 16;
constexpr size_t kKeptBytesOfFew = 256 * 1024;
constexpr size_t kKeptBytes = 16 * 1024;

// Not `= {}`, which assigns an empty list and keeps the room.
template <typename Container>
void ReleaseAbove(size_t kept_bytes, Container& container) {
  if (container.capacity() * sizeof(container[0]) > kept_bytes) Container().swap(container);
}

// The HTTP status for an error that core returns for a body.
int32_t StatusOfBodyError(const absl::Status& error) {
  switch (error.code()) {
    case absl::StatusCode::kInvalidArgument:
      return 400;
    case absl::StatusCode::kResourceExhausted:
      return 413;
    case absl::StatusCode::kUnimplemented:
      return 415;
    case absl::StatusCode::kUnavailable:
      return 503;
    default:
      return 500;
  }
}

// Why a body's coding or charset was refused, and why what it holds.
lri_reason ReasonOfDecodeError(const absl::Status& error, core::DecodeStep step) {
  if (absl::IsUnavailable(error)) return LRI_REASON_MEMORY;
  if (absl::IsResourceExhausted(error)) return LRI_REASON_BODY_TOO_LARGE;
  return step == core::DecodeStep::kCharset ? LRI_REASON_CHARSET : LRI_REASON_CONTENT_ENCODING;
}
lri_reason ReasonOfBodyError(const absl::Status& error) {
  if (absl::IsUnavailable(error)) return LRI_REASON_MEMORY;
  if (absl::IsResourceExhausted(error)) return LRI_REASON_TOO_MANY_INCIDENTS;
  if (absl::IsUnimplemented(error)) return LRI_REASON_CONTENT_TYPE;
  return LRI_REASON_MALFORMED_JSON;
}

static_assert(core::kDeliveryKeyVersion == LRI_DELIVERY_KEY_VERSION);

constexpr absl::string_view kOtherContent[] = {
    "this delivery key is known with another content, so nothing was created; the id is that of "
    "the first incident"};

absl::Status TooMuchInFlight() {
  return absl::UnavailableError("Too many large bodies are in flight. Try again later.");
}

const lri_created_incident& At(const lri_create_result& result, size_t index) {
  return *reinterpret_cast<const lri_created_incident*>(
      reinterpret_cast<const char*>(result.incidents) + index * result.stride);
}

}  // namespace

void Call::Run(base::ObjectPool<Call>::Lease lease, CallContext context,
               const lri_request& request) noexcept {
  Call* const call = lease.object;
  call->lease_ = lease;
  call->handle_ = request.call;
  call->head_ = request.head;
  call->body_bytes_ = request.body.size;
  call->begun_ns_ = context.door == LRI_DOOR_EXECUTE && context.trial == nullptr &&
                            context.plugin->host().wants_answered(LRI_DOOR_EXECUTE)
                        ? base::MonotonicNanoseconds()
                        : 0;
  call->context_ = std::move(context);
  try {
    call->Process(request);
  } catch (const std::exception&) {
    // Memory ran out, and the host does not have the batch: Process throws only before that.
    call->FinishWithText(500, LRI_REASON_MEMORY, "The server ran out of memory.");
  }
}

void Call::Process(const lri_request& request) {
  const Configuration& configuration = *context_.configuration;
  const Limits& limits = context_.plugin->limits();
  HeaderViews headers = ToHeaderViews(request.head->headers);
  HeadRefusal refusal = HeadRefusal::kNone;
  if (configuration.source != nullptr) {
    judge_ = context_.plugin->TakeJudge();
    if (judge_.object == nullptr) {
      return FinishWithText(503, LRI_REASON_OVERLOAD, "Too many requests are in flight.", 1);
    }
  }
  // A head of the listen port cannot change, so its configuration is its ticket.
  const bool checked = context_.door == LRI_DOOR_LISTEN
                           ? request.head_ticket == configuration.ticket
                           : context_.plugin->tickets().Redeem(
                                 request.head_ticket, configuration.ticket, *request.head, headers);
  if (!checked) {
    refusal = CheckHead(*request.head, headers, configuration, limits, ToChecking());
  }
  if (refusal == HeadRefusal::kNone &&
      request.body.size > static_cast<uint64_t>(BodyLimit(configuration, limits))) {
    refusal = HeadRefusal::kBodyTooLarge;
  }
  const auto finish = [this](const lri_answer& answer) { Finish(answer); };
  if (refusal == HeadRefusal::kNone && configuration.concurrent_requests != 0 &&
      context_.trial == nullptr) {
    is_counted_ = context_.admission->BeginCall(configuration.concurrent_requests);
    if (!is_counted_) refusal = HeadRefusal::kTooManyCalls;
  }
  if (refusal != HeadRefusal::kNone) {
    return AnswerRefusal(refusal, *request.head, configuration, ToChecking(), finish);
  }
  // The listen port sets the deadline itself. The coarse clock is some milliseconds behind.
  constexpr int64_t kMsNs = 1'000'000;
  if (context_.door == LRI_DOOR_EXECUTE && request.head->deadline_mono_ns != 0 &&
      base::CoarseMonotonicMilliseconds() > request.head->deadline_mono_ns / kMsNs) {
    return FinishWithText(504, LRI_REASON_ANSWER_TIMEOUT, "No incident was created in time.");
  }
  if (configuration.source != nullptr) {
    if (!ParseBySource(request, headers)) return;
    return CreateIncidents(request.head->deadline_mono_ns);
  }
  HideSecretsOfQuery(headers);
  absl::string_view body = FromView(request.body);
  core::DecodeStep step;
  if (absl::Status status = Decode(headers, body, step); !status.ok()) {
    return FinishWithText(StatusOfBodyError(status), ReasonOfDecodeError(status, step),
                          status.message(), absl::IsUnavailable(status));
  }
  const size_t index_bytes = base::JsonReader::LargeIndexBytes(body);
  const auto parse = [&](core::IncidentParser& parser, const core::Defaults& defaults) {
    if (index_bytes != 0 && !Reserve(index_bytes)) return TooMuchInFlight();
    absl::Status status = parser.Parse(body, headers, defaults, parsed_);
    if (index_bytes != 0) {  // the parser has freed it
      reserved_bytes_ -= static_cast<int64_t>(index_bytes);
      context_.plugin->ReleaseMemory(static_cast<int64_t>(index_bytes));
    }
    return status;
  };
  if (absl::Status status = Parse(parse); !status.ok()) {
    return FinishWithText(StatusOfBodyError(status), ReasonOfBodyError(status), status.message(),
                          absl::IsUnavailable(status));
  }
  if (parsed_.incidents().empty()) return Finish(Answer(200, kApplicationJson, "[]").abi());
  CreateIncidents(request.head->deadline_mono_ns);
}

void Call::EachSecretOfQuery(absl::FunctionRef<void(absl::string_view)> found) const {
  const Configuration& configuration = *context_.configuration;
  const absl::string_view query = FromView(head_->query);
  if (const auto secret = configuration.credentials.SecretIn(query); !secret.empty()) found(secret);
  if (configuration.source != nullptr) configuration.source->EachSecretIn(query, found);
}

// A proxy may repeat the URL in a header, which is stored.
void Call::HideSecretsOfQuery(HeaderViews& headers) const {
  EachSecretOfQuery([&headers](absl::string_view secret) {
    const auto end =
        std::remove_if(headers.begin(), headers.end(), [secret](const core::HeaderView& header) {
          return absl::StrContains(header.value, secret);
        });
    headers.erase(end, headers.end());
  });
}

Checking Call::ToChecking() const {
  const bool is_trial = context_.trial != nullptr;
  return {host_, context_.host_instance, is_trial ? nullptr : context_.admission, judge_.object,
          is_trial ? context_.trial->at() : absl::Time()};
}

bool Call::ParseBySource(const lri_request& request, HeaderViews& headers) {
  const Configuration& configuration = *context_.configuration;
  sources::Result& result = judge_.object->result;
  const auto decode = [&](size_t most_bytes) -> absl::StatusOr<absl::string_view> {
    absl::string_view body = FromView(request.body);
    core::DecodeStep step;
    if (absl::Status status = Decode(headers, body, step, most_bytes); !status.ok()) return status;
    const size_t index_bytes = base::JsonReader::LargeIndexBytes(body);
    if (index_bytes != 0 && !Reserve(index_bytes)) return TooMuchInFlight();
    return body;
  };
  sources::Request source_request = ToSourceRequest(*request.head, headers, ToChecking().Now());
  source_request.is_trial = context_.trial != nullptr;
  judge_.object->evaluator.Evaluate(*configuration.source, source_request,
                                    {FromView(request.body), decode}, result);
  const auto finish = [this](const lri_answer& answer) { Finish(answer); };
  if (context_.trial == nullptr) {
    if (!result.show.empty()) configuration.source_record->set_confirmation(result.show);
    configuration.source_record->CountRules(result.rule_counts);
  }
  if (result.outcome != sources::Outcome::kAccept) {
    if (result.outcome == sources::Outcome::kHandshake) {
      AnswerBySource(result, configuration, finish);
    } else {
      const Checking checking = ToChecking();
      AnswerRefusal(IsSlowedDown(*request.head, result, checking) ? HeadRefusal::kSlowDown
                                                                  : HeadRefusal::kBySource,
                    *request.head, configuration, checking, finish);
    }
    return false;
  }
  ToChecking().ForgetWrong(*request.head);
  HideSecretsOfQuery(headers);
  const auto parse = [&](core::IncidentParser& parser, const core::Defaults& defaults) {
    return judge_.object->evaluator.Parse(result, parser, headers, defaults, parsed_);
  };
  if (absl::Status status = Parse(parse); !status.ok()) {
    FinishWithText(StatusOfBodyError(status), ReasonOfBodyError(status), status.message(),
                   absl::IsUnavailable(status));
    return false;
  }
  if (parsed_.incidents().empty()) {
    AnswerAccepted("[]", "", LRI_REASON_DROPPED, "no event of it becomes an incident");
    return false;
  }
  AddSourceKeys();
  return true;
}

// As the ABI's header describes them.
void Call::AddSourceKeys() {
  const sources::Result& result = judge_.object->result;
  const absl::string_view profile = context_.configuration->source->profile().name;
  const auto limit = static_cast<size_t>(context_.plugin->limits().delivery_key_bytes);
  source_keys_.clear();
  source_keys_.push_back(core::SourceKey('r', profile, result.delivery, limit));
  source_keys_.push_back(result.replay.has_value()
                             ? core::ReplayKey(profile, {result.replay->data(), 32})
                             : std::string());
  if (result.documented) return;
  size_t next = 0;
  const std::span<core::ParsedIncident> incidents = parsed_.mutable_incidents();
  // The texts must not move while they are viewed.
  source_keys_.reserve(source_keys_.size() + 2 * incidents.size());
  for (const sources::Event& event : result.events) {
    if (event.dropped) continue;
    core::ParsedIncident& incident = incidents[next++];
    if (event.severity.has_value()) incident.severity = *event.severity;
    if (event.delivery.empty() || !incident.delivery_key.empty()) continue;
    incident.delivery_key =
        source_keys_.emplace_back(core::SourceKey('i', profile, event.delivery, limit));
    const auto hash = core::Sha256(event.element);
    incident.content = source_keys_.emplace_back(hash.data(), hash.size());
  }
}

// What the source's profile answers to what was accepted; `documented` is the answer otherwise.
void Call::AnswerAccepted(absl::string_view documented, absl::string_view first_id,
                          lri_reason reason, absl::string_view detail) {
  const sources::Result& result = judge_.object->result;
  if (context_.trial == nullptr) {
    const auto is_dropped = [](const sources::Event& event) { return event.dropped; };
    context_.configuration->source_record->CountDropped(
        std::count_if(result.events.begin(), result.events.end(), is_dropped));
  }
  const std::string own = result.answers_incidents ? "" : result.answer.BodyWith(first_id);
  Answer answer(result.answer.status, result.answers_incidents ? documented : own);
  if (result.answers_incidents) answer.Add("Content-Type", kApplicationJson);
  for (const auto& [name, value] : result.answer.headers) answer.Add(name, value);
  Finish(answer.Because(reason, detail).abi());
}

absl::Status Call::Decode(const HeaderViews& headers, absl::string_view& body,
                          core::DecodeStep& step, size_t most_bytes) {
  if (!core::IsEncoded(body, headers)) return absl::OkStatus();
  Limits limits = context_.plugin->limits();
  if (most_bytes < static_cast<size_t>(limits.expanded_body_bytes)) {
    limits.expanded_body_bytes = static_cast<int64_t>(most_bytes);
  }
  auto decoded = core::DecodeBody(body, headers, limits, &step);
  if (!decoded.ok()) return decoded.status();
  if (!Reserve(decoded->text().size())) return TooMuchInFlight();
  decoded_ = *std::move(decoded);
  body = decoded_.text();
  return absl::OkStatus();
}

absl::Status Call::Parse(ParseFunction parse) {
  const Configuration& configuration = *context_.configuration;
  const core::Defaults defaults{
      .incident_type = configuration.incident_type,
      .trigger_time = host_.Now(),
      .secret_header = configuration.credentials.secret_header(),
      .mirror_members = configuration.mirror_members,
      .duplication_key = &configuration.duplication_key,
      .kept_headers = &configuration.kept_headers,
      .secret_headers = configuration.source == nullptr ? std::span<const std::string>()
                                                        : configuration.source->secret_headers(),
  };
  auto& parsers = context_.plugin->parsers();
  const auto lease = parsers.Take([&] { return core::IncidentParser(context_.plugin->limits()); });
  const absl::Cleanup give_back = [&] { parsers.GiveBack(lease.index); };
  const absl::Status status = parse(*lease.object, defaults);
  const size_t large_bytes = parsed_.large_bytes();
  return large_bytes == 0 || Reserve(large_bytes) ? status : TooMuchInFlight();
}

bool Call::Reserve(size_t bytes) {
  if (!context_.plugin->ReserveMemory(static_cast<int64_t>(bytes))) return false;
  reserved_bytes_ += static_cast<int64_t>(bytes);
  return true;
}

void Call::FillBatch() {
  size_t view_count = 0;
  for (const core::ParsedIncident& incident : parsed_.incidents()) {
    view_count += incident.details.size() + incident.warnings.size();
  }
  views_.resize(view_count);
  lri_view* next_view = views_.data();
  const auto add = [&next_view](std::span<const absl::string_view> texts) {
    const lri_views views{next_view, texts.size(), sizeof(lri_view)};
    for (const absl::string_view text : texts) *next_view++ = ToView(text);
    return views;
  };
  incidents_.clear();
  incidents_.reserve(parsed_.incidents().size());
  for (const core::ParsedIncident& incident : parsed_.incidents()) {
    incidents_.push_back({.name = ToView(incident.name),
                          .type = ToView(incident.type),
                          .occurred = ToView(incident.occurred),
                          .details = add(incident.details),
                          .warnings = add(incident.warnings),
                          .delivery_key = ToView(incident.delivery_key),
                          .content = ToView(incident.content),
                          .severity = incident.severity});
  }
}

void Call::AddRequest() {
  std::vector<absl::string_view> secrets;
  EachSecretOfQuery([&](absl::string_view secret) { secrets.push_back(secret); });
  request_query_ = core::MaskedQuery(FromView(head_->query), secrets, LRI_STORED_REQUEST_BYTES);
  batch_.request_address =
      ToView(FromView(head_->peer_address).substr(0, LRI_STORED_REQUEST_BYTES));
  batch_.request_query = ToView(request_query_);
}

void Call::CreateIncidents(int64_t deadline_mono_ns) {
  FillBatch();
  batch_ = {};
  batch_.struct_size = sizeof batch_;
  batch_.incidents = {incidents_.data(), incidents_.size(), sizeof(lri_incident)};
  batch_.delivery_key_ttl_s = absl::ToInt64Seconds(context_.configuration->delivery_key_ttl);
  batch_.deadline_mono_ns = deadline_mono_ns;
  batch_.done = &Call::Done;
  if (context_.door == LRI_DOOR_EXECUTE) batch_.call = handle_;
  if (context_.trial != nullptr) batch_.dry_run = 1;
  if (judge_.object != nullptr) {
    batch_.delivery_key = ToView(source_keys_[0]);
    batch_.replay_key = ToView(source_keys_[1]);
  }
  batch_.request_id = head_->request_id;
  batch_.peer_address = head_->peer_address;
  if (context_.configuration->store_request) AddRequest();
  void* const done_context = batch_.done_context = done_.Arm(this);
  // Done may come before the return, and end `this`: from here on only the stack is used.
  const int32_t code = host_.CreateIncidents(context_.host_instance, batch_);
  // A done before the refusal counts; one after it is ignored.
  if (code == LRI_OK || DoneSlot::Take(done_context) == nullptr) return;
  AnswerNotCreated(LRI_NOT_CREATED, code, 1, "the host takes no batches now");
}

void Call::Done(void* done_context, const lri_create_result* result) noexcept {
  Call* const self = static_cast<Call*>(DoneSlot::Take(done_context));
  // A second done, or one for a batch that was refused: there is no call to answer.
  if (self == nullptr) return;
  try {
    self->TakeResult(result);
  } catch (const std::exception&) {
    // Memory ran out before the answer; the host may have created the incidents.
    self->AnswerNotKnown(1, "the plugin ran out of memory");
  }
}

void Call::TakeResult(const lri_create_result* result) {
  if (!Readable(result)) {
    AnswerNotCreated(LRI_NOT_KNOWN, LRI_INTERNAL, 1, "the host's result cannot be read");
  } else if (result->outcome == LRI_CREATED && result->count == incidents_.size()) {
    AnswerCreated(*result);
  } else if (result->outcome == LRI_CREATED) {
    AnswerNotCreated(LRI_NOT_KNOWN, LRI_INTERNAL, 1,
                     absl::StrCat("the host's result names ",
                                  base::Counted(result->count, "incident", "incidents"), " of ",
                                  incidents_.size()));
  } else {
    AnswerNotCreated(result->outcome, result->code, result->retry_after_s,
                     FromView(result->message));
  }
}

void Call::AnswerCreated(const lri_create_result& result) {
  answer_.Clear();
  core::AnswerWriter writer(&answer_, kSourceBrand, context_.configuration->name);
  size_t duplicates = 0;
  const bool host_has_severity =
      result.stride >= offsetof(lri_created_incident, severity) + sizeof(double);
  for (size_t i = 0; i < result.count; ++i) {
    const lri_created_incident& created = At(result, i);
    const core::ParsedIncident& parsed = parsed_.incidents()[i];
    const bool duplicate = created.duplicate != 0;
    duplicates += duplicate;
    if (duplicate && context_.trial != nullptr) context_.trial->NoteDuplicate(FromView(created.id));
    const bool only_id = duplicate && created.other_content != 0;
    writer.Add({.id = FromView(created.id),
                .name = duplicate ? FromView(created.name) : parsed.name,
                .type = duplicate ? FromView(created.type) : parsed.type,
                .occurred = duplicate ? FromView(created.occurred) : parsed.occurred,
                .created = FromView(created.created),
                .duplicate = duplicate,
                .warnings = only_id ? kOtherContent : parsed.warnings,
                .only_id = only_id,
                .severity = !duplicate          ? parsed.severity
                            : host_has_severity ? created.severity
                                                : 0});
  }
  writer.Finish();
  if (context_.samples != nullptr) RecordSamples(result);
  const bool all_known = duplicates == result.count;
  const lri_reason reason = all_known ? LRI_REASON_DUPLICATE : LRI_REASON_ANSWERED;
  const absl::string_view detail = all_known ? "every incident was created before" : "";
  if (judge_.object != nullptr) {
    return AnswerAccepted(answer_.text(), FromView(At(result, 0).id), reason, detail);
  }
  Answer answer(200, kApplicationJson, answer_.text());
  Finish(answer.Because(reason, detail).abi());
}

// The last incidents that are no duplicates, oldest first.
void Call::RecordSamples(const lri_create_result& result) {
  const Limits& limits = context_.plugin->limits();
  samples_.clear();
  for (size_t i = result.count; i-- > 0;) {
    if (samples_.size() == static_cast<size_t>(limits.samples)) break;
    if (At(result, i).duplicate != 0) continue;
    const core::ParsedIncident& incident = parsed_.incidents()[i];
    samples_.push_back(core::MakeSample(incident.name, incident.type, incident.occurred,
                                        incident.details,
                                        static_cast<size_t>(limits.sample_bytes)));
  }
  std::reverse(samples_.begin(), samples_.end());
  context_.samples->Record(samples_);
  samples_.clear();
}

// The sender is told what to do; the reason goes to the log.
void Call::AnswerNotCreated(int32_t outcome, int32_t code, uint32_t retry_after_s,
                            absl::string_view message) {
  const std::string code_name = absl::StatusCodeToString(static_cast<absl::StatusCode>(code));
  if (message.empty()) message = code_name;
  if (message.empty()) message = "the host gives no reason";
  const bool is_known = outcome != LRI_NOT_KNOWN;
  const Host& host = context_.plugin->host();
  const auto left_out =
      context_.trial == nullptr ? context_.plugin->warnings().Admit(host.Now()) : std::nullopt;
  if (left_out.has_value()) {
    host.Log(context_.host_instance, LRI_WARNING,
             absl::StrCat(is_known ? "incidents were not created: "
                                   : "it is not known whether incidents were created: ",
                          message, base::LeftOut(*left_out)));
  }
  const uint32_t seconds = std::max(retry_after_s, 1u);
  if (!is_known) return AnswerNotKnown(seconds, message);
  if (code == LRI_DEADLINE_EXCEEDED) {
    return FinishWithText(504, LRI_REASON_ANSWER_TIMEOUT, "No incident was created in time.",
                          retry_after_s, message);
  }
  if (code == LRI_UNAVAILABLE || code == LRI_RESOURCE_EXHAUSTED) {
    return FinishWithText(
        503, code == LRI_UNAVAILABLE ? LRI_REASON_STORE_UNAVAILABLE : LRI_REASON_STORE_FULL,
        "No incident was created. Try again later.", seconds, message);
  }
  FinishWithText(500, LRI_REASON_OTHER, "No incident was created, by a fault of the server.",
                 retry_after_s, message);
}

void Call::Finish(const lri_answer& answer) noexcept {
  Plugin* const plugin = context_.plugin;
  base::Gate* const gate = context_.gate;
  if (begun_ns_ != 0) {
    ReportToHost(host_, context_.host_instance, *head_, body_bytes_, answer,
                 base::MonotonicNanoseconds() - begun_ns_);
  }
  if (std::exchange(is_counted_, false)) context_.admission->EndCall();
  if (context_.trial != nullptr) {
    context_.trial->Tell(answer, *context_.configuration,
                         judge_.object == nullptr ? nullptr : &judge_.object->result,
                         parsed_.incidents());
    context_.trial = nullptr;
  } else {
    context_.complete(plugin->host(), handle_, answer);
  }
  plugin->GiveBack(judge_);
  decoded_ = {};
  parsed_.Clear();
  plugin->ReleaseMemory(std::exchange(reserved_bytes_, 0));
  const size_t kept_bytes = lease_.index < kFewCalls ? kKeptBytesOfFew : kKeptBytes;
  answer_.ReleaseAbove(kept_bytes);
  ReleaseAbove(kept_bytes, views_);
  ReleaseAbove(kept_bytes, incidents_);
  context_.configuration = nullptr;
  plugin->calls().GiveBack(lease_.index);
  gate->Leave();
}

void Call::AnswerNotKnown(uint32_t retry_after_s, absl::string_view detail) {
  FinishWithText(503, LRI_REASON_NOT_KNOWN, "It is not known whether the incidents were created.",
                 retry_after_s, detail);
}

void Call::FinishWithText(int32_t status, lri_reason reason, absl::string_view text,
                          uint32_t retry_after_s, absl::string_view detail) noexcept {
  const absl::AlphaNum seconds(retry_after_s);
  Answer answer(status, kTextPlain, text);
  if (status == 415) answer.Add("Accept-Encoding", core::kAcceptEncoding);
  if (retry_after_s > 0) answer.Add("Retry-After", seconds.Piece());
  answer.Because(reason, detail.empty() ? text : detail);
  Finish(answer.abi());
}

}  // namespace webhook::runtime
