#include "host_stub/cli/text.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

namespace host_stub {
namespace {

constexpr size_t kWidestCell = 60;
constexpr uint32_t kMalformed = 0xffffffff;

struct Character {
  uint32_t code = kMalformed;
  size_t size = 1;  // bytes
};

// The first character of a text that is not empty (RFC 3629).
Character FirstCharacter(absl::string_view text) {
  const unsigned char lead = static_cast<unsigned char>(text[0]);
  if (lead < 0x80) return {lead, 1};
  const size_t size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < size) return {};
  uint32_t code = lead & (0x7f >> size);
  for (size_t i = 1; i < size; ++i) {
    const unsigned char next = static_cast<unsigned char>(text[i]);
    if ((next & 0xc0) != 0x80) return {};
    code = code << 6 | (next & 0x3f);
  }
  constexpr uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = code >= 0xd800 && code <= 0xdfff;
  if (code < kLeast[size] || code > 0x10ffff || surrogate) return {};
  return {code, size};
}

bool IsDeceptive(uint32_t code) {
  const bool control = code < 0x20 || (code >= 0x7f && code <= 0x9f);
  const bool direction = (code >= 0x200e && code <= 0x200f) || (code >= 0x202a && code <= 0x202e) ||
                         (code >= 0x2066 && code <= 0x2069) || code == 0x061c;
  const bool separator = code == 0x2028 || code == 0x2029;
  return control || direction || separator;
}

size_t CharacterCount(absl::string_view text) {
  return std::count_if(text.begin(), text.end(),
                       [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; });
}

std::string Cut(const std::string& text) {
  if (CharacterCount(text) <= kWidestCell) return text;
  absl::string_view rest = text;
  for (size_t i = 0; i + 3 < kWidestCell; ++i) rest.remove_prefix(FirstCharacter(rest).size);
  return absl::StrCat(text.substr(0, text.size() - rest.size()), "...");
}

}  // namespace

std::string EscapeForTerminal(absl::string_view text, bool lines) {
  std::string escaped;
  while (!text.empty()) {
    const Character character = FirstCharacter(text);
    const bool layout = lines && (character.code == '\n' || character.code == '\t');
    if (character.code == kMalformed ||
        (character.code < 0x80 && IsDeceptive(character.code) && !layout)) {
      absl::StrAppend(&escaped, absl::StrFormat("\\x%02X", static_cast<unsigned char>(text[0])));
    } else if (IsDeceptive(character.code) && !layout) {
      absl::StrAppend(&escaped, absl::StrFormat("\\u{%04X}", character.code));
    } else {
      absl::StrAppend(&escaped, text.substr(0, character.size));
    }
    text.remove_prefix(character.size);
  }
  return escaped;
}

std::string FormatTable(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::vector<std::string>> cells;
  std::vector<size_t> widths;
  for (const std::vector<std::string>& row : rows) {
    std::vector<std::string>& shown = cells.emplace_back();
    for (size_t column = 0; column < row.size(); ++column) {
      const std::string text = EscapeForTerminal(row[column], false);
      shown.push_back(column + 1 == row.size() ? text : Cut(text));
      if (widths.size() <= column) widths.push_back(0);
      widths[column] = std::max(widths[column], CharacterCount(shown.back()));
    }
  }
  std::string table;
  for (const std::vector<std::string>& row : cells) {
    for (size_t column = 0; column < row.size(); ++column) {
      absl::StrAppend(&table, row[column]);
      if (column + 1 == row.size()) break;
      table.append(widths[column] - CharacterCount(row[column]) + 2, ' ');
    }
    table.push_back('\n');
  }
  return table;
}

std::string JsonString(absl::string_view text) {
  std::string json = "\"";
  while (!text.empty()) {
    const Character character = FirstCharacter(text);
    if (character.code == kMalformed) {
      absl::StrAppend(&json, "\xef\xbf\xbd");
    } else if (character.code == '"' || character.code == '\\') {
      absl::StrAppend(&json, "\\", text.substr(0, 1));
    } else if (character.code < 0x10000 && IsDeceptive(character.code)) {
      absl::StrAppend(&json, absl::StrFormat("\\u%04x", character.code));
    } else {
      absl::StrAppend(&json, text.substr(0, character.size));
    }
    text.remove_prefix(character.size);
  }
  return json + "\"";
}

std::string JsonObject(const std::vector<std::pair<std::string, std::string>>& members) {
  return absl::StrCat("{",
                      absl::StrJoin(members, ",",
                                    [](std::string* out, const auto& member) {
                                      absl::StrAppend(out, JsonString(member.first), ":",
                                                      member.second);
                                    }),
                      "}");
}

std::string JsonArray(const std::vector<std::string>& values) {
  return absl::StrCat("[", absl::StrJoin(values, ","), "]");
}

void PrintError(absl::string_view message) {
  std::fprintf(stderr, "host_stub: %s\n", EscapeForTerminal(message, false).c_str());
}

}  // namespace host_stub
