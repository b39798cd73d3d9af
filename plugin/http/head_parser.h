// From a head's bytes to a RequestHead: Beast's parser, and the rules that Beast leaves to its
// user (RFC 9112): one valid Host, one whole-number Content-Length, no transfer coding but
// chunked and that on HTTP/1.1 alone, the forms of the request target, Expect.
#ifndef PLUGIN_HTTP_HEAD_PARSER_H_
#define PLUGIN_HTTP_HEAD_PARSER_H_

#include <vector>

#include "absl/strings/string_view.h"
#include "plugin/http/head_scan.h"
#include "plugin/http/message.h"

namespace webhook::http {

struct ParsedHead {
  RequestHead head;               // `peer` is left to the connection
  bool keep_alive = false;        // HTTP/1.1 without `Connection: close`
  bool expects_continue = false;  // `Expect: 100-continue` on HTTP/1.1
};

// `bytes` is a whole head, as HeadScan found it: from the request line to the empty line. `fields`
// is reused memory that afterwards holds head.fields; the views point into `bytes`.
// The refusal's status is 0 when the head is good. After any other the connection must be closed:
// where the request ends is not known.
Refusal ParseHead(absl::string_view bytes, std::vector<HeaderField>& fields, ParsedHead& parsed);

}  // namespace webhook::http

#endif  // PLUGIN_HTTP_HEAD_PARSER_H_
