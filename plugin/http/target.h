// Request targets and authorities: RFC 9112 section 3.2, RFC 3986 section 3.2.
#ifndef PLUGIN_HTTP_TARGET_H_
#define PLUGIN_HTTP_TARGET_H_

#include "absl/strings/string_view.h"

namespace webhook::http {

// host [":" port] with a host that is not empty: a name, an IPv4 address or a bracketed IPv6 one.
// Userinfo and lists are refused.
bool IsAuthority(absl::string_view text);

// Splits origin-form ("/a?b"), absolute-form ("http://host/a?b", the authority of which is checked
// and dropped) and, for OPTIONS, asterisk-form. False when it is none of these, or its path has a
// broken percent escape or a fragment. Nothing is decoded.
bool SplitTarget(absl::string_view target, absl::string_view method, absl::string_view& path,
                 absl::string_view& query);

}  // namespace webhook::http

#endif  // PLUGIN_HTTP_TARGET_H_
