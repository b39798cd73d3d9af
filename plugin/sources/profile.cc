#include "plugin/sources/profile.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "plugin/base/characters.h"
#include "plugin/base/counted.h"
#include "plugin/base/json_reader.h"
#include "plugin/base/json_text.h"
#include "plugin/core/occurred.h"

namespace webhook::sources {
namespace {

constexpr int kMostDepth = 16;
constexpr size_t kMostListed = 64;  // texts of a list, members of a map

// A JSON value as a tree: profiles are small and read once.
struct Json {
  base::JsonKind kind = base::JsonKind::kNull;
  absl::string_view raw;
  std::string text;  // of a string
  std::vector<std::pair<std::string, Json>> members;
  std::vector<Json> items;
};

bool ReadTree(base::JsonReader& reader, Json& json) {
  json.kind = base::KindOf(reader.Peek());
  const char* const begin = reader.position();
  if (json.kind == base::JsonKind::kObject || json.kind == base::JsonKind::kArray) {
    const bool good =
        json.kind == base::JsonKind::kObject
            ? reader.EachMember([&](const base::JsonValue& key) {
                json.members.emplace_back(base::TextOfString(key), Json());
                return ReadTree(reader, json.members.back().second);
              })
            : reader.EachItem([&] { return ReadTree(reader, json.items.emplace_back()); });
    if (!good) return false;
    json.raw = absl::string_view(begin, static_cast<size_t>(reader.bracket_end() - begin));
    return true;
  }
  base::JsonValue value;
  if (!reader.ReadValue(value)) return false;
  json.raw = value.text;
  if (value.kind == base::JsonKind::kString) json.text = base::TextOfString(value);
  return true;
}

template <typename Value>
struct Word {
  absl::string_view word;
  Value value;
};

constexpr Word<Kind> kKinds[] = {
    {"hmac", Kind::kHmac},
    {"token", Kind::kToken},
    {"basic", Kind::kBasic},
    {"ed25519", Kind::kEd25519},
    {"ecdsa-p256", Kind::kEcdsaP256},
    {"certificate", Kind::kCertificate},
    {"jwt", Kind::kJwt},
};
constexpr Word<Hash> kHashes[] = {
    {"sha1", Hash::kSha1}, {"sha256", Hash::kSha256}, {"sha512", Hash::kSha512}};
constexpr Word<Encoding> kEncodings[] = {{"hex", Encoding::kHex}, {"base64", Encoding::kBase64}};
constexpr Word<KeyForm> kKeyForms[] = {
    {"utf8", KeyForm::kText},
    {"hex", KeyForm::kHex},
    {"base64", KeyForm::kBase64},
    {"spki-base64", KeyForm::kBase64},
};
constexpr Word<TimeForm> kTimeForms[] = {
    {"unix", TimeForm::kUnix},
    {"unix_ms", TimeForm::kUnixMs},
    {"unix_auto", TimeForm::kUnixAuto},
    {"rfc3339", TimeForm::kRfc3339},
    {"rfc3339_or_unix", TimeForm::kRfc3339OrUnix},
};
constexpr Word<Decoder> kDecoders[] = {
    {"auto", Decoder::kAuto},
    {"json", Decoder::kJson},
    {"json-lines", Decoder::kJsonLines},
    {"form", Decoder::kForm},
    {"form:payload", Decoder::kFormPayload},
    {"cloudevents", Decoder::kCloudEvents},
    {"cloudevents-binary", Decoder::kCloudEventsBinary},
    {"multipart", Decoder::kMultipart},
    {"refuse", Decoder::kRefuse},
};

template <typename Value, size_t kCount>
absl::string_view WordOf(Value value, const Word<Value> (&words)[kCount]) {
  for (const Word<Value>& one : words) {
    if (one.value == value) return one.word;
  }
  return "";
}

// Reads a profile from its tree. The first mistake is kept; after it, what is read does not matter.
class ProfileReader {
 public:
  explicit ProfileReader(JsonPaths* paths) { words_.paths = paths; }

  const absl::Status& status() const { return status_; }
  Vocabulary& words() { return words_; }

  void Read(const Json& json, Profile& out);
  void ReadRule(const Json& json, Rule& out);
  void Fail(absl::string_view what) {
    if (!status_.ok()) return;
    std::string place = absl::StrJoin(place_, "");
    if (absl::StartsWith(place, ".")) place.erase(0, 1);
    status_ = absl::InvalidArgumentError(absl::StrCat(place, place.empty() ? "" : ": ", what));
  }
  // The rest is read as what stands at that place.
  template <typename Do>
  void At(absl::string_view name, const Do& read) {
    place_.push_back(absl::StrCat(".", name));
    read();
    place_.pop_back();
  }
  template <typename Do>
  void EachItem(const Json& json, size_t most, const Do& read) {
    if (json.kind != base::JsonKind::kArray) return Fail("expected a list");
    if (json.items.size() > most) return Fail(absl::StrCat("at most ", most, " are taken"));
    for (size_t i = 0; i < json.items.size(); ++i) {
      place_.push_back(absl::StrCat("[", i, "]"));
      read(json.items[i]);
      place_.pop_back();
    }
  }
  // Reads an object: `read(name, value)` for each member, false for a name that is unknown.
  template <typename Do>
  void Members(const Json& json, const Do& read) {
    Members(json, kMostListed, read);
  }
  template <typename Do>
  void Members(const Json& json, size_t most, const Do& read) {
    if (json.kind != base::JsonKind::kObject) return Fail("expected an object");
    if (json.members.size() > most) return Fail(absl::StrCat("at most ", most, " are taken"));
    for (size_t i = 0; i < json.members.size(); ++i) {
      const auto& [name, value] = json.members[i];
      At(name, [&, name = absl::string_view(name), &value = value] {
        for (size_t j = 0; j < i; ++j) {
          if (json.members[j].first == name) Fail("it is there twice");
        }
        if (!read(name, value)) Fail("unknown word");
      });
    }
  }

