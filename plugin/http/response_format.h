// Answers as bytes: head and body in one buffer, for one write.
#ifndef PLUGIN_HTTP_RESPONSE_FORMAT_H_
#define PLUGIN_HTTP_RESPONSE_FORMAT_H_

#include <cstddef>
#include <ctime>
#include <string>

#include "absl/strings/string_view.h"
#include "plugin/http/message.h"

namespace webhook::http {

// "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 section 5.6.7), formatted once a second. Not
// synchronized: each thread has its own.
class DateText {
 public:
  static constexpr size_t kBytes = 29;
  absl::string_view At(std::time_t now);

 private:
  std::time_t made_for_ = -1;
  char text_[kBytes + 1] = {};
};

// An answer that needs no memory: 503 to a peer whose request was not read.
inline constexpr absl::string_view kUnreadRefusal =
    "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 1\r\n"
    "Content-Length: 0\r\n\r\n";

// Appends the whole answer to `out`. `for_head`: the request's method was HEAD, so the answer tells
// the body's length and leaves out the body. `close` adds `Connection: close`. Throws
// std::bad_alloc; then `out` is unchanged.
void AppendResponse(const Response& response, bool for_head, bool close, absl::string_view date,
                    std::string& out);

// The same on another thread, which knows neither the date nor whether the connection stays open:
// leaves room for both fields behind the status line. `out` must be empty, and is empty again if
// this throws. Returns the status line's length.
size_t FormatDeferred(const Response& response, bool for_head, std::string& out);

// Fills in that room, on the connection's thread. Returns where the answer begins in `out`.
size_t Finalize(size_t status_line_bytes, bool close, absl::string_view date, std::string& out);

}  // namespace webhook::http

#endif  // PLUGIN_HTTP_RESPONSE_FORMAT_H_
