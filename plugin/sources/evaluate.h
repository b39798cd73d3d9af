// Judges requests by a profile. Pure: the same for the real path and for `try`.
#ifndef PLUGIN_SOURCES_EVALUATE_H_
#define PLUGIN_SOURCES_EVALUATE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "plugin/base/json_reader.h"
#include "plugin/core/credentials.h"
#include "plugin/core/header_view.h"
#include "plugin/core/incidents.h"
#include "plugin/core/text_memory.h"
#include "plugin/limits/limits.h"
#include "plugin/sources/profile.h"
#include "plugin/sources/verify.h"

namespace webhook::sources {

inline constexpr size_t kMostSecrets = 8;              // of one set
inline constexpr size_t kMostCandidates = 16;          // signatures of a request
inline constexpr size_t kMostPublicKeyCandidates = 4;  // which take a thousand times as long
// A body that must be parsed before its sender is known; 413.
inline constexpr size_t kMostUnknownBytes = 256 * 1024;

using core::Secret;

// What an instance is configured with. Nothing of it is ever part of a result.
struct Settings {
  std::shared_ptr<const Profile> profile;
  std::shared_ptr<const Rules> rules;  // null: none
  std::vector<Secret> signing_secrets;
  std::map<std::string, std::vector<Secret>> named_secrets;
  std::map<std::string, std::string> config;
  std::optional<core::Credentials> credentials;  // username and password, for `basic`
  std::shared_ptr<const Certificates> certificates;
  std::shared_ptr<const Jwks> jwks;
  bool unauthenticated = false;  // takes everything where nothing can be authenticated
  bool replay_check = true;      // Result::replay is set
};

// A profile with an instance's settings. Immutable, for any thread.
class Source {
 public:
  // INVALID_ARGUMENT names the parameter: an unknown config value or set of secrets, too many or an
  // empty secret, secrets of which none has the form that an entry needs, a malformed public_url.
  static absl::StatusOr<std::shared_ptr<const Source>> Create(Settings settings);
  ~Source();

  const Profile& profile() const { return *settings_.profile; }

  // Whether any request could be authentic. If none can, all are refused.
  bool can_authenticate() const { return can_authenticate_; }

  // How a request that a person writes is authentic, beside username and password.
  struct ByHand {
    absl::string_view header, prefix;  // of a token; the next one likewise, of the URL
    absl::string_view parameter;
    bool is_signed = false;  // by the sender, so that nobody can write one
  };
  ByHand by_hand() const;

  // For the operator: short secrets, SHA-1, secrets that no entry can use.
  std::span<const std::string> warnings() const { return warnings_; }

  // Of the certificates that senders sign with: null where there are none.
  const Certificates* certificates() const { return settings_.certificates.get(); }

  // What must never be written: names of headers (a trailing # stands for a number) and of query
  // parameters, in lower case.
  std::span<const std::string> secret_headers() const { return secret_headers_; }
  std::span<const std::string> secret_parameters() const { return secret_parameters_; }

  size_t rule_count() const {
    return settings_.rules == nullptr ? 0 : settings_.rules->rules.size();
  }

  // Calls found(value), as it was sent, for each parameter of the query that carries a secret.
  void EachSecretIn(absl::string_view query,
                    absl::FunctionRef<void(absl::string_view)> found) const;

  // The most bytes that a body may have, or 0 where the profile says nothing.
  size_t body_limit() const { return profile().body_limit; }

  // How far apart a signed time and the clock may be; zero where no time is signed. A delivery key
  // must live twice as long at least.
  absl::Duration tolerance() const { return tolerance_; }

 private:
  friend class Evaluator;

  // A secret as an entry uses it.
  struct Key {
    int number;     // from 1, as it was configured
    Secret secret;  // its bytes
  };
  struct Entry {
    const Authenticate* what;
    std::vector<Key> keys;
    bool can_accept = false;
  };

  Source() = default;
  absl::Status Prepare();
  void Warn(std::string text);  // once
  absl::Status ReadPublicUrl(absl::string_view url);
  absl::StatusOr<Entry> PrepareEntry(const Authenticate& what);
  absl::string_view ConfigValue(absl::string_view name) const;