 private:
  template <typename Do>
  static bool Is(const Do& read) {
    read();
    return true;
  }

  std::string Text(const Json& json) {
    if (json.kind != base::JsonKind::kString) Fail("expected a text");
    return json.text;
  }
  bool Bool(const Json& json) {
    if (json.kind != base::JsonKind::kTrue && json.kind != base::JsonKind::kFalse) {
      Fail("expected true or false");
    }
    return json.kind == base::JsonKind::kTrue;
  }
  double Number(const Json& json) {
    double number = 0;
    if (json.kind != base::JsonKind::kNumber || !absl::SimpleAtod(json.raw, &number)) {
      Fail("expected a number");
    }
    return number;
  }
  int64_t Whole(const Json& json, int64_t least, int64_t most) {
    int64_t number = 0;
    if (json.kind != base::JsonKind::kNumber || !absl::SimpleAtoi(json.raw, &number) ||
        number < least || number > most) {
      Fail(absl::StrCat("expected a whole number from ", least, " to ", most));
      return least;
    }
    return number;
  }
  int Status(const Json& json) { return static_cast<int>(Whole(json, 200, 599)); }
  double SeverityOf(const Json& json) {
    const double number = Number(json);
    if (number != 0 && number != 0.5 && number != 1 && number != 2 && number != 3 && number != 4) {
      Fail("a severity is 0, 0.5, 1, 2, 3 or 4");
    }
    return number;
  }
  template <typename Value, size_t kCount>
  Value OneOf(const Json& json, const Word<Value> (&words)[kCount]) {
    for (const Word<Value>& one : words) {
      if (json.kind == base::JsonKind::kString && one.word == json.text) return one.value;
    }
    Fail(absl::StrCat("expected one of ",
                      absl::StrJoin(words, ", ", [](std::string* out, const Word<Value>& one) {
                        absl::StrAppend(out, one.word);
                      })));
    return words[0].value;
  }
  // A value, or a list of such.
  template <typename Do>
  void OneOrMore(const Json& json, const Do& read) {
    if (json.kind == base::JsonKind::kArray) return EachItem(json, kMostEntries, read);
    read(json);
  }

  Reference ReferenceOf(absl::string_view text) {
    absl::StatusOr<Reference> reference = ReadReference(text, words_);
    if (!reference.ok()) return Fail(reference.status().message()), Reference();
    return *std::move(reference);
  }
  std::vector<Reference> References(const Json& json) {
    std::vector<Reference> result;
    OneOrMore(json, [&](const Json& one) { result.push_back(ReferenceOf(Text(one))); });
    return result;
  }
  Template TemplateOf(const Json& json) { return TemplateOf(Text(json)); }
  Template TemplateOf(absl::string_view text) {
    absl::StatusOr<Template> result = ReadTemplate(text, words_);
    if (!result.ok()) return Fail(result.status().message()), Template();
    return *std::move(result);
  }
  std::vector<Template> Templates(const Json& json) {
    std::vector<Template> result;
    OneOrMore(json, [&](const Json& one) { result.push_back(TemplateOf(one)); });
    return result;
  }
  std::vector<std::string> Texts(const Json& json, size_t most) {
    std::vector<std::string> result;
    EachItem(json, most, [&](const Json& one) { result.push_back(Text(one)); });
    return result;
  }
  Pattern PatternOf(const Json& json) {
    absl::StatusOr<Pattern> pattern = Pattern::Create(Text(json));
    if (!pattern.ok()) return Fail(pattern.status().message()), Pattern();
    return *std::move(pattern);
  }
  // `json:PATH` of an array.
  uint32_t Slot(const Json& json) {
    const Reference reference = ReferenceOf(Text(json));
    if (reference.from != From::kJson) Fail("expected json: and a path");
    return reference.slot;
  }

  void ReadTests(const Json& json, std::vector<Condition::Test>& out);
  Condition ReadCondition(const Json& json);
  void ReadConfig(const Json& json, Profile& out);
  void ReadAuthenticate(const Json& json, Authenticate& out);
  void CheckAuthenticate(const Authenticate& entry);
  void ReadKey(const Json& json, Authenticate& out);
  void ReadTimestamp(const Json& json, Authenticate& out);
  void ReadHash(const Json& json, Authenticate& out);
  void ReadHandshake(const Json& json, Handshake& out);
  void ReadVisit(const Json& json, Handshake& out);
  void ReadAnswer(const Json& json, Handshake& out);
  void ReadPieces(const Json& json, AnswerBody& out);
  void ReadBody(const Json& json, Profile& out);
  void ReadIncidents(const Json& json, IncidentsForm& out);
  void ReadSeverity(const Json& json, Severity& out);
  void ReadAnswers(const Json& json, Profile& out);

