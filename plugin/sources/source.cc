#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "plugin/base/characters.h"
#include "plugin/core/query.h"
#include "plugin/sources/body.h"
#include "plugin/sources/evaluate.h"

namespace webhook::sources {
namespace {

// For the operator, as in "base64 after whsec_".
std::string FormOfSecret(const Authenticate& what) {
  const bool is_text = what.kind == Kind::kToken || what.key_form == KeyForm::kText;
  std::string text = is_text ? "a text" : what.key_form == KeyForm::kHex ? "hexadecimal" : "base64";
  if (!what.key_only.empty()) {
    absl::StrAppend(&text, is_text ? " that begins with " : " after ", what.key_only);
  }
  if (!what.key_not.empty()) absl::StrAppend(&text, ", not beginning with ", what.key_not);
  return text;
}

}  // namespace

const char* NameOf(Outcome outcome) {
  switch (outcome) {
    case Outcome::kContinue:
      return "continue";
    case Outcome::kAccept:
      return "accept";
    case Outcome::kRefuse:
      return "refuse";
    case Outcome::kHandshake:
      return "handshake";
  }
  return "";
}

// ---- What an instance is configured with.

Source::~Source() = default;

absl::StatusOr<std::shared_ptr<const Source>> Source::Create(Settings settings) {
  std::shared_ptr<Source> source(new Source);
  source->settings_ = std::move(settings);
  if (absl::Status status = source->Prepare(); !status.ok()) return status;
  return source;
}

void Source::Warn(std::string text) {
  if (std::find(warnings_.begin(), warnings_.end(), text) == warnings_.end()) {
    warnings_.push_back(std::move(text));
  }
}

absl::string_view Source::ConfigValue(absl::string_view name) const {
  for (const auto& [known, value] : config_) {
    if (known == name) return value;
  }
  return {};
}

absl::StatusOr<Source::Entry> Source::PrepareEntry(const Authenticate& what) {
  Entry entry{.what = &what};
  static const std::vector<Secret> kNone;
  const auto named = settings_.named_secrets.find(what.secret);
  const std::vector<Secret>& secrets = what.secret.empty() ? settings_.signing_secrets
                                       : named == settings_.named_secrets.end() ? kNone
                                                                                : named->second;
  for (size_t i = 0; i < secrets.size(); ++i) {
    absl::string_view text = secrets[i].text;
    if (!what.key_only.empty() && !absl::StartsWith(text, what.key_only)) continue;
    if (!what.key_not.empty() && absl::StartsWith(text, what.key_not)) continue;
    std::optional<std::string> bytes;
    if (what.kind == Kind::kToken) {
      bytes = std::string(text);
    } else {
      absl::ConsumePrefix(&text, what.key_only);
      absl::ConsumePrefix(&text, what.key_strip);
      bytes = what.key_form == KeyForm::kHex      ? DecodeHex(text)
              : what.key_form == KeyForm::kBase64 ? DecodeBase64(text)
                                                  : std::string(text);
    }
    if (!bytes.has_value() || bytes->empty()) continue;
    entry.keys.push_back({static_cast<int>(i) + 1, {*std::move(bytes), secrets[i].expires}});
  }
  switch (what.kind) {
    case Kind::kBasic:
      entry.can_accept = settings_.credentials.has_value() && settings_.credentials->required() &&
                         settings_.signing_secrets.empty();
      break;
    case Kind::kCertificate:
      entry.can_accept = settings_.certificates != nullptr;
      break;
    case Kind::kJwt:
      entry.can_accept = settings_.jwks != nullptr;
      break;
    default:
      entry.can_accept = !entry.keys.empty();
  }
  if (what.timestamp.has_value()) tolerance_ = std::max(tolerance_, what.timestamp->tolerance);
  if (!entry.can_accept) return entry;
  // What would make every request be refused, for a reason that nobody would find.
  const auto missing_in = [this](const Template& one) {
    std::string missing;
    one.Any([&](const Reference& reference) {
      if (reference.optional) return false;
      const bool is_url = reference.from == From::kUrl || reference.from == From::kUrlWithPort;
      if (is_url && url_.empty()) missing = "public_url";
      if (reference.from == From::kConfig && ConfigValue(reference.name).empty()) {
        missing = reference.name;
      }
      return !missing.empty();
    });
    return missing;
  };
  std::string missing;
  for (const Template& one : what.is_signed) {
    missing = missing_in(one);
    if (missing.empty()) break;
  }
  if (missing.empty() && what.audience.has_value()) missing = missing_in(*what.audience);
  for (const auto& [_, expected] : what.checks) {
    if (missing.empty()) missing = missing_in(expected);
  }
  if (!missing.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(missing, ": the source ", profile().name,
                                                   " cannot be checked without it; set it"));
  }
  if (what.hash == Hash::kSha1 && what.kind == Kind::kHmac) {
    Warn(absl::StrCat("the source ", profile().name, " signs with SHA-1"));
  }
  const bool in_authorization =
      std::any_of(what.from.begin(), what.from.end(), [](const Reference& from) {
        return from.from == From::kHeader && absl::EqualsIgnoreCase(from.name, "authorization");
      });
  if (in_authorization && settings_.credentials.has_value() &&
      settings_.credentials->secret_header() == "authorization") {
    Warn(
        "username and password are sent in Authorization, so that the token of signing_secrets "
        "cannot be: both are asked for; leave one out");
  }
  return entry;
}

