#include "plugin/sources/expression.h"

#include <re2/re2.h>

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "plugin/base/characters.h"

namespace webhook::sources {
namespace {

constexpr size_t kMostFunctions = 4;
constexpr int kMostGroups = 4;  // one inside the other

constexpr struct {
  absl::string_view word;
  From from;
  bool has_name;
} kWords[] = {
    {"header", From::kHeader, true},
    {"query", From::kQuery, true},
    {"form", From::kForm, true},
    {"json", From::kJson, true},
    {"item", From::kItem, true},
    {"config", From::kConfig, true},
    {"entry", From::kEntry, true},
    {"method", From::kMethod, false},
    {"body", From::kBody, false},
    {"url", From::kUrl, false},
    {"url+port", From::kUrlWithPort, false},
    {"ts", From::kTimestamp, false},
    {"id", From::kId, false},
    {"form_sorted", From::kSortedForm, false},
    {"incident:id", From::kIncidentId, false},
    {"event:name", From::kEventName, false},
    {"event:type", From::kEventType, false},
    {"event:severity", From::kEventSeverity, false},
};

constexpr struct {
  absl::string_view word;
  Function function;
} kFunctions[] = {
    {"hex", Function::kHex},       {"base64", Function::kBase64},
    {"sha256", Function::kSha256}, {"crc32", Function::kCrc32},
    {"lower", Function::kLower},   {"hmac-sha256", Function::kHmacSha256},
};

absl::Status Refuse(absl::string_view what, absl::string_view text) {
  return absl::InvalidArgumentError(absl::StrCat(what, ": \"", text, "\""));
}

bool HasConfig(const Vocabulary& words, absl::string_view name) {
  return std::find(words.config.begin(), words.config.end(), name) != words.config.end();
}

bool ExistsIn(From from, const Vocabulary& words) {
  switch (from) {
    case From::kEntry:
    case From::kTimestamp:
    case From::kId:
      return words.is_signature;
    case From::kIncidentId:
      return words.has_incident;
    case From::kEventName:
    case From::kEventType:
    case From::kEventSeverity:
      return words.has_event;
    default:
      return true;
  }
}

class TemplateReader {
 public:
  TemplateReader(absl::string_view text, const Vocabulary& words) : text_(text), words_(words) {}

  absl::StatusOr<Template> Read() {
    Template result;
    if (absl::Status status = Parts(result.parts, 0); !status.ok()) return status;
    for (const Part& part : result.parts) {
      const bool is_needed = part.kind == Part::Kind::kReference &&
                             part.reference.from == From::kItem && !part.reference.optional;
      if (is_needed) result.needed.push_back(part.reference.slot);
    }
    return result;
  }

 private:
  using Part = Template::Part;

  absl::Status Parts(std::vector<Part>& parts, int depth) {
    std::string literal;
    const auto flush = [&] {
      if (!literal.empty()) parts.push_back({Part::Kind::kText, std::move(literal)});
      literal.clear();
    };
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if ((c == '{' || c == '}' || c == '[' || c == ']') && at_ + 1 < text_.size() &&
          text_[at_ + 1] == c) {
        literal.push_back(c);
        at_ += 2;
      } else if (c == '{') {
        flush();
        if (absl::Status status = Braces(parts); !status.ok()) return status;
      } else if (c == '[') {
        flush();
        if (depth == kMostGroups) return Refuse("too many brackets in each other", text_);
        ++at_;
        Part& group = parts.emplace_back();
        group.kind = Part::Kind::kGroup;
        if (absl::Status status = Parts(group.group, depth + 1); !status.ok()) return status;
        if (at_ == text_.size()) return Refuse("a bracket is not closed", text_);
        ++at_;
      } else if (c == ']' && depth > 0) {
        flush();
        return absl::OkStatus();
      } else if (c == '}' || c == ']') {
        return Refuse("a bracket is closed that was not opened", text_);
      } else {
        literal.push_back(c);
        ++at_;
      }
    }
    flush();
    return absl::OkStatus();
  }

