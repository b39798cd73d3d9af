#include "plugin/runtime/head_check.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>

#include "absl/algorithm/container.h"
#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "plugin/base/characters.h"
#include "plugin/base/octets.h"
#include "plugin/core/credentials.h"
#include "plugin/core/decode.h"
#include "plugin/core/stored_headers.h"
#include "plugin/http/byte_budget.h"
#include "plugin/runtime/host.h"

namespace webhook::runtime {
namespace {

// In the order of HeadRefusal.
constexpr struct {
  int32_t status;
  lri_reason reason;
  absl::string_view text;
} kAnswers[] = {
    {},
    {403, LRI_REASON_ADDRESS, "Your address may not send here."},
    {404, LRI_REASON_UNKNOWN_PATH, "Not found."},
    {405, LRI_REASON_METHOD, "Only POST creates incidents."},
    {431, LRI_REASON_HEADER_TOO_LARGE,
     "The headers are longer than the limit header_section_bytes."},
    {400, LRI_REASON_BAD_REQUEST,
     "A header's name may hold letters, digits and !#$%&'*+-.^_`|~ alone."},
    {400, LRI_REASON_BAD_REQUEST,
     "A header's value may hold no line breaks and control characters, and one that is interpreted "
     "ASCII characters alone. Encode other characters."},
    {401, LRI_REASON_CREDENTIALS, core::kAuthorizationFailed},
    {401, LRI_REASON_CREDENTIALS, core::kAuthorizationFailed},
    {503, LRI_REASON_SLOWDOWN, "Authorization failed too often. Try again later."},
    {413, LRI_REASON_BODY_TOO_LARGE, "The body is longer than the limit body_bytes."},
    {503, LRI_REASON_RATE, "The instance takes no more requests a second. Try again later."},
    {503, LRI_REASON_RATE, "The instance takes no more requests at once. Try again later."},
    {},
};

constexpr absl::string_view kWrongUser = "its username or password is wrong, or has expired";

constexpr base::CharacterSet kValueCharacters =
    base::CharacterSet::Of([](int c) { return (c >= 0x20 && c < 0x7F) || c == '\t'; });

bool IsValue(absl::string_view value) {
  using Octets = base::EightOctets;
  if (value.size() >= Octets::kCount) {
    const char* const last = value.data() + value.size() - Octets::kCount;
    auto not_printable = Octets(last).NotPrintable();
    for (const char* at = value.data(); at < last; at += Octets::kCount) {
      not_printable |= Octets(at).NotPrintable();
    }
    if (not_printable == 0) return true;
  }
  return kValueCharacters.HasAll(value);
}

// Whether the host, the plugin, or a proxy on the way gives the field a meaning: two of them must
// not read different values.
bool IsInterpreted(absl::string_view name, const Configuration& configuration) {
  static constexpr absl::string_view kNames[] = {
      "connection", "expect",    "forwarded",         "host",   "te",
      "trailer",    "x-real-ip", "transfer-encoding", "upgrade"};
  static constexpr absl::string_view kParts[] = {"signature", "timestamp", "delivery"};
  const std::string lower = absl::AsciiStrToLower(name);
  return absl::c_linear_search(kNames, lower) || absl::StartsWith(lower, "content-") ||
         absl::StartsWith(lower, "x-forwarded-") || core::IsWithheldHeader(lower) ||
         absl::c_any_of(kParts, [&](auto part) { return absl::StrContains(lower, part); }) ||
         lower == configuration.credentials.secret_header() ||
         absl::c_linear_search(configuration.delivery_headers, lower);
}

// Whose address is not known, or doubtful, may not send.
bool IsAllowed(const lri_request_head& head, std::span<const http::Network> allow) {
  if ((head.peer_flags & LRI_PEER_DOUBTFUL) != 0) return false;
  const auto address = http::Address::Parse(FromView(head.peer_address));
  return address.ok() && http::IsIn(*address, allow);
}

HeadRefusal CheckHeaders(std::span<const core::HeaderView> headers,
                         const Configuration& configuration, const Limits& limits) {
  constexpr size_t kColonBlankAndLineEnd = 4;
  size_t bytes = 0;
  for (const core::HeaderView& header : headers) {
    bytes += header.name.size() + header.value.size() + kColonBlankAndLineEnd;
  }
  if (bytes > static_cast<uint64_t>(limits.header_section_bytes)) {
    return HeadRefusal::kHeadersTooLong;
  }
  for (const core::HeaderView& header : headers) {
    if (!base::IsToken(header.name)) return HeadRefusal::kHeaderName;
    if (IsValue(header.value)) continue;
    if (!base::IsFieldValue(header.value) || IsInterpreted(header.name, configuration)) {
      return HeadRefusal::kHeaderValue;
    }
  }
  return HeadRefusal::kNone;
}

// A line for the log, at most one a second.
void LogRefusal(base::LineLimiter& limiter, absl::string_view why, const lri_request_head& head,
                const Checking& checking) {
  if (checking.host.logs_refusals()) return;
  const auto left_out = limiter.Admit(checking.host.Now());
  if (!left_out.has_value()) return;
  const absl::string_view peer = FromView(head.peer_address);
  checking.host.Log(checking.host_instance, LRI_WARNING,
                    absl::StrCat("a request", peer.empty() ? "" : " from ", peer,
                                 " was refused: ", why, base::LeftOut(*left_out)));
}

template <typename Word>
Word Load(const char* at) {
  Word octets;
  std::memcpy(&octets, at, sizeof octets);
  return octets;
}

// Mixes the text in, eight octets at a time.
uint64_t Mix(uint64_t sum, absl::string_view text) {
  constexpr uint64_t kOdd = 0x9E37'79B9'7F4A'7C15;
  const auto add = [&sum](uint64_t octets) { sum = std::rotl(sum ^ octets, 23) * kOdd; };
  sum += text.size();
  if (text.size() < 8) {
    // Less than a word: by two halves that overlap, or octet by octet.
    if (text.size() >= 4) {
      add(uint64_t{Load<uint32_t>(text.data())} << 32 |
          Load<uint32_t>(text.data() + text.size() - 4));
    } else {
      for (const char c : text) add(static_cast<unsigned char>(c));
    }
    return sum;
  }
  const char* const last = text.data() + text.size() - 8;
  for (const char* at = text.data(); at < last; at += 8) add(Load<uint64_t>(at));
  add(Load<uint64_t>(last));
  return sum;
}

// Tells one head from another, also from itself with other bytes, if a host makes a mistake. No
// defence is needed against a host that looks for a second head with the same sum.
uint64_t SumOf(uint64_t configuration, const lri_request_head& head,
               std::span<const core::HeaderView> headers) {
  uint64_t sum = Mix(configuration + headers.size() + head.peer_flags, FromView(head.method));
  sum = Mix(Mix(sum, FromView(head.remainder)), FromView(head.query));
  sum = Mix(sum, FromView(head.peer_address));
  for (const core::HeaderView& header : headers) sum = Mix(Mix(sum, header.name), header.value);
  return sum;
}

lri_reason ReasonOf(const sources::Result& result) {
  switch (result.reason) {
    case sources::Reason::kNone:
      return result.outcome == sources::Outcome::kHandshake ? LRI_REASON_HANDSHAKE
                                                            : LRI_REASON_ANSWERED;
    case sources::Reason::kMethod:
      return LRI_REASON_METHOD;
    case sources::Reason::kCredentials:
      return result.step == sources::Step::kSignature ? LRI_REASON_SIGNATURE
                                                      : LRI_REASON_CREDENTIALS;
    case sources::Reason::kContentType:
      return LRI_REASON_CONTENT_TYPE;
    case sources::Reason::kContentEncoding:
      return LRI_REASON_CONTENT_ENCODING;
    case sources::Reason::kMalformed:
      return LRI_REASON_MALFORMED_JSON;
    case sources::Reason::kBodyTooLarge:
      return LRI_REASON_BODY_TOO_LARGE;
    case sources::Reason::kTooManyIncidents:
      return LRI_REASON_TOO_MANY_INCIDENTS;
    case sources::Reason::kMemory:
      return LRI_REASON_MEMORY;
  }
  return LRI_REASON_OTHER;
}

}  // namespace

void AnswerBySource(const sources::Result& result, const Configuration& configuration,
                    AnswerSink sink) {
  const bool refused = result.outcome == sources::Outcome::kRefuse;
  // A stranger learns nothing.
  const bool of_method = result.reason == sources::Reason::kMethod;
  const absl::string_view text = !refused                  ? absl::string_view(result.answer.body)
                                 : !result.message.empty() ? absl::string_view(result.message)
                                 : of_method               ? "The method is not taken here."
                                                           : core::kAuthorizationFailed;
  Answer answer(result.answer.status, text);
  for (const auto& [name, value] : result.answer.headers) answer.Add(name, value);
  if (refused) answer.Add("Content-Type", kTextPlain);
  const int status = result.answer.status;
  if (refused && status == 401) {
    const absl::string_view challenge = configuration.credentials.challenge();
    answer.Add("WWW-Authenticate", challenge.empty() ? "Webhook realm=\"webhook\"" : challenge);
  }
  if (result.reason == sources::Reason::kContentEncoding && status == 415) {
    answer.Add("Accept-Encoding", core::kAcceptEncoding);
  }
  if (refused && status == 503) answer.Add("Retry-After", "1");
  sink(answer.Because(ReasonOf(result), result.explanation).abi());
}

uint64_t Tickets::Issue(uint64_t configuration, const lri_request_head& head,
                        std::span<const core::HeaderView> headers) {
  const uint64_t ticket = last_.fetch_add(1, std::memory_order_relaxed) + 1;
  Slot& slot = slots_[ticket % kRemembered];
  slot.ticket.store(0, std::memory_order_relaxed);
  slot.head.store(SumOf(configuration, head, headers), std::memory_order_release);
  slot.ticket.store(ticket, std::memory_order_release);
  return ticket;
}

bool Tickets::Redeem(uint64_t ticket, uint64_t configuration, const lri_request_head& head,
                     std::span<const core::HeaderView> headers) {
  Slot& slot = slots_[ticket % kRemembered];
  if (ticket == 0 || slot.ticket.load(std::memory_order_acquire) != ticket) return false;
  const uint64_t issued = slot.head.load(std::memory_order_acquire);
  // If it is still this ticket's slot, so was what was read.
  if (!slot.ticket.compare_exchange_strong(ticket, 0, std::memory_order_acq_rel)) return false;
  return issued == SumOf(configuration, head, headers);
}

HeaderViews ToHeaderViews(const lri_pairs& pairs) {
  HeaderViews views(pairs.count);
  core::HeaderView* out = views.data();
  for (size_t i = 0; i < pairs.count; ++i) {
    const lri_pair& pair = At(pairs, i);
    *out++ = {FromView(pair.name), FromView(pair.value)};
  }
  return views;
}

sources::Request ToSourceRequest(const lri_request_head& head,
                                 std::span<const core::HeaderView> headers, absl::Time now) {
  return {.method = FromView(head.method),
          .query = FromView(head.query),
          .headers = headers,
          .now = now};
}

int64_t BodyLimit(const Configuration& configuration, const Limits& limits) {
  const auto own = configuration.source == nullptr
                       ? 0
                       : static_cast<int64_t>(configuration.source->body_limit());
  return own == 0 ? limits.body_bytes : std::min(own, limits.body_bytes);
}

bool WrongCredentials::Count(const void* instance, absl::string_view peer_address, absl::Time now) {
  const auto address = http::Address::Parse(peer_address);
  if (!address.ok()) return false;
  const Sender sender(instance, address->Network());
  const std::lock_guard<std::mutex> lock(mutex_);
  // A clock that was set back does not keep them longer.
  while (!entries_.empty() && (now - entries_.front().last >= kRemembered ||
                               entries_.front().last - now >= kRemembered)) {
    Erase(entries_.begin());
  }
  const auto [found, is_new] = by_address_.try_emplace(sender);
  if (is_new) {
    absl::Cleanup forget = [this, at = found] { by_address_.erase(at); };
    found->second = entries_.insert(entries_.end(), {.sender = sender});
    std::move(forget).Cancel();
    size_.fetch_add(1, std::memory_order_relaxed);
    if (entries_.size() > kMostAddresses) Erase(entries_.begin());
  } else {
    entries_.splice(entries_.end(), entries_, found->second);
  }
  Entry& entry = entries_.back();
  entry.last = now;
  if (entry.attempts <= kFree) ++entry.attempts;
  return entry.attempts > kFree;
}

void WrongCredentials::Forget(const void* instance, absl::string_view peer_address) {
  const auto address = http::Address::Parse(peer_address);
  if (!address.ok()) return;
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = by_address_.find({instance, address->Network()});
  if (found != by_address_.end()) Erase(found->second);
}

void WrongCredentials::Erase(std::list<Entry>::iterator entry) {
  by_address_.erase(entry->sender);
  entries_.erase(entry);
  size_.fetch_sub(1, std::memory_order_relaxed);
}

bool Admission::TakeRequest(int64_t per_second, absl::Time now) {
  constexpr int64_t kSecondNs = 1'000'000'000;
  const int64_t now_ns = absl::ToUnixNanos(now);
  const int64_t cost_ns = kSecondNs / per_second;
  int64_t before = paid_until_ns_.load(std::memory_order_relaxed);
  int64_t after;
  do {
    // A second is the most that is paid ahead, so more is from before the clock was set back.
    const int64_t begin = before < now_ns || before > now_ns + 2 * kSecondNs ? now_ns : before;
    after = begin + cost_ns;
    if (after > now_ns + kSecondNs) return false;
  } while (!paid_until_ns_.compare_exchange_weak(before, after, std::memory_order_relaxed));
  return true;
}

bool Admission::BeginCall(int64_t most) { return http::AddWithin(calls_, 1, most); }

bool IsSlowedDown(const lri_request_head& head, const sources::Result& result,
                  const Checking& checking) {
  return result.outcome == sources::Outcome::kRefuse &&
         result.reason == sources::Reason::kCredentials && checking.CountWrong(head);
}

HeadRefusal CheckHead(const lri_request_head& head, std::span<const core::HeaderView> headers,
                      const Configuration& configuration, const Limits& limits,
                      const Checking& checking) {
  if (!configuration.allow.empty() && !IsAllowed(head, configuration.allow)) {
    return HeadRefusal::kAddress;
  }
  const absl::string_view remainder = FromView(head.remainder);
  if (!remainder.empty() && remainder != "/") return HeadRefusal::kNotFound;
  const sources::Source* const source = configuration.source.get();
  if (source == nullptr && FromView(head.method) != "POST") return HeadRefusal::kMethodNotAllowed;
  if (const HeadRefusal refusal = CheckHeaders(headers, configuration, limits);
      refusal != HeadRefusal::kNone) {
    return refusal;
  }
  const bool time_matters = source != nullptr || configuration.credentials.any_expires();
  const absl::Time now = !time_matters ? absl::UnixEpoch() : checking.Now();
  if (source != nullptr) {
    SourceJudge& judge = *checking.judge;
    judge.evaluator.EvaluateHead(*source, ToSourceRequest(head, headers, now), judge.result);
    if (judge.result.outcome != sources::Outcome::kContinue) {
      return IsSlowedDown(head, judge.result, checking) ? HeadRefusal::kSlowDown
                                                        : HeadRefusal::kBySource;
    }
  }
  const core::CredentialCheck check =
      configuration.credentials.Check(headers, FromView(head.query), now);
  if (check != core::CredentialCheck::kAccepted) {
    // Some clients send none until a 401 asks them to.
    if (check == core::CredentialCheck::kMissing) return HeadRefusal::kNoCredentials;
    return checking.CountWrong(head) ? HeadRefusal::kSlowDown : HeadRefusal::kUnauthorized;
  }
  if (configuration.credentials.required()) checking.ForgetWrong(head);
  if (head.content_length != LRI_LENGTH_UNKNOWN &&
      head.content_length > static_cast<uint64_t>(BodyLimit(configuration, limits))) {
    return HeadRefusal::kBodyTooLarge;
  }
  if (checking.is_trial()) return HeadRefusal::kNone;
  Admission& admission = *checking.admission;
  // Here for the sake of the body, which need not be read; what begins is counted later.
  if (configuration.concurrent_requests != 0 &&
      admission.calls() >= configuration.concurrent_requests) {
    return HeadRefusal::kTooManyCalls;
  }
  if (configuration.requests_per_second != 0 &&
      !admission.TakeRequest(configuration.requests_per_second, checking.host.Now())) {
    return HeadRefusal::kTooManyRequests;
  }
  return HeadRefusal::kNone;
}

namespace {

// What an operator is told, and the lines of the log that are for it; null: none are.
struct Why {
  absl::string_view text;
  base::LineLimiter* lines = nullptr;
};

absl::string_view WhatIsMissing(const core::Credentials& credentials) {
  if (credentials.in_query()) return "it lacks the URL parameter that `username` names";
  return absl::StartsWith(credentials.challenge(), "Basic")
             ? "it lacks the header Authorization, with username and password"
             : "it lacks the header that `username` names";
}

Why WhyOf(HeadRefusal refusal, const lri_request_head& head, const Configuration& configuration) {
  switch (refusal) {
    case HeadRefusal::kAddress:
      return {(head.peer_flags & LRI_PEER_DOUBTFUL) != 0
                  ? "`allow` is set, and its sender cannot be told from what the proxy states"
                  : "its address is not in `allow`",
              configuration.not_allowed.get()};
    case HeadRefusal::kUnauthorized:
    case HeadRefusal::kSlowDown:
      return {kWrongUser, configuration.unauthorized.get()};
    case HeadRefusal::kNoCredentials:
      return {WhatIsMissing(configuration.credentials), configuration.unauthorized.get()};
    case HeadRefusal::kNotFound:
      return {
          "nothing is served under its path, which ends with the instance's name at the front, "
          "and is / at the instance's own port"};
    case HeadRefusal::kTooManyCalls:
      return {"as many as concurrent_requests allows are at work", configuration.too_many.get()};
    case HeadRefusal::kTooManyRequests:
      return {"more came than requests_per_second allows", configuration.too_many.get()};
    default:
      return {kAnswers[static_cast<size_t>(refusal)].text};
  }
}

}  // namespace

void AnswerRefusal(HeadRefusal refusal, const lri_request_head& head,
                   const Configuration& configuration, const Checking& checking, AnswerSink sink) {
  Why why;
  if (refusal == HeadRefusal::kBySource) {
    const sources::Result& result = checking.judge->result;
    AnswerBySource(result, configuration, sink);
    if (result.reason == sources::Reason::kCredentials) {
      why = {result.explanation, configuration.unauthorized.get()};
    }
  } else {
    why = WhyOf(refusal, head, configuration);
    const auto& [status, reason, text] = kAnswers[static_cast<size_t>(refusal)];
    Answer answer(status == 503 ? configuration.rate_limit_status : status, kTextPlain, text);
    if (status == 503) answer.Add("Retry-After", refusal == HeadRefusal::kSlowDown ? "10" : "1");
    answer.Because(reason, why.text);
    if (refusal == HeadRefusal::kMethodNotAllowed) answer.Add("Allow", "POST");
    if (status == 401) {
      answer.Add("WWW-Authenticate", configuration.credentials.challenge());
    }
    sink(answer.abi());
  }
  if (why.lines != nullptr && !checking.is_trial()) {
    LogRefusal(*why.lines, why.text, head, checking);
  }
}

}  // namespace webhook::runtime