  absl::Status status_;
  std::vector<std::string> place_;
  Vocabulary words_;
};

void ProfileReader::ReadTests(const Json& json, std::vector<Condition::Test>& out) {
  using TestKind = Condition::Test::Kind;
  Members(json, [&](absl::string_view name, const Json& want) {
    Condition::Test& test = out.emplace_back();
    test.reference = ReferenceOf(name);
    switch (want.kind) {
      case base::JsonKind::kTrue:
      case base::JsonKind::kFalse:
        test.kind = Bool(want) ? TestKind::kPresent : TestKind::kAbsent;
        return true;
      case base::JsonKind::kString:
        test.kind = TestKind::kOneOf;
        test.texts = {want.text};
        return true;
      case base::JsonKind::kArray:
        test.kind = TestKind::kOneOf;
        test.texts = Texts(want, kMostListed);
        return true;
      default:
        break;
    }
    if (want.kind != base::JsonKind::kObject || want.members.size() != 1) {
      return Fail("expected true, false, a text, a list, {\"prefix\"} or {\"matches\"}"), true;
    }
    Members(want, [&](absl::string_view how, const Json& text) {
      if (how == "prefix") {
        test.kind = TestKind::kPrefix;
        test.texts = {Text(text)};
      } else if (how == "matches") {
        test.kind = TestKind::kMatches;
        test.pattern = {PatternOf(text)};
      } else {
        return false;
      }
      return true;
    });
    return true;
  });
}

Condition ProfileReader::ReadCondition(const Json& json) {
  Condition result;
  OneOrMore(json, [&](const Json& one) { ReadTests(one, result.alternatives.emplace_back()); });
  if (result.alternatives.empty()) Fail("the list is empty");
  return result;
}

void ProfileReader::ReadConfig(const Json& json, Profile& out) {
  Members(json, kMostEntries, [&](absl::string_view name, const Json& value) {
    if (!base::IsName(name)) Fail("a name has letters, digits, _ and -");
    out.config.emplace_back(name, Text(value));
    words_.config.emplace_back(name);
    return true;
  });
}

void ProfileReader::ReadKey(const Json& json, Authenticate& out) {
  Members(json, [&](absl::string_view name, const Json& value) {
    if (name == "as") return Is([&] { out.key_form = OneOf(value, kKeyForms); });
    if (name == "strip") return Is([&] { out.key_strip = Text(value); });
    if (name == "only") return Is([&] { out.key_only = Text(value); });
    if (name == "not") return Is([&] { out.key_not = Text(value); });
    return false;
  });
}

void ProfileReader::ReadTimestamp(const Json& json, Authenticate& out) {
  Timestamp& time = out.timestamp.emplace();
  Members(json, [&](absl::string_view name, const Json& value) {
    if (name == "from") return Is([&] { time.from = References(value); });
    if (name == "format") return Is([&] { time.form = OneOf(value, kTimeForms); });
    if (name == "tolerance_s") {
      return Is([&] { time.tolerance = absl::Seconds(Whole(value, 1, 24 * 3600)); });
    }
    return false;
  });
  if (time.from.empty()) Fail("from is missing");
  if (time.tolerance == absl::ZeroDuration()) Fail("tolerance_s is missing");
}

void ProfileReader::ReadHash(const Json& json, Authenticate& out) {
  if (json.kind != base::JsonKind::kObject) {
    out.hash = OneOf(json, kHashes);
    return;
  }
  Members(json, [&](absl::string_view name, const Json& value) {
    if (name == "from") return Is([&] { out.hash_from = References(value); });
    if (name != "map") return false;
    Members(value, [&](absl::string_view text, const Json& hash) {
      out.hash_map.emplace_back(text, OneOf(hash, kHashes));
      return true;
    });
    return true;
  });
  if (out.hash_from.empty() || out.hash_map.empty()) Fail("from and map are needed");
}

void ProfileReader::ReadAuthenticate(const Json& json, Authenticate& out) {
  words_.is_signature = true;
  bool has_kind = false;
  Members(json, [&](absl::string_view name, const Json& value) {
    if (name == "kind") return Is([&] { out.kind = OneOf(value, kKinds), has_kind = true; });
    if (name == "from") return Is([&] { out.from = References(value); });
    if (name == "list") return Is([&] { out.list = Text(value); });
    if (name == "prefix") return Is([&] { out.prefix = Text(value); });
    if (name == "encoding") return Is([&] { out.encoding = OneOf(value, kEncodings); });
    if (name == "hash") return Is([&] { ReadHash(value, out); });
    if (name == "signed") return Is([&] { out.is_signed = Templates(value); });
    if (name == "key") return Is([&] { ReadKey(value, out); });
    if (name == "timestamp") return Is([&] { ReadTimestamp(value, out); });
    if (name == "id") return Is([&] { out.id = ReferenceOf(Text(value)); });
    if (name == "when") return Is([&] { out.when = ReadCondition(value); });
    if (name == "each") return Is([&] { out.each = Slot(value); });
    if (name == "secret") return Is([&] { out.secret = Text(value); });
    if (name == "needs") return Is([&] { Text(value); });  // told to people alone
    if (name == "checks") {
      Members(value, kMostEntries, [&](absl::string_view what, const Json& text) {
        out.checks.emplace_back(ReferenceOf(what), TemplateOf(text));
        return true;
      });
      return true;
    }
    if (name == "certificate") {
      Members(value, [&](absl::string_view part, const Json& text) {
        if (part == "url") return Is([&] { out.certificate_url = References(text); });
        if (part == "host") return Is([&] { out.certificate_host = {PatternOf(text)}; });
        if (part == "path") return Is([&] { out.certificate_path = {PatternOf(text)}; });
        return false;
      });
      return true;
    }
    if (name == "claims") {
      Members(value, kMostEntries, [&](absl::string_view claim, const Json& text) {
        if (claim == "iss") {
          OneOrMore(text, [&](const Json& one) { out.issuers.push_back(Text(one)); });
        } else if (claim == "aud") {
          out.audience = TemplateOf(text);
        } else {
          out.claims.emplace_back(claim, TemplateOf(text));
        }
        return true;
      });
      return true;
    }
    // Told to people alone: the key fixes the algorithm, and keys are never fetched.
    if (name == "algorithms") return Is([&] { Texts(value, kMostEntries); });
    if (name == "keys") {
      Members(value, [&](absl::string_view part, const Json& text) {
        return part == "url" && Is([&] { Text(text); });
      });
      return true;
    }
    return false;
  });
  if (!has_kind) Fail("kind is missing");
  CheckAuthenticate(out);
  words_.is_signature = false;
}

void ProfileReader::CheckAuthenticate(const Authenticate& entry) {
  const bool is_signed =
      entry.kind != Kind::kBasic && entry.kind != Kind::kToken && entry.kind != Kind::kJwt;
  if (entry.kind == Kind::kBasic ? !entry.from.empty() : entry.from.empty()) {
    Fail(entry.kind == Kind::kBasic ? "basic has no from" : "from is missing");
  }
  if (is_signed != !entry.is_signed.empty()) {
    Fail(is_signed ? "signed is missing" : "only a signature has signed");
  }
  if (!is_signed && (entry.timestamp.has_value() || entry.id.has_value())) {
    Fail("only what is signed has a timestamp or an id");
  }
  for (const Template& one : entry.is_signed) {
    if (one.Any([](const Reference& r) { return r.from == From::kTimestamp; }) &&
        !entry.timestamp.has_value()) {
      Fail("signed has {ts}, but there is no timestamp");
    }
    if (one.Any([](const Reference& r) { return r.from == From::kId; }) && !entry.id.has_value()) {
      Fail("signed has {id}, but there is no id");
    }
    // Whoever has one signature could put it on anything.
    if (!one.Any([](const Reference& r) { return r.from != From::kConfig; })) {
      Fail("signed has nothing of the request");
    }
  }
  if (!entry.checks.empty() && (entry.kind == Kind::kBasic || entry.kind == Kind::kJwt)) {
    Fail("only a signature or a token has checks");
  }
  if (entry.kind == Kind::kHmac && !entry.hash_map.empty()) Fail("an hmac has one hash");
  const bool has_certificate = !entry.certificate_url.empty() && !entry.certificate_host.empty() &&
                               !entry.certificate_path.empty();
  if (entry.kind == Kind::kCertificate ? !has_certificate : !entry.certificate_url.empty()) {
    Fail("certificate has url, host and path");
  }
  if (entry.kind == Kind::kJwt && (entry.issuers.empty() || !entry.audience.has_value())) {
    Fail("a jwt needs the claims iss and aud");
  }
  for (const Reference& from : entry.from) {
    if (from.from == From::kItem && !entry.each.has_value()) Fail("item: needs each");
  }
}

void ProfileReader::ReadPieces(const Json& json, AnswerBody& out) {
  if (out.pieces.empty()) out.pieces.emplace_back();
  switch (json.kind) {
    case base::JsonKind::kString:
      out.pieces.back().text = TemplateOf(json);
      out.pieces.emplace_back();
      return;
    case base::JsonKind::kObject: {
      char next = '{';
      Members(json, [&](absl::string_view name, const Json& value) {
        std::string& literal = out.pieces.back().literal;
        literal.push_back(next);
        base::AppendJsonString(&literal, name);
        literal.push_back(':');
        ReadPieces(value, out);
        next = ',';
        return true;
      });
      absl::StrAppend(&out.pieces.back().literal, next == '{' ? "{}" : "}");
      return;
    }
    case base::JsonKind::kArray: {
      char next = '[';
      EachItem(json, kMostListed, [&](const Json& value) {
        out.pieces.back().literal.push_back(next);
        ReadPieces(value, out);
        next = ',';
      });
      absl::StrAppend(&out.pieces.back().literal, next == '[' ? "[]" : "]");
      return;
    }
    default:
      absl::StrAppend(&out.pieces.back().literal, json.raw);
  }
}

void ProfileReader::ReadAnswer(const Json& json, Handshake& out) {
  Members(json, [&](absl::string_view name, const Json& value) {
    if (name == "status") return Is([&] { out.status = Status(value); });
    if (name == "json" || name == "text") {
      if (out.body.kind != AnswerBody::Kind::kNone) Fail("json and text exclude each other");
      out.body.kind = name == "json" ? AnswerBody::Kind::kJson : AnswerBody::Kind::kText;
      if (name == "text") Text(value);
      ReadPieces(value, out.body);
      return true;
    }
    if (name != "headers") return false;
    Members(value, kMostEntries, [&](absl::string_view header, const Json& text) {
      if (!base::IsToken(header)) Fail("no name of a header");
      out.headers.emplace_back(header, TemplateOf(text));
      return true;
    });
    return true;
  });
}

// Nothing is ever fetched: a person is shown the URL.
void ProfileReader::ReadVisit(const Json& json, Handshake& out) {
  Members(json, [&](absl::string_view name, const Json& value) {
    if (name == "url") {
      return Is([&] {
        if (out.show.empty()) out.show = References(value);
      });
    }
    if (name == "host" || name == "path") return Is([&] { PatternOf(value); });
    if (name == "when") return Is([&] { ReadCondition(value); });
    if (name == "needs") return Is([&] { Text(value); });
    return false;
  });
}

void ProfileReader::ReadHandshake(const Json& json, Handshake& out) {
  Members(json, [&](absl::string_view name, const Json& value) {
    if (name == "when") return Is([&] { out.when = ReadCondition(value); });
    if (name == "answer") return Is([&] { ReadAnswer(value, out); });
    if (name == "show") return Is([&] { out.show = References(value); });
    if (name == "visit") return Is([&] { ReadVisit(value, out); });
    if (name == "refused") return Is([&] { out.refused = Status(value); });
    if (name != "auth") return false;
    if (value.kind == base::JsonKind::kObject) {
      out.auth = Handshake::Auth::kOwn;
      ReadAuthenticate(value, out.own.emplace_back());
    } else if (const std::string text = Text(value); text == "none") {
      out.auth = Handshake::Auth::kNone;
    } else if (text != "same") {
      Fail("expected same, none or an entry as in authenticate");
    }
    return true;
  });
  if (out.when.alternatives.empty()) Fail("when is missing");
}

void ProfileReader::ReadBody(const Json& json, Profile& out) {
  Members(json, [&](absl::string_view name, const Json& value) {
    if (name == "other") return Is([&] { out.other_type = OneOf(value, kDecoders); });
    if (name == "limit") {
      return Is([&] { out.body_limit = static_cast<size_t>(Whole(value, 1, int64_t{1} << 40)); });
    }
    if (name == "types") {
      Members(value, [&](absl::string_view type, const Json& decoder) {
        out.types.emplace_back(absl::AsciiStrToLower(type), OneOf(decoder, kDecoders));
        return true;
      });
      return true;
    }
    if (name != "unwrap") return false;
    EachItem(value, kMostEntries, [&](const Json& one) {
      Unwrap& unwrap = out.unwrap.emplace_back();
      bool has_path = false;
      std::string as;
      Members(one, [&](absl::string_view part, const Json& text) {
        if (part == "as") return Is([&] { as = Text(text); });
        if (part != "at") return false;
        has_path = true;
        absl::StatusOr<uint32_t> slot = words_.paths->Add(Text(text));
        if (!slot.ok()) return Fail(slot.status().message()), true;
        unwrap.slot = *slot;
        return true;
      });
      unwrap.optional = absl::EndsWith(as, "?");
      if (unwrap.optional) as.pop_back();
      unwrap.base64 = as == "base64-json";
      if (!has_path || (as != "json" && as != "base64-json")) {
        Fail("unwrap has at, a path, and as: json, json?, base64-json or base64-json?");
      }
    });
    return true;
  });
}

void ProfileReader::ReadSeverity(const Json& json, Severity& out) {
  Members(json, [&](absl::string_view name, const Json& value) {
    if (name == "from") return Is([&] { out.from = References(value); });
    if (name == "default") return Is([&] { out.otherwise = SeverityOf(value); });
    if (name != "map") return false;
    Members(value, [&](absl::string_view text, const Json& severity) {
      out.map.emplace_back(text, SeverityOf(severity));
      return true;
    });
    return true;
  });
}

void ProfileReader::ReadIncidents(const Json& json, IncidentsForm& out) {
  if (json.kind == base::JsonKind::kString && json.text == "documented") {
    out.documented = true;
    out.name = {TemplateOf("{item:name}")};
    out.type = {TemplateOf("{item:type}")};
    out.occurred = {{ReferenceOf("item:occurred"), std::nullopt}};
    out.details = {ReferenceOf("item:rawJson"), ReferenceOf("item:raw_json")};
    return;
  }
  Members(json, [&](absl::string_view name, const Json& value) {
    if (name == "when") return Is([&] { out.when = ReadCondition(value); });
    if (name == "keep") return Is([&] { out.keep = Bool(value); });
    if (name == "each") return Is([&] { out.each = Slot(value); });
    if (name == "name") return Is([&] { out.name = Templates(value); });
    if (name == "type") return Is([&] { out.type = Templates(value); });
    if (name == "delivery") return Is([&] { out.delivery = Templates(value); });
    if (name == "severity") return Is([&] { ReadSeverity(value, out.severity.emplace()); });
    if (name == "details") {
      return Is([&] {
        out.details = References(value);
        for (const Reference& one : out.details) {
          if (!one.is_in_document()) Fail("expected json: or item:");
        }
      });
    }
    if (name != "occurred") return false;
    OneOrMore(value, [&](const Json& one) {
      Occurred& occurred = out.occurred.emplace_back();
      if (one.kind == base::JsonKind::kString) {
        occurred.from = ReferenceOf(one.text);
        return;
      }
      bool has_from = false;
      Members(one, [&](absl::string_view part, const Json& text) {
        if (part == "format") return Is([&] { occurred.form = OneOf(text, kTimeForms); });
        if (part != "from") return false;
        has_from = true;
        occurred.from = ReferenceOf(Text(text));
        return true;
      });
      if (!has_from) Fail("from is missing");
    });
    return true;
  });
}

void ProfileReader::ReadAnswers(const Json& json, Profile& out) {
  Members(json, [&](absl::string_view name, const Json& value) {
    if (name == "refused") return Is([&] { out.refused_status = Status(value); });
    if (name == "within_s") return Is([&] { Number(value); });  // told to people alone
    if (name != "accepted") return false;
    Members(value, [&](absl::string_view part, const Json& body) {
      if (part == "status") return Is([&] { out.accepted_status = Status(body); });
      if (part != "body") return false;
      if (body.kind == base::JsonKind::kString && body.text == "none") {
        out.accepted = {};
      } else if (body.kind != base::JsonKind::kString || body.text != "incidents") {
        words_.has_incident = true;
        Handshake answer;
        if (body.kind == base::JsonKind::kString || body.members.size() != 1 ||
            body.members[0].first == "status" || body.members[0].first == "headers") {
          Fail("expected incidents, none, {\"json\"} or {\"text\"}");
        }
        ReadAnswer(body, answer);
        out.accepted = answer.body;
        words_.has_incident = false;
      }
      return true;
    });
    return true;
  });
}

void ProfileReader::Read(const Json& json, Profile& out) {
  if (json.kind != base::JsonKind::kObject) return Fail("expected an object");
  // Everything else may refer to it.
  for (const auto& [name, value] : json.members) {
    if (name == "config") At(name, [&, &value = value] { ReadConfig(value, out); });
  }
  bool has_version = false;
  Members(json, [&](absl::string_view name, const Json& value) {
    if (name == "profile") return Is([&] { has_version = Whole(value, 1, 1) == 1; });
    if (name == "config") return true;
    if (name == "name") {
      return Is([&] {
        out.name = Text(value);
        if (!base::IsName(out.name)) Fail("a name has 1 to 64 letters, digits, _ and -");
      });
    }
    if (name == "title") return Is([&] { out.title = Text(value); });
    if (name == "setup") return Is([&] { out.setup = Text(value); });
    if (name == "methods") {
      return Is([&] {
        out.methods = Texts(value, kMostEntries);
        for (const std::string& one : out.methods) {
          if (!base::IsToken(one)) Fail("no method");
        }
      });
    }
    if (name == "authenticate") {
      EachItem(value, kMostEntries,
               [&](const Json& one) { ReadAuthenticate(one, out.authenticate.emplace_back()); });
      return true;
    }
    if (name == "handshake") {
      EachItem(value, kMostEntries,
               [&](const Json& one) { ReadHandshake(one, out.handshakes.emplace_back()); });
      return true;
    }
    if (name == "body") return Is([&] { ReadBody(value, out); });
    if (name == "delivery") return Is([&] { out.delivery = Templates(value); });
    if (name == "answer") return Is([&] { ReadAnswers(value, out); });
    if (name == "incidents") {
      OneOrMore(value, [&](const Json& one) { ReadIncidents(one, out.incidents.emplace_back()); });
      return true;
    }
    if (name == "redact") {
      EachItem(value, kMostListed, [&](const Json& one) {
        const Reference& secret = out.secrets.emplace_back(ReferenceOf(Text(one)));
        if (secret.from != From::kHeader && secret.from != From::kHeaderNumbers &&
            secret.from != From::kQuery) {
          Fail("expected header: or query:, for bodies are kept as they were sent");
        }
      });
      return true;
    }
    return false;
  });
  if (!has_version) Fail("\"profile\": 1 is missing");
  if (out.name.empty()) Fail("name is missing");
  if (out.authenticate.empty()) Fail("authenticate is missing");
  if (out.title.empty()) out.title = out.name;
}

void ProfileReader::ReadRule(const Json& json, Rule& out) {
  words_.has_event = true;
  bool has_do = false;
  Members(json, [&](absl::string_view name, const Json& value) {
    if (name == "when") return Is([&] { out.when = ReadCondition(value); });
    if (name != "do") return false;
    has_do = true;
    if (value.kind == base::JsonKind::kString && value.text == "drop") {
      out.action = Rule::Do::kDrop;
    } else if (value.kind == base::JsonKind::kObject) {
      out.action = Rule::Do::kSet;
      Members(value, [&](absl::string_view word, const Json& set) {
        if (word != "set") return false;
        Members(set, [&](absl::string_view what, const Json& to) {
          if (what == "name") return Is([&] { out.name = Text(to); });
          if (what == "type") return Is([&] { out.type = Text(to); });
          if (what == "severity") return Is([&] { out.severity = SeverityOf(to); });
          return false;
        });
        return true;
      });
      for (const auto* const text : {&out.name, &out.type}) {
        if (text->has_value() && ((*text)->empty() || (*text)->size() > kMostTextBytes)) {
          Fail(absl::StrCat("a text has 1 to ", kMostTextBytes, " bytes"));
        }
      }
      if (!out.name && !out.type && !out.severity) Fail("set needs name, type or severity");
    } else if (value.kind != base::JsonKind::kString || value.text != "keep") {
      Fail("expected drop, keep or {\"set\": {...}}");
    }
    return true;
  });
  if (!has_do) Fail("do is missing");
}

absl::StatusOr<Json> Tree(base::JsonReader& reader, absl::string_view text) {
  if (text.size() > kMostProfileBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("it has ", text.size(), " bytes; at most ", kMostProfileBytes, " are taken"));
  }
  Json json;
  if (!reader.OpenCopy(text) || !ReadTree(reader, json) || !reader.Finish()) {
    return absl::InvalidArgumentError(
        absl::StrCat(base::LineAndColumn(text, reader.fault().byte), ": ", reader.fault().what));
  }
  return json;
}

// All entries, with their places.
std::vector<std::pair<std::string, Authenticate*>> EntriesOf(Profile& profile) {
  std::vector<std::pair<std::string, Authenticate*>> entries;
  for (size_t i = 0; i < profile.authenticate.size(); ++i) {
    entries.emplace_back(absl::StrCat("authenticate[", i, "]"), &profile.authenticate[i]);
  }
  for (size_t i = 0; i < profile.handshakes.size(); ++i) {
    for (Authenticate& own : profile.handshakes[i].own) {
      entries.emplace_back(absl::StrCat("handshake[", i, "].auth"), &own);
    }
  }
  return entries;
}

// Whether no secret can be a key of both.
bool HaveDistinctKeys(const Authenticate& a, const Authenticate& b) {
  const auto passes_over = [](const Authenticate& one, const Authenticate& other) {
    return !one.key_not.empty() && absl::StartsWith(other.key_only, one.key_not);
  };
  return passes_over(a, b) || passes_over(b, a) ||
         (!absl::StartsWith(a.key_only, b.key_only) && !absl::StartsWith(b.key_only, a.key_only));
}

bool IsSame(const Reference& a, const Reference& b) {
  if (a.from != b.from || a.from_config != b.from_config) return false;
  if (a.is_in_document()) return a.slot == b.slot;
  return a.from == From::kHeader ? absl::EqualsIgnoreCase(a.name, b.name) : a.name == b.name;
}

// Whether the bytes that `parts` make change with every change of the value.
bool Signs(const Authenticate& entry, const std::vector<Template::Part>& parts,
           const Reference& value) {
  using Part = Template::Part;
  return std::any_of(parts.begin(), parts.end(), [&](const Part& part) {
    // In a group, something else that is absent could take the value with it.
    if (part.kind == Part::Kind::kGroup) {
      return std::count_if(part.group.begin(), part.group.end(),
                           [](const Part& inner) { return inner.kind != Part::Kind::kText; }) ==
                 1 &&
             Signs(entry, part.group, value);
    }
    if (part.kind != Part::Kind::kReference ||
        std::any_of(part.functions.begin(), part.functions.end(), [](Function function) {
          return function == Function::kCrc32 || function == Function::kLower;
        })) {
      return false;
    }
    if (part.reference.from == From::kId) return IsSame(*entry.id, value);
    return IsSame(part.reference, value);
  });
}

bool Signs(const Authenticate& entry, const Reference& value) {
  return !entry.is_signed.empty() &&
         std::all_of(entry.is_signed.begin(), entry.is_signed.end(),
                     [&](const Template& one) { return Signs(entry, one.parts, value); });
}

// What is not signed, whoever has captured a request can change, and then send it again.
void FindWhatIsSigned(const Profile& profile, Authenticate& entry) {
  // Such decoders make a part of the document of headers.
  const auto reads_headers = [](Decoder decoder) {
    return decoder == Decoder::kAuto || decoder == Decoder::kCloudEvents ||
           decoder == Decoder::kCloudEventsBinary;
  };
  const bool signs_document =
      Signs(entry, {.from = From::kBody}) && !reads_headers(profile.other_type) &&
      std::none_of(profile.types.begin(), profile.types.end(),
                   [&](const auto& type) { return reads_headers(type.second); });
  if (entry.timestamp.has_value()) {
    std::vector<Reference>& from = entry.timestamp->from;
    const auto end = std::find_if(from.begin(), from.end(), [&](const Reference& one) {
      return !Signs(entry, {.from = From::kTimestamp}) && !Signs(entry, one) &&
             !(signs_document && one.needs_body());
    });
    entry.timestamp->signed_count = static_cast<size_t>(end - from.begin());
  }
  entry.signs_delivery =
      !profile.delivery.empty() &&
      std::none_of(profile.delivery.begin(), profile.delivery.end(), [&](const Template& one) {
        return one.Any([&](const Reference& value) {
          return value.from != From::kConfig && !Signs(entry, value);
        });
      });
}

}  // namespace