// `url` and `url+port` are made of it (RFC 3986 section 3).
absl::Status Source::ReadPublicUrl(absl::string_view url) {
  const absl::Status bad = absl::InvalidArgumentError(
      "public_url: expected the webhook's URL as the sender knows it, such as "
      "https://host.example/path, without a query");
  const bool tls = absl::StartsWith(url, "https://");
  if (!tls && !absl::StartsWith(url, "http://")) return bad;
  const absl::string_view scheme = tls ? "https" : "http";
  url.remove_prefix(scheme.size() + 3);
  const size_t end = std::min(url.find('/'), url.size());
  const absl::string_view path = url.substr(end);
  std::string host = absl::AsciiStrToLower(url.substr(0, end));
  std::string port = tls ? "443" : "80";
  const size_t bracket = host.rfind(']');
  const size_t colon = host.find(':', bracket == std::string::npos ? 0 : bracket);
  if (colon != std::string::npos) {
    port = host.substr(colon + 1);
    host.resize(colon);
    if (port.empty() || port.size() > 5 || !std::all_of(port.begin(), port.end(), base::IsDigit)) {
      return bad;
    }
  }
  if (host.empty() || absl::StrContains(host, '@') ||
      path.find_first_of("?# ") != absl::string_view::npos) {
    return bad;
  }
  url_ = absl::StrCat(scheme, "://", host, path);
  url_with_port_ = absl::StrCat(scheme, "://", host, ":", port, path);
  return absl::OkStatus();
}

