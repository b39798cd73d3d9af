#include "plugin/runtime/trial.h"

#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "plugin/base/characters.h"
#include "plugin/base/clock.h"
#include "plugin/base/json_reader.h"
#include "plugin/base/json_text.h"
#include "plugin/runtime/host.h"

namespace webhook::runtime {
namespace {

using base::JsonArray;
using base::JsonObject;
using base::JsonString;

constexpr int kArgumentsDepth = 4;
constexpr absl::Duration kTime = absl::Seconds(1);  // that the host has for looking up keys

absl::Status Wrong(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("try: ", what));
}

// Where a request was refused, or answered without incidents.
absl::string_view StepOf(int32_t reason) {
  switch (reason) {
    case LRI_REASON_ANSWERED:
    case LRI_REASON_DUPLICATE:
    case LRI_REASON_HANDSHAKE:
      return "";
    case LRI_REASON_METHOD:
      return "method";
    case LRI_REASON_UNKNOWN_PATH:
      return "path";
    case LRI_REASON_ADDRESS:
      return "address";
    case LRI_REASON_CREDENTIALS:
      return "credentials";
    case LRI_REASON_SIGNATURE:
      return "signature";
    case LRI_REASON_BAD_REQUEST:
    case LRI_REASON_HEADER_TOO_LARGE:
      return "headers";
    case LRI_REASON_DROPPED:
      return "rules";
    case LRI_REASON_STORE_FULL:
    case LRI_REASON_STORE_UNAVAILABLE:
    case LRI_REASON_NOT_KNOWN:
    case LRI_REASON_ANSWER_TIMEOUT:
      return "incidents";
    default:
      return "body";
  }
}

// Of how the sender was recognised: the kind of credentials, and the secret by its number.
std::string CredentialsText(const Configuration& configuration, const sources::Result* judged) {
  std::string text;
  if (configuration.credentials.required()) {
    const absl::string_view header = configuration.credentials.secret_header();
    text = header == "authorization" ? "the user and password are right"
                                     : absl::StrCat("the token in ", header, " is right");
  }
  if (judged != nullptr && judged->entry >= 0 && judged->kind != sources::Kind::kBasic) {
    absl::StrAppend(&text, text.empty() ? "" : "; ", sources::NameOf(judged->kind),
                    ", authenticate[", judged->entry, "] of the profile");
    if (judged->secret > 0) absl::StrAppend(&text, ", with secret ", judged->secret);
  }
  return text.empty() ? "none are asked for" : text;
}

std::string HeadersJson(const lri_pairs& headers) {
  std::vector<std::string> list;
  for (size_t i = 0; i < headers.count; ++i) {
    const lri_pair& pair = At(headers, i);
    list.push_back(JsonObject(
        {{"name", JsonString(FromView(pair.name))}, {"value", JsonString(FromView(pair.value))}}));
  }
  return JsonArray(list);
}

std::string IncidentJson(const core::ParsedIncident& incident, absl::string_view delivery) {
  std::string details;
  for (const absl::string_view slice : incident.details) absl::StrAppend(&details, slice);
  std::vector<std::string> warnings;
  for (const absl::string_view warning : incident.warnings) warnings.push_back(JsonString(warning));
  return JsonObject({{"name", JsonString(incident.name)},
                     {"type", JsonString(incident.type)},
                     {"occurred", JsonString(incident.occurred)},
                     {"severity", absl::StrCat(incident.severity)},
                     {"delivery", JsonString(delivery)},
                     {"warnings", JsonArray(warnings)},
                     {"details", std::move(details)}});
}

}  // namespace