const char* NameOf(Kind kind) { return WordOf(kind, kKinds).data(); }

std::optional<absl::Time> ReadTime(absl::string_view text, TimeForm form) {
  const bool digits =
      !text.empty() && text.size() <= 16 && std::all_of(text.begin(), text.end(), base::IsDigit);
  if (form != TimeForm::kRfc3339 && digits) {
    int64_t number = 0;
    if (!absl::SimpleAtoi(text, &number)) return std::nullopt;
    constexpr int64_t kFirstMilliseconds = 100'000'000'000;
    constexpr int64_t kFirstMicroseconds = 100'000'000'000'000;
    if (form == TimeForm::kUnixMs || (form != TimeForm::kUnix && number > kFirstMilliseconds)) {
      return number < kFirstMicroseconds ? absl::FromUnixMillis(number)
                                         : absl::FromUnixMicros(number);
    }
    return absl::FromUnixSeconds(number);
  }
  if (form != TimeForm::kRfc3339 && form != TimeForm::kRfc3339OrUnix) return std::nullopt;
  // RFC 3339 section 5.6, and a zone without its colon.
  constexpr absl::string_view kShape = "0000-00-00T00:00:00";
  if (text.size() <= kShape.size()) return std::nullopt;
  for (size_t i = 0; i < kShape.size(); ++i) {
    const char c = text[i];
    if (kShape[i] == '0'   ? !base::IsDigit(c)
        : kShape[i] == 'T' ? c != 'T' && c != 't' && c != ' '
                           : c != kShape[i]) {
      return std::nullopt;
    }
  }
  absl::string_view zone = text.substr(kShape.size());
  if (zone[0] == '.') {
    zone.remove_prefix(1);
    const size_t fraction = std::min(zone.find_first_not_of("0123456789"), zone.size());
    if (fraction == 0) return std::nullopt;
    zone.remove_prefix(fraction);
  }
  const bool is_offset = zone.size() >= 5 && (zone[0] == '+' || zone[0] == '-') &&
                         zone.size() == (zone[3] == ':' ? 6 : 5);
  if (zone != "Z" && zone != "z" && !is_offset) return std::nullopt;
  const std::optional<core::OccurredText> normal = core::NormalizeOccurred(text);
  if (!normal.has_value()) return std::nullopt;
  absl::Time time;
  if (!absl::ParseTime(absl::RFC3339_full, normal->text(), &time, nullptr)) return std::nullopt;
  return time;
}

