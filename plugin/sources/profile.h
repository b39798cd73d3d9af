// Senders as data: how each proves who it is, shakes hands, writes its bodies, and what becomes of
// them. docs/sources.md describes the language.
#ifndef PLUGIN_SOURCES_PROFILE_H_
#define PLUGIN_SOURCES_PROFILE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "plugin/sources/expression.h"
#include "plugin/sources/verify.h"

namespace webhook::sources {

inline constexpr size_t kMostProfileBytes = 64 * 1024;
inline constexpr size_t kMostEntries = 16;  // of each list in a profile
inline constexpr size_t kMostRules = 100;

enum class Kind : uint8_t {
  kBasic,
  kToken,
  kHmac,
  kEd25519,
  kEcdsaP256,
  kCertificate,
  kJwt,
};
const char* NameOf(Kind kind);

enum class Encoding : uint8_t { kHex, kBase64 };
enum class KeyForm : uint8_t { kText, kHex, kBase64 };
enum class TimeForm : uint8_t { kUnix, kUnixMs, kUnixAuto, kRfc3339, kRfc3339OrUnix };

// nullopt where the text has another form.
std::optional<absl::Time> ReadTime(absl::string_view text, TimeForm form);

enum class Decoder : uint8_t {
  kAuto,  // by the content type; JSON where that says nothing
  kJson,
  kJsonLines,
  kForm,
  kFormPayload,
  kCloudEventsBinary,
  kCloudEvents,  // structured, batch or binary, by the content type
  kMultipart,
  kRefuse,
};

// Where the time is that a sender has signed, and how far it may be from ours.
struct Timestamp {
  std::vector<Reference> from;
  TimeForm form = TimeForm::kUnix;
  absl::Duration tolerance;
  // Of `from`, up to the first that is not: those that nobody but the signer can change.
  size_t signed_count = 0;
};

// One way to prove who sends.
struct Authenticate {
  Kind kind = Kind::kToken;
  std::vector<Reference> from;
  std::string list;    // separator of several values; empty: there is one
  std::string prefix;  // of the values that count
  Encoding encoding = Encoding::kHex;
  Hash hash = Hash::kSha256;
  std::vector<Reference> hash_from;  // chooses it by hash_map, if there is any
  std::vector<std::pair<std::string, Hash>> hash_map;
  std::vector<Template> is_signed;  // any of them
  KeyForm key_form = KeyForm::kText;
  std::string key_strip, key_only, key_not;  // prefixes of secrets
  std::optional<Timestamp> timestamp;
  std::optional<Reference> id;
  bool signs_delivery = false;  // all that the profile's `delivery` is made of
  std::optional<Condition> when;
  std::vector<std::pair<Reference, Template>> checks;
  std::optional<uint32_t> each;  // the slot of an array, of which every element must pass
  std::string secret;            // the named secrets that it uses; empty: the signing secrets
  std::vector<Reference> certificate_url;
  std::vector<Pattern> certificate_host, certificate_path;  // one each
  std::vector<std::string> issuers;                         // of a JWT
  std::optional<Template> audience;
  std::vector<std::pair<std::string, Template>> claims;  // further ones

