#include "plugin/http/target.h"

#include <array>
#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"

namespace webhook::http {
namespace {

// reg-name without the comma, which RFC 3986 permits and which only ever is a list of hosts here.
constexpr std::array<bool, 256> NameOctets() {
  std::array<bool, 256> octets{};
  for (int octet = '0'; octet <= '9'; ++octet) octets[octet] = true;
  for (int octet = 'a'; octet <= 'z'; ++octet) octets[octet] = octets[octet - 'a' + 'A'] = true;
  for (const char octet : absl::string_view("-._~%!$&'()*+;=")) {
    octets[static_cast<unsigned char>(octet)] = true;
  }
  return octets;
}

bool IsNameOctet(char octet) {
  static constexpr std::array<bool, 256> kNameOctets = NameOctets();
  return kNameOctets[static_cast<unsigned char>(octet)];
}

bool IsAddressOctet(char octet) {
  return absl::ascii_isxdigit(octet) || octet == ':' || octet == '.';
}

template <typename Test>
bool AllOf(absl::string_view text, Test test) {
  for (const char octet : text) {
    if (!test(octet)) return false;
  }
  return true;
}

// Where `octet` stands first from `begin` on; the text's size if nowhere.
size_t Find(absl::string_view text, char octet, size_t begin = 0) {
  const void* const found =
      begin < text.size() ? std::memchr(text.data() + begin, octet, text.size() - begin) : nullptr;
  return found == nullptr ? text.size()
                          : static_cast<size_t>(static_cast<const char*>(found) - text.data());
}

bool HasBrokenEscape(absl::string_view path) {
  for (size_t i = Find(path, '%'); i < path.size(); i = Find(path, '%', i + 1)) {
    if (i + 2 >= path.size() || !absl::ascii_isxdigit(path[i + 1]) ||
        !absl::ascii_isxdigit(path[i + 2])) {
      return true;
    }
  }
  return false;
}

// Takes "scheme://authority" off the front.
bool TakeAuthority(absl::string_view& target) {
  size_t begin = 0;
  if (absl::StartsWithIgnoreCase(target, "http://")) begin = 7;
  if (absl::StartsWithIgnoreCase(target, "https://")) begin = 8;
  if (begin == 0) return false;
  size_t end = target.find_first_of("/?", begin);
  if (end == absl::string_view::npos) end = target.size();
  if (!IsAuthority(target.substr(begin, end - begin))) return false;
  target.remove_prefix(end);
  return true;
}

}  // namespace

bool IsAuthority(absl::string_view text) {
  absl::string_view rest;
  if (!text.empty() && text[0] == '[') {
    const size_t end = text.find(']');
    if (end == absl::string_view::npos || end < 3) return false;
    if (!AllOf(text.substr(1, end - 1), IsAddressOctet)) return false;
    rest = text.substr(end + 1);
  } else {
    size_t end = 0;
    while (end < text.size() && IsNameOctet(text[end])) ++end;
    if (end == 0) return false;
    rest = text.substr(end);
  }
  if (rest.empty()) return true;
  return rest[0] == ':' && rest.size() <= 6 &&
         AllOf(rest.substr(1), [](char octet) { return absl::ascii_isdigit(octet); });
}

bool SplitTarget(absl::string_view target, absl::string_view method, absl::string_view& path,
                 absl::string_view& query) {
  query = absl::string_view();
  if (target == "*") {
    path = target;
    return method == "OPTIONS";
  }
  if (target.empty() || Find(target, '#') < target.size()) return false;
  const bool absolute = target[0] != '/';
  if (absolute && !TakeAuthority(target)) return false;
  const size_t mark = Find(target, '?');
  path = target.substr(0, mark);
  if (mark < target.size()) query = target.substr(mark + 1);
  if (path.empty()) path = "/";
  return !HasBrokenEscape(path);
}

}  // namespace webhook::http