bool Authenticate::needs_parsing() const {
  const auto parses = [](const Reference& one) { return one.needs_parsing(); };
  const auto any = [&](const std::vector<Reference>& list) {
    return std::any_of(list.begin(), list.end(), parses);
  };
  if (id.has_value() && id->needs_parsing()) return true;
  if (each.has_value() || any(from) || any(hash_from) || any(certificate_url)) return true;
  if (when.has_value() && when->needs_body()) return true;
  if (std::any_of(is_signed.begin(), is_signed.end(),
                  [&](const Template& one) { return one.Any(parses); })) {
    return true;
  }
  return std::any_of(checks.begin(), checks.end(), [&](const auto& check) {
    return parses(check.first) || check.second.Any(parses);
  });
}

absl::StatusOr<std::shared_ptr<const Profile>> ReadProfile(absl::string_view json) {
  base::JsonReader reader(kMostDepth);
  absl::StatusOr<Json> tree = Tree(reader, json);
  if (!tree.ok()) return tree.status();
  auto profile = std::make_shared<Profile>();
  ProfileReader profile_reader(&profile->paths);
  profile_reader.Read(*tree, *profile);
  if (!profile_reader.status().ok()) return profile_reader.status();
  for (const auto& [place, entry] : EntriesOf(*profile)) {
    FindWhatIsSigned(*profile, *entry);
    if (!entry->timestamp.has_value() || entry->timestamp->signed_count > 0) continue;
    profile_reader.At(absl::StrCat(place, ".timestamp"), [&] {
      profile_reader.Fail(
          "the time is not signed: signed needs {ts}, or {body} and the time in it");
    });
  }
  // Everybody may know a public key: it must not be taken for a secret, too.
  const auto is_public = [](const Authenticate& entry) {
    return entry.kind == Kind::kEd25519 || entry.kind == Kind::kEcdsaP256;
  };
  for (const auto& [place, entry] : EntriesOf(*profile)) {
    if (!is_public(*entry)) continue;
    for (const auto& one : EntriesOf(*profile)) {
      const Authenticate* const other = one.second;
      if (is_public(*other) || !other->uses_secrets() || entry->secret != other->secret ||
          HaveDistinctKeys(*entry, *other)) {
        continue;
      }
      profile_reader.At(place, [&] {
        profile_reader.Fail(absl::StrCat("its public keys would be secrets of ", one.first,
                                         ": key needs only and not, or secret another set"));
      });
    }
  }
  if (!profile_reader.status().ok()) return profile_reader.status();
  profile->json = std::string(json);
  if (profile->incidents.empty()) profile->incidents.emplace_back();
  for (const auto& [place, entry] : EntriesOf(*profile)) {
    profile->secrets.insert(profile->secrets.end(), entry->from.begin(), entry->from.end());
    if (!entry->secret.empty()) profile->named_secrets.push_back(entry->secret);
  }
  profile->whole = *profile->paths.Add("$");
  profile->envelope = *profile->paths.Add("envelope");
  return profile;
}

