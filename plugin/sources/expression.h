// The words of a profile that name a value of a request: references, templates and conditions.
// Immutable once read; what they stand for, Evaluator finds.
#ifndef PLUGIN_SOURCES_EXPRESSION_H_
#define PLUGIN_SOURCES_EXPRESSION_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "plugin/sources/json_values.h"

namespace re2 {
class RE2;
}

namespace webhook::sources {

// Longest text that a template or a reference gives, but for what is signed; longer names are cut.
inline constexpr size_t kMostTextBytes = 4 * 1024;

enum class From : uint8_t {
  kHeader,         // all lines of it, joined by ", "
  kHeaderNumbers,  // header:X-#: the headers and so on
  kQuery,
  kForm,
  kJson,
  kItem,
  kConfig,
  kEntry,  // of a list of signatures, the one with that prefix
  kMethod,
  kBody,
  kUrl,
  kUrlWithPort,
  kTimestamp,
  kId,
  kSortedForm,
  kIncidentId,
  kEventName,  // event:name, event:type, event:severity: for rules
  kEventType,
  kEventSeverity,
};

struct Reference {
  From from = From::kMethod;
  bool optional = false;     // in a template: empty where it is absent
  bool from_config = false;  // `name` is that of a config value, which is the name that is meant
  uint32_t slot = 0;         // of kJson and kItem, in the paths that they were read with
  std::string name;

  // For people: "header X-Hub-Signature-256".
  std::string Shown() const;

  // Whether Walk finds it.
  bool is_in_document() const { return from == From::kJson || from == From::kItem; }
  // Whether the body is needed to tell the value.
  bool needs_body() const {
    return is_in_document() || from == From::kForm || from == From::kBody ||
           from == From::kSortedForm;
  }
  // Whether the body must be parsed for it.
  bool needs_parsing() const { return needs_body() && from != From::kBody; }
};

enum class Function : uint8_t { kHex, kBase64, kSha256, kCrc32, kHmacSha256, kLower };

struct Template {
  struct Part {
    enum class Kind : uint8_t { kText, kReference, kGroup };
    Kind kind = Kind::kText;
    std::string text;
    Reference reference;
    std::vector<Function> functions;
    std::vector<Part> group;  // left out when something in it is absent
  };
  std::vector<Part> parts;
  // Slots of an element's values without which there is no text: most templates of a list fail by
  // them, before anything is made.
  std::vector<uint32_t> needed;

  // Whether any reference in it has this property.
  template <typename Has>
  bool Any(const Has& has) const {
    return AnyOf(parts, has);
  }

 private:
  template <typename Has>
  static bool AnyOf(const std::vector<Part>& parts, const Has& has) {
    for (const Part& part : parts) {
      if (part.kind == Part::Kind::kReference && has(part.reference)) return true;
      if (part.kind == Part::Kind::kGroup && AnyOf(part.group, has)) return true;
    }
    return false;
  }
};

// A regular expression that a whole value must match.
class Pattern {
 public:
  static constexpr size_t kMostBytes = 512;

  static absl::StatusOr<Pattern> Create(absl::string_view text);
  // Takes time in proportion to the value.
  bool Matches(absl::string_view value) const;

 private:
  std::shared_ptr<const re2::RE2> expression_;
};

struct Condition {
  struct Test {
    enum class Kind : uint8_t { kPresent, kAbsent, kOneOf, kPrefix, kMatches };
    Reference reference;
    Kind kind = Kind::kPresent;
    std::vector<std::string> texts;  // of kOneOf; the prefix
    std::vector<Pattern> pattern;    // one, of kMatches
  };
  std::vector<std::vector<Test>> alternatives;  // in one of them, all must hold

  bool needs_body() const {
    for (const auto& tests : alternatives) {
      for (const Test& test : tests) {
        if (test.reference.needs_body()) return true;
      }
    }
    return false;
  }
};

// What a reference may be where it stands.
struct Vocabulary {
  JsonPaths* paths;                 // of the texts json: and item:
  bool is_signature = false;        // entry:, ts and id exist
  bool has_incident = false;        // incident:id exists
  bool has_event = false;           // event: exists
  std::vector<std::string> config;  // names of config values that exist
};

// INVALID_ARGUMENT says what is wrong with the text.
absl::StatusOr<Reference> ReadReference(absl::string_view text, const Vocabulary& words);
absl::StatusOr<Template> ReadTemplate(absl::string_view text, const Vocabulary& words);

}  // namespace webhook::sources

#endif  // PLUGIN_SOURCES_EXPRESSION_H_