  Settings settings_;
  std::vector<Entry> entries_;
  std::vector<std::optional<Entry>> handshake_entries_;  // of each handshake
  std::vector<std::pair<std::string, std::string>> config_;
  std::string url_, url_with_port_;  // public_url
  std::vector<std::string> warnings_;
  std::vector<std::string> secret_headers_, secret_parameters_;
  absl::Duration tolerance_;
  bool can_authenticate_ = false;
};

struct Request {
  absl::string_view method;
  absl::string_view query;  // without its question mark
  std::span<const core::HeaderView> headers;
  absl::Time now;
  bool is_trial = false;  // what is made with a secret is shown as <mac>
};

// The body, and how to undo its Content-Encoding and charset. Of a stranger `decode` is asked for
// kMostUnknownBytes at most; if there are more, once again without a bound when the sender is
// known. Its text has base::JsonReader::kPadding readable bytes after its end, and lives as long as
// the result.
//   INVALID_ARGUMENT 400, RESOURCE_EXHAUSTED 413 (of more than `most_bytes` too), UNIMPLEMENTED
//   415, UNAVAILABLE 503
struct Body {
  absl::string_view raw;
  absl::FunctionRef<absl::StatusOr<absl::string_view>(size_t most_bytes)> decode;
};

enum class Outcome : uint8_t {
  kContinue,  // of EvaluateHead: the body is needed
  kAccept,
  kRefuse,
  kHandshake,
};
enum class Step : uint8_t {
  kMethod,
  kCredentials,
  kSignature,
  kHandshake,
  kBody,
  kIncidents,
  kRules
};
const char* NameOf(Outcome outcome);

enum class Reason : uint8_t {
  kNone,
  kMethod,
  kCredentials,  // missing, repeated or wrong
  kContentType,
  kContentEncoding,  // of what Body::decode says
  kMalformed,
  kBodyTooLarge,
  kTooManyIncidents,
  kMemory,
};

struct Answer {
  int status = 0;
  // Content-Type among them, if there is a body.
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  std::vector<size_t> incident_id_at;  // places in `body`, from the last to the first

  // With the id in its places. It must need no escaping in JSON.
  std::string BodyWith(absl::string_view incident_id) const;
};

// What becomes an incident. The texts live as long as the result, the source and the request.
struct Event {
  absl::string_view name;  // empty: the documented default, as with the next two
  absl::string_view type;
  absl::string_view occurred;  // as the sender wrote it, or RFC 3339
  std::optional<double> severity;
  absl::string_view delivery;     // of this element; empty: none
  absl::string_view element;      // its bytes in the body
  absl::string_view details;      // of it, what becomes the details; JSON, of any kind
  base::JsonReader::Place place;  // of the details
  bool plain = false;             // FoundIncident::plain
  bool has_envelope = false;      // a member of that name is in `details`
  bool dropped = false;
  bool set = false;  // a rule has set name, type or severity
  int rule = -1;     // that decided; -1: none
};

// Use one again and again: a warm one rarely allocates. Not thread-safe.
struct Result {
  Outcome outcome = Outcome::kContinue;
  Step step = Step::kMethod;
  Reason reason = Reason::kNone;
  std::string explanation;  // for the operator, of a refusal; no secret, nothing made with one
  std::string message;      // for the sender, of a refusal; empty where it should learn nothing
  // Of a handshake, of a refusal (its status alone), or of what was accepted.
  Answer answer;
  bool answers_incidents = false;  // of kAccept: the documented body, with answer.status
  std::string show;                // to a person, of a handshake: a token, a URL to visit

  // Who sent it, once that is known.
  int entry = -1;  // of the profile's `authenticate`
  Kind kind = Kind::kToken;
  int secret = 0;                // from 1; 0: none was used
  bool has_signed_time = false;  // whatever the time was taken from is part of what is signed

  absl::string_view delivery;                  // of the request; empty: none
  std::optional<std::array<char, 32>> replay;  // SPEC: SHA-256(profile, NUL, signed bytes)
  bool documented = false;                     // the events are documented bodies
  std::vector<Event> events;                   // dropped ones included
  std::vector<uint32_t> rule_counts;           // of events, by rule
  std::string envelope;                        // JSON text; empty: none
  absl::string_view document;                  // the JSON that was read, with padding

 private:
  friend class Evaluator;
  void Clear();

  core::Arena arena_;
  std::vector<std::unique_ptr<char[]>> documents_;  // that decoders made
};

// Holds the buffers that judging needs, so use one again and again. Not thread-safe.
class Evaluator {
 public:
  // Uses json_depth, incidents_of_a_request and expanded_body_bytes.
  explicit Evaluator(const Limits& limits);
  ~Evaluator();
  Evaluator(const Evaluator&) = delete;
  Evaluator& operator=(const Evaluator&) = delete;

  // Before the body is read: kRefuse where the method is wrong or no credential can be right,
  // kHandshake where that needs no body, else kContinue.
  void EvaluateHead(const Source& source, const Request& request, Result& result);

  // With the body; includes EvaluateHead. Never kContinue.
  void Evaluate(const Source& source, const Request& request, const Body& body, Result& result);

  // The incidents of what was accepted last, without reading the body again where it is not the
  // documented one. Errors are the parser's.
  absl::Status Parse(const Result& result, core::IncidentParser& parser,
                     std::span<const core::HeaderView> headers, const core::Defaults& defaults,
                     core::ParsedRequest& out);

 private:
  class Run;
  struct Buffers;
  std::unique_ptr<Buffers> buffers_;
  const Limits limits_;
};

}  // namespace webhook::sources

#endif  // PLUGIN_SOURCES_EVALUATE_H_
