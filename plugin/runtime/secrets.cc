#include "plugin/runtime/secrets.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <limits>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "plugin/base/counted.h"
#include "plugin/base/json_reader.h"
#include "plugin/base/utf8.h"

namespace webhook::runtime {
namespace {

constexpr int kDepth = 4;

// How the entries of a list are written.
struct Form {
  absl::string_view member;  // of an entry that is an object: its text
  bool may_be_text;          // an entry may be a text alone
  size_t most;
  absl::string_view shape;
};

constexpr char kPasswords[] =
    R"(a JSON array such as [{"password": "...", "expires": "2024-06-01T00:00:00Z"}])";
constexpr Form kSecrets = {
    "secret", true, std::numeric_limits<size_t>::max(),
    R"(a text, or a list such as ["new", {"secret": "old", "expires": "2024-06-01T00:00:00Z"}])"};

template <typename... Pieces>
absl::Status Invalid(const Pieces&... pieces) {
  return absl::InvalidArgumentError(absl::StrCat(pieces...));
}

// Has the only copy of a text that is being read.
class WipedReader {
 public:
  explicit WipedReader(absl::string_view json) : padded_(json.size() + base::JsonReader::kPadding) {
    std::copy(json.begin(), json.end(), padded_.begin());
    is_open_ = reader_.Open({padded_.data(), json.size()});
  }
  WipedReader(const WipedReader&) = delete;
  WipedReader& operator=(const WipedReader&) = delete;
  ~WipedReader() { OPENSSL_cleanse(padded_.data(), padded_.size()); }

  bool is_open() const { return is_open_; }
  base::JsonReader& operator*() { return reader_; }

 private:
  std::vector<char> padded_;
  base::JsonReader reader_{kDepth};
  bool is_open_ = false;
};

absl::Status Add(absl::string_view place, absl::string_view text, absl::Time expires,
                 Secrets& secrets) {
  absl::ConsumePrefix(&text, base::kByteOrderMark);
  if (const std::string name = base::InvisibleCharacterIn(text); !name.empty()) {
    return Invalid(place, ": it holds a character that cannot be seen: ", name);
  }
  secrets.push_back({std::string(text), expires});
  return absl::OkStatus();
}

// Reads the entry that comes next. `set` is what it belongs to, and `place` names it alone.
absl::Status ReadEntry(absl::string_view set, const std::string& place, const Form& form,
                       base::JsonReader& reader, Secrets& secrets) {
  core::Secret secret;
  bool given = false;
  absl::Status status;
  base::JsonValue value;
  const auto refuse = [&](absl::string_view name, absl::string_view what) {
    status = Invalid(place, ": ", name, what);
    return false;
  };
  const auto read_text = [&] {
    if (!reader.ReadValue(value)) return false;
    if (value.kind != base::JsonKind::kString) return refuse(form.member, " must be text");
    secret.text = base::TextOfString(value);
    given = true;
    return true;
  };
  const auto read_member = [&](const base::JsonValue& key) {
    const absl::string_view name = key.inside();
    if (name == form.member) return given ? refuse(name, " is given twice") : read_text();
    if (name != "expires")
      return refuse("only ", absl::StrCat(form.member, " and expires are known"));
    if (!reader.ReadValue(value)) return false;
    if (value.kind == base::JsonKind::kNull) return true;
    if (value.kind == base::JsonKind::kString &&
        absl::ParseTime(absl::RFC3339_full, value.inside(), &secret.expires, nullptr) &&
        secret.expires != absl::InfiniteFuture() && secret.expires != absl::InfinitePast()) {
      return true;
    }
    return refuse(name, " must be a time as in \"2024-06-01T00:00:00Z\"");
  };
  const bool is_text = form.may_be_text && reader.Peek() == '"';
  const bool good = is_text ? read_text() : reader.EachMember(read_member);
  if (!status.ok()) return status;
  if (!good) return Invalid(set, " must be ", form.shape);
  if (secret.text.empty()) return refuse(form.member, given ? " is empty" : " is missing"), status;
  return Add(place, secret.text, secret.expires, secrets);
}

// Reads the list that comes next.
absl::Status ReadList(absl::string_view set, const Form& form, base::JsonReader& reader,
                      Secrets& secrets) {
  absl::Status status;
  const bool good = reader.EachItem([&] {
    if (secrets.size() == form.most) {
      status = Invalid(set, ": at most ", base::Counted(form.most, "is", "are"), " taken");
    } else {
      const std::string place = absl::StrCat(set, ": entry ", secrets.size());
      status = ReadEntry(set, place, form, reader, secrets);
    }
    return status.ok();
  });
  if (!status.ok()) return status;
  if (!good) return Invalid(set, " must be ", form.shape);
  return secrets.empty() ? Invalid(set, ": the list is empty") : absl::OkStatus();
}

absl::StatusOr<Secrets> ReadListText(absl::string_view name, const Form& form,
                                     absl::string_view json) {
  WipedReader reader(json);
  Secrets secrets;
  absl::Status status = reader.is_open() ? ReadList(name, form, *reader, secrets)
                                         : Invalid(name, " must be ", form.shape);
  if (status.ok() && !(*reader).Finish()) status = Invalid(name, " must be ", form.shape);
  if (!status.ok()) return status;
  return secrets;
}

}  // namespace

absl::StatusOr<Secrets> ReadPasswords(absl::string_view json, size_t most) {
  if (json.empty()) return Secrets();
  return ReadListText("passwords", {"password", false, most, kPasswords}, json);
}

absl::StatusOr<Secrets> ReadSigningSecrets(absl::string_view given) {
  constexpr absl::string_view kName = "signing_secrets";
  Secrets secrets;
  if (given.empty()) return secrets;
  if (absl::StartsWith(given, "[")) return ReadListText(kName, kSecrets, given);
  absl::Status status = Add(kName, given, absl::InfiniteFuture(), secrets);
  if (!status.ok()) return status;
  return secrets;
}

absl::StatusOr<std::map<std::string, Secrets>> ReadNamedSecrets(absl::string_view json) {
  constexpr absl::string_view kName = "named_secrets";
  std::map<std::string, Secrets> named;
  if (json.empty()) return named;
  WipedReader reader(json);
  absl::Status status;
  const auto read = [&](const base::JsonValue& key) {
    const std::string name = base::TextOfString(key);
    const std::string place = absl::StrCat(kName, ".", name);
    const bool is_list = (*reader).Peek() == '[';
    status = is_list ? ReadList(place, kSecrets, *reader, named[name])
                     : ReadEntry(place, place, kSecrets, *reader, named[name]);
    return status.ok();
  };
  const bool good = reader.is_open() && (*reader).EachMember(read) && (*reader).Finish();
  if (!status.ok()) return status;
  if (!good)
    return Invalid(kName, R"( must be an object such as {"verify_token": "..."}: )",
                   (*reader).fault().what);
  return named;
}

}  // namespace webhook::runtime
