#include "plugin/base/testing/json_cases.h"

#include <fstream>

namespace base {
namespace {

std::string Unescape(const std::string& piece) {
  std::string bytes;
  for (size_t i = 0; i < piece.size(); ++i) {
    if (piece[i] != '\\') {
      bytes += piece[i];
      continue;
    }
    switch (piece.at(++i)) {
      case 'x':
        bytes += static_cast<char>(std::stoi(piece.substr(i + 1, 2), nullptr, 16));
        i += 2;
        break;
      case 'n':
        bytes += '\n';
        break;
      case 'r':
        bytes += '\r';
        break;
      case 't':
        bytes += '\t';
        break;
      default:
        bytes += piece[i];
        break;
    }
  }
  return bytes;
}

std::string Expand(const std::string& piece) {
  const size_t digits = piece.find_first_not_of("0123456789");
  if (digits == 0 || digits == std::string::npos || piece[digits] != '*') return Unescape(piece);
  const std::string unit = Unescape(piece.substr(digits + 1));
  std::string bytes;
  for (int i = 1; i <= std::stoi(piece); ++i) {
    std::string copy = unit;
    for (size_t at; (at = copy.find("{i}")) != std::string::npos;) {
      copy.replace(at, 3, std::to_string(i));
    }
    bytes += copy;
  }
  return bytes;
}

}  // namespace

std::vector<JsonCase> ReadJsonCases() {
  std::ifstream file("plugin/base/testdata/json_cases.txt");
  std::vector<JsonCase> cases;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line[0] == '#') continue;
    std::vector<std::string> fields(1);
    for (const char c : line) {
      if (c == '\t') {
        fields.emplace_back();
      } else {
        fields.back() += c;
      }
    }
    JsonCase one{fields.at(0) == "accept", fields.at(1), ""};
    for (size_t i = 2; i < fields.size(); ++i) one.text += Expand(fields[i]);
    cases.push_back(one);
  }
  return cases;
}

}  // namespace base
