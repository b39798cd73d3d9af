#include "plugin/http/testing/conformance_octets.h"

#include <cstdio>
#include <cstdlib>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace webhook::http {
namespace {

void Fail(absl::string_view where) {
  std::fprintf(stderr, "conformance_cases.txt: cannot read \"%s\"\n", std::string(where).c_str());
  std::abort();
}

void Replace(absl::string_view from, absl::string_view to, std::string& text) {
  for (size_t at = text.find(from.data(), 0, from.size()); at != std::string::npos;
       at = text.find(from.data(), at + to.size(), from.size())) {
    text.replace(at, from.size(), to.data(), to.size());
  }
}

// "<12*a>", "<12 fields>", "<12 chunks>".
std::string ExpandRun(absl::string_view macro) {
  const size_t end = macro.find_first_not_of("0123456789");
  int count = 0;
  if (!absl::SimpleAtoi(macro.substr(0, end), &count)) Fail(macro);
  const absl::string_view what = macro.substr(end);
  std::string result;
  for (int i = 0; i < count; ++i) {
    if (what == " fields") {
      absl::StrAppend(&result, "X-", i, ": 1\r\n");
    } else if (what == " chunks") {
      absl::StrAppend(&result, "1;", std::string(200, 'a'), "\r\n \r\n");
    } else {
      std::string octet;
      if (!absl::CUnescape(what.substr(1), &octet)) Fail(macro);
      result += octet;
    }
  }
  return result;
}

}  // namespace

std::string Octets(std::string text) {
  Replace("<post>", "POST /instance/execute/webhook HTTP/1.1\\r\\n", text);
  Replace("<host>", "Host: localhost\\r\\n", text);
  Replace("<json>", "Content-Type: application/json\\r\\n", text);
  Replace("<body>", "Content-Length: 12\\r\\n\\r\\n{\"name\":\"t\"}", text);
  std::string result;
  while (!text.empty()) {
    const size_t macro = text.find('<');
    std::string plain;
    // Octet by octet, since C's \xHH takes all hex digits that follow.
    for (absl::string_view left = absl::string_view(text).substr(0, macro); !left.empty();) {
      const size_t size = left[0] != '\\' ? 1 : left[1] == 'x' ? 4 : 2;
      std::string octet;
      if (!absl::CUnescape(left.substr(0, size), &octet)) Fail(left);
      plain += octet;
      left.remove_prefix(size);
    }
    result += plain;
    if (macro == std::string::npos) break;
    const size_t end = text.find('>', macro);
    result += ExpandRun(text.substr(macro + 1, end - macro - 1));
    text.erase(0, end + 1);
  }
  return result;
}

}  // namespace webhook::http
