#include "plugin/runtime/head_check.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "plugin/base/characters.h"
#include "plugin/base/octets.h"
#include "plugin/core/credentials.h"
#include "plugin/core/decode.h"
#include "plugin/core/stored_headers.h"
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
    {413, LRI_REASON_BODY_TOO_LARGE, "The body is longer than the limit body_bytes."},
};

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
  uint64_t sum = Mix(configuration + headers.size(), FromView(head.method));
  sum = Mix(Mix(sum, FromView(head.remainder)), FromView(head.query));
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

void LogUnauthorized(const lri_request_head& head, const Configuration& configuration,
                     const Host& host, lri_host_instance* host_instance, absl::string_view why) {
  const auto left_out = configuration.unauthorized->Admit(host.Now());
  if (!left_out.has_value()) return;
  const absl::string_view peer = FromView(head.peer_address);
  host.Log(host_instance, LRI_WARNING,
           absl::StrCat("a request", peer.empty() ? "" : " from ", peer, " was refused: ",
                        why.empty() ? "its credentials are missing or wrong" : why,
                        base::LeftOut(*left_out)));
}

}  // namespace

void AnswerBySource(const sources::Result& result, const Configuration& configuration,
                    AnswerSink sink) {
  const bool refused = result.outcome == sources::Outcome::kRefuse;
  // A stranger learns nothing.
  const absl::string_view text = !refused                  ? absl::string_view(result.answer.body)
                                 : !result.message.empty() ? absl::string_view(result.message)
                                                           : core::kAuthorizationFailed;
  std::vector<lri_pair> headers;
  const auto add = [&headers](absl::string_view name, absl::string_view value) {
    headers.push_back({ToView(name), ToView(value)});
  };
  for (const auto& [name, value] : result.answer.headers) add(name, value);
  if (refused) add("Content-Type", kTextPlain);
  const int status = result.answer.status;
  if (refused && status == 401) {
    const absl::string_view challenge = configuration.credentials.challenge();
    add("WWW-Authenticate", challenge.empty() ? "Webhook realm=\"webhook\"" : challenge);
  }
  if (result.reason == sources::Reason::kContentEncoding && status == 415) {
    add("Accept-Encoding", core::kAcceptEncoding);
  }
  if (refused && status == 503) add("Retry-After", "1");
  const lri_answer answer{.struct_size = sizeof answer,
                          .status = status,
                          .headers = {headers.data(), headers.size(), sizeof(lri_pair)},
                          .body = ToView(text),
                          .reason = ReasonOf(result),
                          .reserved = 0,
                          .detail = ToView(result.explanation)};
  sink(answer);
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

absl::Time TimeOfCheck(const Configuration& configuration, const Host& host) {
  const bool matters = configuration.source != nullptr || configuration.credentials.any_expires();
  return matters ? host.Now() : absl::UnixEpoch();
}

int64_t BodyLimit(const Configuration& configuration, const Limits& limits) {
  const auto own = configuration.source == nullptr
                       ? 0
                       : static_cast<int64_t>(configuration.source->body_limit());
  return own == 0 ? limits.body_bytes : std::min(own, limits.body_bytes);
}

HeadRefusal CheckHead(const lri_request_head& head, std::span<const core::HeaderView> headers,
                      const Configuration& configuration, const Limits& limits, absl::Time now,
                      SourceJudge* judge) {
  const absl::string_view remainder = FromView(head.remainder);
  if (!remainder.empty() && remainder != "/") return HeadRefusal::kNotFound;
  const sources::Source* const source = configuration.source.get();
  if (source == nullptr && FromView(head.method) != "POST") return HeadRefusal::kMethodNotAllowed;
  if (const HeadRefusal refusal = CheckHeaders(headers, configuration, limits);
      refusal != HeadRefusal::kNone) {
    return refusal;
  }
  if (source != nullptr) {
    judge->evaluator.EvaluateHead(*source, ToSourceRequest(head, headers, now), judge->result);
    if (judge->result.outcome != sources::Outcome::kContinue) return HeadRefusal::kBySource;
  }
  if (configuration.credentials.Check(headers, now) != core::CredentialCheck::kAccepted) {
    return HeadRefusal::kUnauthorized;
  }
  if (head.content_length != LRI_LENGTH_UNKNOWN &&
      head.content_length > static_cast<uint64_t>(BodyLimit(configuration, limits))) {
    return HeadRefusal::kBodyTooLarge;
  }
  return HeadRefusal::kNone;
}

void AnswerRefusal(HeadRefusal refusal, const lri_request_head& head,
                   const Configuration& configuration, const Host& host,
                   lri_host_instance* host_instance, const SourceJudge* judge, bool is_trial,
                   AnswerSink sink) {
  int32_t status = 0;
  if (refusal == HeadRefusal::kBySource) {
    status = judge->result.answer.status;
    AnswerBySource(judge->result, configuration, sink);
  } else {
    status = kAnswers[static_cast<size_t>(refusal)].status;
    const auto& [_, reason, text] = kAnswers[static_cast<size_t>(refusal)];
    Answer answer(status, kTextPlain, text);
    answer.Because(reason, text);
    if (refusal == HeadRefusal::kMethodNotAllowed) answer.Add("Allow", "POST");
    if (refusal == HeadRefusal::kUnauthorized) {
      answer.Add("WWW-Authenticate", configuration.credentials.challenge());
    }
    sink(answer.abi());
  }
  if (status == 401 && !is_trial) {
    LogUnauthorized(head, configuration, host, host_instance,
                    refusal == HeadRefusal::kBySource ? judge->result.explanation : "");
  }
}

}  // namespace webhook::runtime