  // Whether its keys are the instance's secrets.
  bool uses_secrets() const {
    return kind != Kind::kBasic && kind != Kind::kCertificate && kind != Kind::kJwt;
  }
  // Whether what is signed, and where the signature is, can only be known once the body is parsed.
  bool needs_parsing() const;
};

// A JSON text or a plain one with templates in it.
struct AnswerBody {
  enum class Kind : uint8_t { kNone, kIncidents, kText, kJson };
  // A JSON text is its literals with a string after each but the last.
  struct Piece {
    std::string literal;
    std::optional<Template> text;
  };
  Kind kind = Kind::kNone;
  std::vector<Piece> pieces;
};

struct Handshake {
  enum class Auth : uint8_t { kSame, kNone, kOwn };
  Condition when;
  Auth auth = Auth::kSame;
  std::vector<Authenticate> own;  // one, of kOwn
  int status = 200;
  std::vector<std::pair<std::string, Template>> headers;
  AnswerBody body;
  std::vector<Reference> show;  // to a person
  int refused = 401;
};

struct Occurred {
  Reference from;
  std::optional<TimeForm> form;  // without one, the text as it is
};

struct Severity {
  std::vector<Reference> from;
  std::vector<std::pair<std::string, double>> map;
  double otherwise = 0;
};

struct IncidentsForm {
  std::optional<Condition> when;
  bool keep = true;
  bool documented = false;  // the body is the documented one, for core::IncidentParser as it is
  std::optional<uint32_t> each;                // the slot of the array that is split
  std::vector<Template> name, type, delivery;  // the first that is not empty
  std::vector<Occurred> occurred;
  std::optional<Severity> severity;
  std::vector<Reference> details;  // the first that is there; empty: the element
};

struct Unwrap {
  uint32_t slot = 0;
  bool base64 = false;
  bool optional = false;  // stays as it is where it holds no JSON
};

// Immutable, for any thread.
struct Profile {
  std::string name;
  std::string title;
  std::string setup;  // for people: what to configure at the sender's side
  std::string json;   // the text that was read
  std::vector<std::string> methods = {"POST"};
  std::vector<Authenticate> authenticate;
  std::vector<Handshake> handshakes;
  std::vector<std::pair<std::string, Decoder>> types;  // by media type, in lower case
  Decoder other_type = Decoder::kJson;
  size_t body_limit = 0;  // bytes; 0: none of its own
  std::vector<Unwrap> unwrap;
  std::vector<Template> delivery;
  std::vector<IncidentsForm> incidents;  // the first whose condition holds
  int accepted_status = 200;
  AnswerBody accepted = {AnswerBody::Kind::kIncidents};
  int refused_status = 401;
  // Names that hold secrets or what is made of them, in lower case; of headers a trailing # stands
  // for a number. Those that config names are added by Source.
  std::vector<Reference> secrets;
  std::vector<std::pair<std::string, std::string>> config;  // with their defaults
  std::vector<std::string> named_secrets;
  JsonPaths paths;
  uint32_t whole = 0;     // the slot of `$`
  uint32_t envelope = 0;  // the slot of an element's own member of that name
};

// INVALID_ARGUMENT names the place, as in `authenticate[0].signed: ...`, never a secret.
absl::StatusOr<std::shared_ptr<const Profile>> ReadProfile(absl::string_view json);

struct BuiltInProfile {
  absl::string_view name;
  absl::string_view json;
};
// Those of profiles/, in the order of their names.
std::span<const BuiltInProfile> BuiltInProfiles();

// Reads a built-in profile. NOT_FOUND names the nearest ones.
absl::StatusOr<std::shared_ptr<const Profile>> FindProfile(absl::string_view name);

// What an operator must know of a profile, as plain text: what to configure, what is checked, what
// becomes of a body.
std::string DescribeProfile(const Profile& profile);

// One rule: the first whose condition holds decides about an event.
struct Rule {
  enum class Do : uint8_t { kDrop, kKeep, kSet };
  Condition when;
  Do action = Do::kKeep;
  std::optional<std::string> name, type;
  std::optional<double> severity;
};

// Immutable, for any thread.
struct Rules {
  std::vector<Rule> rules;
  JsonPaths paths;
};

// Reads `[{"when": {...}, "do": "drop" | "keep" | {"set": {"type", "severity", "name"}}}]`.
// `config`: the names that config: may use. INVALID_ARGUMENT begins with `rules`.
absl::StatusOr<std::shared_ptr<const Rules>> ReadRules(absl::string_view json,
                                                       const Profile& profile);

}  // namespace webhook::sources

#endif  // PLUGIN_SOURCES_PROFILE_H_