absl::StatusOr<std::shared_ptr<const Profile>> FindProfile(absl::string_view name) {
  std::vector<absl::string_view> near;
  for (const BuiltInProfile& one : BuiltInProfiles()) {
    if (one.name == name) return ReadProfile(one.json);
    if (name.size() > 2 &&
        (absl::StrContains(one.name, name) || absl::StartsWith(one.name, name.substr(0, 3)))) {
      near.push_back(one.name);
    }
  }
  return absl::NotFoundError(absl::StrCat("there is no source of this name",
                                          near.empty() ? "" : "; did you mean ",
                                          absl::StrJoin(near, " or ")));
}

std::string DescribeProfile(const Profile& profile) {
  std::string text = absl::StrCat(profile.name, ": ", profile.title, "\n");
  if (!profile.setup.empty())
    absl::StrAppend(&text, "\nWhat to configure\n  ", profile.setup, "\n");
  for (const auto& [name, value] : profile.config) {
    absl::StrAppend(&text, "  Parameter of the instance: ", name,
                    value.empty() ? "" : absl::StrCat(" (", value, " unless set)"), "\n");
  }
  for (const std::string& name : profile.named_secrets) {
    absl::StrAppend(&text, "  Secret of the instance: ", name, "\n");
  }
  absl::StrAppend(&text, "\nWhat is checked, of which one must hold (",
                  absl::StrJoin(profile.methods, ", "), ")\n");
  for (const Authenticate& entry : profile.authenticate) {
    absl::StrAppend(&text, "  ", NameOf(entry.kind));
    if (entry.kind == Kind::kHmac) absl::StrAppend(&text, " ", WordOf(entry.hash, kHashes));
    for (const Reference& from : entry.from) {
      absl::StrAppend(&text, &from == entry.from.data() ? ": " : ", ", from.Shown());
    }
    if (!entry.prefix.empty()) absl::StrAppend(&text, ", after \"", entry.prefix, "\"");
    if (!entry.is_signed.empty()) {
      absl::StrAppend(&text, ", in ", WordOf(entry.encoding, kEncodings));
    }
    if (entry.each.has_value()) absl::StrAppend(&text, ", of each element");
    if (entry.timestamp.has_value()) {
      absl::StrAppend(&text, ", at most ", absl::FormatDuration(entry.timestamp->tolerance),
                      " old or ahead");
    }
    if (entry.kind == Kind::kBasic) absl::StrAppend(&text, ": username and password");
    if (entry.kind == Kind::kCertificate) absl::StrAppend(&text, ", with certificates_file");
    if (entry.kind == Kind::kJwt) absl::StrAppend(&text, ", with jwks_file");
    text.push_back('\n');
  }
  absl::StrAppend(&text, "\nWhat becomes of a body\n");
  for (const auto& [type, decoder] : profile.types) {
    absl::StrAppend(&text, "  ", type, " is read as ", WordOf(decoder, kDecoders), "\n");
  }
  absl::StrAppend(&text, profile.other_type == Decoder::kRefuse
                             ? "  every other Content-Type is refused\n"
                             : absl::StrCat("  every ", profile.types.empty() ? "" : "other ",
                                            "Content-Type is read as ",
                                            WordOf(profile.other_type, kDecoders), "\n"));
  bool splits = false, documented = false;
  for (const IncidentsForm& form : profile.incidents) {
    splits = splits || form.each.has_value();
    documented = documented || form.documented;
  }
  absl::StrAppend(&text,
                  documented ? "  it is the documented one"
                  : splits   ? "  each element becomes an incident, with the rest as its envelope"
                             : "  it becomes one incident",
                  "; accepted requests are answered ", profile.accepted_status, "\n");
  if (!profile.handshakes.empty()) {
    absl::StrAppend(&text, "  ",
                    base::Counted(profile.handshakes.size(), "kind of handshake or test is",
                                  "kinds of handshake or test are"),
                    " answered, and nothing is created\n");
  }
  return text;
}

absl::StatusOr<std::shared_ptr<const Rules>> ReadRules(absl::string_view json,
                                                       const Profile& profile) {
  base::JsonReader reader(kMostDepth);
  absl::StatusOr<Json> tree = Tree(reader, json);
  if (!tree.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("rules: ", tree.status().message()));
  }
  auto rules = std::make_shared<Rules>();
  ProfileReader rule_reader(&rules->paths);
  for (const auto& [name, value] : profile.config) rule_reader.words().config.push_back(name);
  rule_reader.At("rules", [&] {
    rule_reader.EachItem(*tree, kMostRules, [&](const Json& one) {
      rule_reader.ReadRule(one, rules->rules.emplace_back());
    });
  });
  if (!rule_reader.status().ok()) return rule_reader.status();
  return rules;
}

}  // namespace webhook::sources
