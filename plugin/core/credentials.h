// Checks who may send. The parameters `username` and `password` of an instance ask for nothing, for
// Basic authentication, for a token in a header, or for one in the URL's query.
#ifndef PLUGIN_CORE_CREDENTIALS_H_
#define PLUGIN_CORE_CREDENTIALS_H_

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "plugin/core/header_view.h"

namespace webhook::core {

// The text of a 401, as senders know it from the integration that this one replaces.
inline constexpr absl::string_view kAuthorizationFailed = "Authorization failed.";

enum class CredentialCheck {
  kAccepted,
  kMissing,   // no line of the credential header, or no such parameter of the query
  kRepeated,  // several: implementations differ in which one counts, so none does
  kWrong,
};

// One of several passwords that are valid at once.
struct Password {
  absl::string_view text;
  absl::Time expires = absl::InfiniteFuture();  // refused from then on
};

// Owns a secret's text, and wipes it. It is copied and never moved, because the bytes of a short
// text stay where it was moved from.
struct Secret {
  std::string text;
  absl::Time expires = absl::InfiniteFuture();  // refused from then on

  ~Secret();
};

// Immutable once created, so any thread may check at the same time. A copy is cheap. Only SHA-256
// digests of secrets are kept.
class Credentials {
 public:
  // Both empty: everybody may send. Username `_header:NAME`: the request's header NAME must equal
  // the password. Username `_query:NAME`: so must the query's parameter NAME, its percent-escapes
  // undone (RFC 3986 section 2.1); a plus sign is no blank, as no blank can be in the password.
  // Otherwise Basic (RFC 7617). INVALID_ARGUMENT, with the parameter's name in front,
  // for what cannot work or would switch authentication off unnoticed. A byte order mark in front
  // is dropped; any other character that cannot be seen is refused by its name.
  static absl::StatusOr<Credentials> Create(absl::string_view username, absl::string_view password);

  // The same with several passwords that are valid at once, for a rotation without downtime.
  static absl::StatusOr<Credentials> Create(absl::string_view username,
                                            std::span<const Password> passwords);

  // Allocates nothing. The time it takes depends on what was sent, never on how much of it was
  // right.
  CredentialCheck Check(std::span<const HeaderView> headers, absl::string_view query,
                        absl::Time now) const;

  bool required() const { return mode_ != Mode::kNone; }

  // Whether the secret is sent in the URL.
  bool in_query() const { return mode_ == Mode::kQuery; }

  // The secret as this query has it, to be found where it was repeated; empty: it has none. It
  // views the query.
  absl::string_view SecretIn(absl::string_view query) const;

  // Whether any password expires. If none does, Check ignores `now`.
  bool any_expires() const { return any_expires_; }

  // The time from which nothing is accepted. InfiniteFuture where no credentials are required.
  absl::Time last_expiry() const { return last_expiry_; }

  // The value of the WWW-Authenticate that a 401 must carry (RFC 9110 section 11.6.1). Empty
  // where no credentials are required.
  absl::string_view challenge() const;

  // Lower-case name of the header that carries the secret, to be kept out of incidents. Empty
  // where no header does. Lives as long as this object.
  absl::string_view secret_header() const { return header_; }

 private:
  enum class Mode { kNone, kBasic, kHeader, kQuery };
  using Digest = std::array<uint8_t, 32>;

  struct Accepted {
    Digest digest;
    absl::Time expires;
  };

  Credentials() = default;
  absl::StatusOr<Digest> DigestOfBasic(absl::string_view username, absl::string_view password);
  absl::StatusOr<Digest> DigestOfHeaderValue(absl::string_view value);
  absl::StatusOr<Digest> DigestOfQueryValue(absl::string_view value);
  // kAccepted: there is one, and `value` is it, as sent.
  CredentialCheck FindInQuery(absl::string_view query, absl::string_view& value) const;
  CredentialCheck Compare(const Digest& digest, absl::Time now) const;

  Mode mode_ = Mode::kNone;
  std::string header_;
  std::string parameter_;  // of the query
  std::vector<Accepted> accepted_;
  bool any_expires_ = false;
  absl::Time last_expiry_ = absl::InfiniteFuture();
};

}  // namespace webhook::core

#endif  // PLUGIN_CORE_CREDENTIALS_H_
