#include "plugin/http/target.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"

namespace webhook::http {
namespace {

// reg-name without the comma, which RFC 3986 permits and which only ever is a list of hosts here.
bool IsNameOctet(char octet) {
  return absl::ascii_isalnum(octet) ||
         absl::string_view("-._~%!$&'()*+;=").find(octet) != absl::string_view::npos;
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

bool HasBrokenEscape(absl::string_view path) {
  for (size_t i = path.find('%'); i != absl::string_view::npos; i = path.find('%', i + 1)) {
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
    const size_t end = text.find(':') == absl::string_view::npos ? text.size() : text.find(':');
    if (end == 0 || !AllOf(text.substr(0, end), IsNameOctet)) return false;
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
  if (target.empty() || target.find('#') != absl::string_view::npos) return false;
  const bool absolute = target[0] != '/';
  if (absolute && !TakeAuthority(target)) return false;
  const size_t mark = target.find('?');
  path = target.substr(0, mark);
  if (mark != absl::string_view::npos) query = target.substr(mark + 1);
  if (path.empty()) path = "/";
  return !HasBrokenEscape(path);
}

}  // namespace webhook::http