absl::StatusOr<std::unique_ptr<Trial>> Trial::Read(absl::string_view arguments,
                                                   const Limits& limits, absl::Time now,
                                                   lri_command_done done, void* done_context) {
  std::unique_ptr<Trial> trial(new Trial());
  trial->method_ = "POST";
  trial->at_ = now;
  trial->done_ = done;
  trial->done_context_ = done_context;
  base::JsonReader reader(kArgumentsDepth);
  if (!arguments.empty() && !reader.OpenCopy(arguments)) return Wrong(reader.fault().what);
  absl::Status status;
  base::JsonValue value;
  const auto read_text = [&](std::string& text) {
    if (!reader.ReadValue(value)) return false;
    if (value.kind == base::JsonKind::kString) text = base::TextOfString(value);
    return value.kind == base::JsonKind::kString;
  };
  const auto read_member = [&](const base::JsonValue& key) {
    const absl::string_view name = key.inside();
    std::string text;
    if (name == "headers") {
      return reader.EachItem([&] {
        auto& [header, content] = trial->headers_.emplace_back();
        return reader.EachMember([&](const base::JsonValue& part) {
          return read_text(part.inside() == "name" ? header : content);
        });
      });
    }
    if (!read_text(text)) return false;
    if (name == "method") {
      if (!text.empty()) trial->method_ = text;
    } else if (name == "path") {
      trial->path_ = text;
    } else if (name == "query") {
      trial->query_ = text;
    } else if (name == "peer_address") {
      trial->peer_ = text;
    } else if (name == "at") {
      if (!text.empty() && !absl::ParseTime(absl::RFC3339_full, text, &trial->at_, nullptr)) {
        status = Wrong("at must be a time as in 2024-05-01T10:00:00Z");
      }
    } else if (name == "body") {
      if (!absl::Base64Unescape(text, &trial->body_)) status = Wrong("body must be base64");
    } else {
      status = Wrong(absl::StrCat("unknown member ", base::JsonString(name)));
    }
    return status.ok();
  };
  if (!arguments.empty() && (!reader.EachMember(read_member) || !reader.Finish())) {
    return status.ok() ? Wrong("the arguments are malformed") : status;
  }
  if (trial->body_.size() > 4 * static_cast<size_t>(limits.body_bytes)) {
    return Wrong("the body is longer than four times body_bytes");
  }
  const size_t body_bytes = trial->body_.size();
  trial->body_.append(LRI_BODY_PADDING, '\0');
  for (const auto& [name, content] : trial->headers_) {
    trial->pairs_.push_back({ToView(name), ToView(base::WithoutBlanks(content))});
  }
  lri_request_head& head = trial->head_;
  head.struct_size = sizeof head;
  head.method = ToView(trial->method_);
  head.path = head.remainder = ToView(trial->path_);
  head.query = ToView(trial->query_);
  head.headers = {trial->pairs_.data(), trial->pairs_.size(), sizeof(lri_pair)};
  head.peer_address = ToView(trial->peer_);
  head.request_id = ToView("try");
  head.content_length = body_bytes;
  head.deadline_mono_ns = base::MonotonicNanoseconds() + absl::ToInt64Nanoseconds(kTime);
  trial->request_ = {.struct_size = sizeof(lri_request),
                     .reserved = 0,
                     .call = nullptr,
                     .head = &head,
                     .body = {trial->body_.data(), body_bytes},
                     .head_ticket = 0};
  return trial;
}

void Trial::Tell(const lri_answer& answer, const Configuration& configuration,
                 const sources::Result* judged, std::span<const core::ParsedIncident> incidents) {
  const absl::string_view step = StepOf(answer.reason);
  // Not by the status: some senders must be told 202 where they are refused.
  const bool succeeded = step.empty() || answer.reason == LRI_REASON_DROPPED;
  std::vector<std::string> steps;
  const auto add_step = [&steps](absl::string_view name, absl::string_view what) {
    steps.push_back(JsonObject({{"step", JsonString(name)}, {"what", JsonString(what)}}));
  };
  const bool known = succeeded || step == "body" || step == "incidents" || step == "rules";
  if (step != "method" && step != "path") add_step("method", absl::StrCat(method_, " is taken"));
  if (known) {
    add_step("credentials", CredentialsText(configuration, judged));
    add_step("body", absl::StrCat(request_.body.size, " bytes"));
  }
  if (judged != nullptr && known) {
    for (size_t rule = 0; rule < judged->rule_counts.size(); ++rule) {
      if (judged->rule_counts[rule] == 0) continue;
      add_step("rules", absl::StrCat("rules[", rule, "] decides on ", judged->rule_counts[rule],
                                     " of ", judged->events.size(), " events"));
    }
  }
  if (!step.empty()) add_step(step, FromView(answer.detail));
  std::vector<std::string> list;
  size_t event = 0;
  for (const core::ParsedIncident& incident : incidents) {
    absl::string_view delivery;
    if (judged != nullptr && !judged->documented) {
      while (judged->events[event].dropped) ++event;
      delivery = judged->events[event++].delivery;
    }
    list.push_back(IncidentJson(incident, delivery));
  }
  using sources::Outcome;
  const bool is_handshake = answer.reason == LRI_REASON_HANDSHAKE;
  const Outcome outcome = is_handshake ? Outcome::kHandshake
                          : succeeded  ? Outcome::kAccept
                                       : Outcome::kRefuse;
  const absl::string_view reason =
      is_handshake || answer.detail.size != 0 ? FromView(answer.detail) : "it creates incidents";
  const std::string text =
      JsonObject({{"outcome", JsonString(sources::NameOf(outcome))},
                  {"step", JsonString(is_handshake ? "handshake" : step)},
                  {"reason", JsonString(reason)},
                  {"status", absl::StrCat(answer.status)},
                  {"headers", HeadersJson(answer.headers)},
                  {"body", JsonString(FromView(answer.body))},
                  {"delivery", JsonString(judged == nullptr ? "" : judged->delivery)},
                  {"duplicate_of", JsonString(duplicate_of_)},
                  {"steps", JsonArray(steps)},
                  {"incidents", JsonArray(list)}});
  CallHost("done of command", done_, done_context_, int32_t{LRI_OK}, ToView(text));
}

}  // namespace webhook::runtime
