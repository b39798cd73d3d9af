#include "host_stub/cli/text.h"

#include <algorithm>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "plugin/base/utf8.h"

namespace host_stub {
namespace {

constexpr size_t kWidestCell = 60;

size_t CharacterCount(absl::string_view text) {
  return std::count_if(text.begin(), text.end(),
                       [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; });
}

std::string Cut(const std::string& text) {
  if (CharacterCount(text) <= kWidestCell) return text;
  absl::string_view rest = text;
  for (size_t i = 0; i + 3 < kWidestCell; ++i) rest.remove_prefix(base::FirstCharacter(rest).bytes);
  return absl::StrCat(text.substr(0, text.size() - rest.size()), "...");
}

}  // namespace

std::string EscapeForTerminal(absl::string_view text, bool lines) {
  std::string escaped;
  while (!text.empty()) {
    const base::Character character = base::FirstCharacter(text);
    const bool layout = lines && (character.code_point == '\n' || character.code_point == '\t');
    if (character.code_point == base::Character::kMalformed ||
        (character.code_point < 0x80 && base::IsDeceptive(character.code_point) && !layout)) {
      absl::StrAppend(&escaped, absl::StrFormat("\\x%02X", static_cast<unsigned char>(text[0])));
    } else if (base::IsDeceptive(character.code_point) && !layout) {
      absl::StrAppend(&escaped, absl::StrFormat("\\u{%04X}", character.code_point));
    } else {
      absl::StrAppend(&escaped, text.substr(0, character.bytes));
    }
    text.remove_prefix(character.bytes);
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