absl::Status Source::Prepare() {
  const Profile& profile = *settings_.profile;
  config_ = profile.config;
  for (const auto& setting : settings_.config) {
    const std::string& name = setting.first;
    const std::string& value = setting.second;
    const auto known = std::find_if(config_.begin(), config_.end(),
                                    [&](const auto& one) { return one.first == name; });
    if (known == config_.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, ": the source ", profile.name, " has no such parameter"));
    }
    if (value.size() > kMostTextBytes ||
        std::any_of(value.begin(), value.end(), absl::ascii_iscntrl)) {
      return absl::InvalidArgumentError(absl::StrCat(name, ": expected at most ", kMostTextBytes,
                                                     " bytes without control characters"));
    }
    known->second = value;
  }
  if (const absl::string_view url = ConfigValue("public_url"); !url.empty()) {
    if (absl::Status status = ReadPublicUrl(url); !status.ok()) return status;
  }

  constexpr size_t kShortSecret = 16;
  const auto check = [&](absl::string_view name, const std::vector<Secret>& secrets) {
    if (secrets.size() > kMostSecrets) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, ": at most ", kMostSecrets, " are taken"));
    }
    for (size_t i = 0; i < secrets.size(); ++i) {
      if (secrets[i].text.empty()) {
        return absl::InvalidArgumentError(absl::StrCat(name, "[", i, "]: it is empty"));
      }
      if (secrets[i].text.size() < kShortSecret) {
        Warn(absl::StrCat(name, "[", i, "]: it is shorter than ", kShortSecret,
                          " octets and could be guessed"));
      }
    }
    return absl::OkStatus();
  };
  absl::Status status = check("signing_secrets", settings_.signing_secrets);
  for (const auto& [name, secrets] : settings_.named_secrets) {
    if (!status.ok()) return status;
    status = check(name, secrets);
    if (std::find(profile.named_secrets.begin(), profile.named_secrets.end(), name) ==
        profile.named_secrets.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, ": the source ", profile.name, " has no such secret"));
    }
  }
  if (!status.ok()) return status;
  if (!settings_.replay_check) {
    Warn("replay_check is off: a request that somebody has captured can be sent again");
  }

  for (const Authenticate& one : profile.authenticate) {
    absl::StatusOr<Entry> entry = PrepareEntry(one);
    if (!entry.ok()) return entry.status();
    can_authenticate_ = can_authenticate_ || entry->can_accept;
    entries_.push_back(*std::move(entry));
  }
  for (const Handshake& handshake : profile.handshakes) {
    std::optional<Entry>& entry = handshake_entries_.emplace_back();
    if (handshake.own.empty()) continue;
    absl::StatusOr<Entry> own = PrepareEntry(handshake.own[0]);
    if (!own.ok()) return own.status();
    entry = *std::move(own);
  }
  // A secret that nothing can use is a mistake. If it is the only one, it must not open the door.
  const auto check_use = [&](absl::string_view set, const std::vector<Secret>& secrets) {
    std::vector<bool> used(secrets.size());
    std::vector<std::string> forms;
    const auto note = [&](const Entry& entry) {
      if (entry.what->secret != set || !entry.what->uses_secrets()) return;
      for (const Key& key : entry.keys) used[static_cast<size_t>(key.number) - 1] = true;
      const std::string form = FormOfSecret(*entry.what);
      if (std::find(forms.begin(), forms.end(), form) == forms.end()) forms.push_back(form);
    };
    for (const Entry& entry : entries_) note(entry);
    for (const std::optional<Entry>& entry : handshake_entries_) {
      if (entry.has_value()) note(*entry);
    }
    const bool none = std::find(used.begin(), used.end(), true) == used.end();
    for (size_t i = 0; i < secrets.size(); ++i) {
      if (used[i]) continue;
      std::string text =
          absl::StrCat(set.empty() ? "signing_secrets" : set, "[", i, "]: ",
                       forms.empty() ? absl::StrCat("the source ", profile.name, " uses none")
                                     : absl::StrCat("it has not the form that ", profile.name,
                                                    " needs (", absl::StrJoin(forms, ", or "),
                                                    "), so nothing can match it"));
      if (none) return absl::InvalidArgumentError(text);
      Warn(std::move(text));
    }
    return absl::OkStatus();
  };
  status = check_use("", settings_.signing_secrets);
  for (const auto& [name, secrets] : settings_.named_secrets) {
    if (status.ok()) status = check_use(name, secrets);
  }
  if (!status.ok()) return status;

  for (const Reference& reference : profile.secrets) {
    const absl::string_view name =
        reference.from_config ? ConfigValue(reference.name) : absl::string_view(reference.name);
    if (name.empty()) continue;
    if (reference.from == From::kHeader || reference.from == From::kHeaderNumbers) {
      if (!base::IsToken(name)) {
        return absl::InvalidArgumentError(
            absl::StrCat(reference.name, ": expected the name of a header"));
      }
      secret_headers_.push_back(absl::StrCat(absl::AsciiStrToLower(name),
                                             reference.from == From::kHeaderNumbers ? "#" : ""));
    } else if (reference.from == From::kQuery) {
      secret_parameters_.push_back(absl::AsciiStrToLower(name));
    }
  }
  for (std::vector<std::string>* const names : {&secret_headers_, &secret_parameters_}) {
    std::sort(names->begin(), names->end());
    names->erase(std::unique(names->begin(), names->end()), names->end());
  }
  return absl::OkStatus();
}

Source::ByHand Source::by_hand() const {
  bool is_signed = false;
  for (const Entry& entry : entries_) {
    if (!entry.can_accept) continue;
    if (entry.what->kind == Kind::kBasic) return {};
    is_signed = true;
    if (entry.what->kind != Kind::kToken) continue;
    for (const Reference& from : entry.what->from) {
      const absl::string_view name =
          from.from_config ? ConfigValue(from.name) : absl::string_view(from.name);
      if (from.from == From::kHeader) return {.header = name, .prefix = entry.what->prefix};
      if (from.from == From::kQuery) return {.parameter = name};
    }
  }
  return {.is_signed = is_signed};
}

void Source::EachSecretIn(absl::string_view query,
                          absl::FunctionRef<void(absl::string_view)> found) const {
  if (secret_parameters_.empty()) return;
  core::EachParameter(query, [&](absl::string_view name, absl::string_view value) {
    const std::string lower = absl::AsciiStrToLower(DecodeFormText(name));
    const auto& names = secret_parameters_;
    if (std::find(names.begin(), names.end(), lower) != names.end() && !value.empty()) found(value);
    return true;
  });
}

// ---- Results.

void Result::Clear() {
  outcome = Outcome::kContinue;
  step = Step::kMethod;
  reason = Reason::kNone;
  explanation.clear();
  message.clear();
  answer.status = 0;
  answer.headers.clear();
  answer.body.clear();
  answer.incident_id_at.clear();
  answers_incidents = false;
  show.clear();
  entry = -1;
  kind = Kind::kToken;
  secret = 0;
  has_signed_time = false;
  delivery = {};
  replay.reset();
  documented = false;
  events.clear();
  rule_counts.clear();
  envelope.clear();
  document = {};
  arena_.Clear();
  documents_.clear();
}

std::string Answer::BodyWith(absl::string_view incident_id) const {
  std::string text = body;
  for (const size_t at : incident_id_at) text.insert(at, incident_id.data(), incident_id.size());
  return text;
}

}  // namespace webhook::sources