  absl::Status Braces(std::vector<Part>& parts) {
    size_t end = at_ + 1;
    for (int open = 1; end < text_.size(); ++end) {
      open += text_[end] == '{' ? 1 : text_[end] == '}' ? -1 : 0;
      if (open == 0) break;
    }
    if (end == text_.size()) return Refuse("a brace is not closed", text_);
    const std::vector<absl::string_view> words =
        absl::StrSplit(text_.substr(at_ + 1, end - at_ - 1), '|');
    at_ = end + 1;
    absl::StatusOr<Reference> reference = ReadReference(words[0], words_);
    if (!reference.ok()) return reference.status();
    Part& part = parts.emplace_back();
    part.kind = Part::Kind::kReference;
    part.reference = *std::move(reference);
    if (words.size() - 1 > kMostFunctions) return Refuse("too many functions", text_);
    for (size_t i = 1; i < words.size(); ++i) {
      const auto* const found = std::find_if(std::begin(kFunctions), std::end(kFunctions),
                                             [&](const auto& one) { return one.word == words[i]; });
      if (found == std::end(kFunctions)) return Refuse("unknown function", words[i]);
      part.functions.push_back(found->function);
    }
    return absl::OkStatus();
  }

  const absl::string_view text_;
  const Vocabulary& words_;
  size_t at_ = 0;
};

}  // namespace

std::string Reference::Shown() const {
  switch (from) {
    case From::kHeader:
      return absl::StrCat("header ", name);
    case From::kHeaderNumbers:
      return absl::StrCat("headers ", name, "1, ", name, "2, ...");
    case From::kQuery:
      return absl::StrCat("query parameter ", name);
    case From::kForm:
      return absl::StrCat("form field ", name);
    case From::kJson:
      return absl::StrCat("json:", name);
    case From::kItem:
      return absl::StrCat("item:", name);
    case From::kConfig:
      return absl::StrCat("config ", name);
    case From::kEntry:
      return absl::StrCat("entry ", name);
    default:
      for (const auto& one : kWords) {
        if (one.from == from) return std::string(one.word);
      }
      return "";
  }
}

absl::StatusOr<Reference> ReadReference(absl::string_view text, const Vocabulary& words) {
  Reference result;
  absl::string_view rest = text;
  result.optional = absl::ConsumeSuffix(&rest, "?");
  const absl::string_view word = rest.substr(0, rest.find(':'));
  const auto* const found =
      std::find_if(std::begin(kWords), std::end(kWords),
                   [&](const auto& one) { return one.word == (one.has_name ? word : rest); });
  if (found == std::end(kWords) || !ExistsIn(found->from, words)) {
    return Refuse("unknown reference", text);
  }
  result.from = found->from;
  if (!found->has_name) return result;
  if (word.size() == rest.size()) return Refuse("a name must follow", text);
  absl::string_view name = rest.substr(word.size() + 1);
  if (absl::ConsumePrefix(&name, "{config:") && absl::ConsumeSuffix(&name, "}") &&
      (result.from == From::kHeader || result.from == From::kQuery)) {
    result.from_config = true;
    if (!HasConfig(words, name)) return Refuse("config has no such name", name);
  } else if (name.find_first_of("{}") != absl::string_view::npos) {
    return Refuse("only header:{config:NAME} and query:{config:NAME} may have braces", text);
  }
  if (name.empty()) return Refuse("a name must follow", text);
  result.name = std::string(name);
  switch (result.from) {
    case From::kHeader:
      if (result.from_config) break;
      if (absl::ConsumeSuffix(&name, "#")) {
        result.from = From::kHeaderNumbers;
        result.name = std::string(name);
      }
      if (!base::IsToken(name)) return Refuse("no name of a header", text);
      break;
    case From::kConfig:
      if (!HasConfig(words, name)) return Refuse("config has no such name", name);
      break;
    case From::kJson:
    case From::kItem: {
      absl::StatusOr<uint32_t> slot = words.paths->Add(name);
      if (!slot.ok()) return slot.status();
      result.slot = *slot;
      break;
    }
    default:
      break;
  }
  return result;
}

absl::StatusOr<Template> ReadTemplate(absl::string_view text, const Vocabulary& words) {
  return TemplateReader(text, words).Read();
}

absl::StatusOr<Pattern> Pattern::Create(absl::string_view text) {
  if (text.empty() || text.size() > kMostBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("a regular expression has 1 to ", kMostBytes, " bytes"));
  }
  re2::RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(1 << 20);
  auto expression =
      std::make_shared<const re2::RE2>(re2::StringPiece(text.data(), text.size()), options);
  if (!expression->ok()) return Refuse("no regular expression", expression->error());
  Pattern pattern;
  pattern.expression_ = std::move(expression);
  return pattern;
}

bool Pattern::Matches(absl::string_view value) const {
  return re2::RE2::FullMatch(re2::StringPiece(value.data(), value.size()), *expression_);
}

}  // namespace webhook::sources
