// Answers as bytes: head and body in one buffer, for one write.
#ifndef PLUGIN_HTTP_RESPONSE_FORMAT_H_
#define PLUGIN_HTTP_RESPONSE_FORMAT_H_

#include <cstddef>
#include <ctime>
#include <string>

#include "absl/strings/string_view.h"
#include "plugin/http/message.h"

namespace webhook::http {

// "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 section 5.6.7), made anew once a second. Not
// synchronized: one for each thread.
class DateText {
 public:
  static constexpr size_t kBytes = 29;
  absl::string_view At(std::time_t now);

 private:
  std::time_t made_for_ = -1;
  char text_[kBytes + 1] = {};
};

// Appends the whole answer to `out`. `for_head`: the request's method was HEAD, so the body is
// left out and only its length told. `close` adds `Connection: close`. Without memory it throws
// and `out` is as it was.
void AppendResponse(const Response& response, bool for_head, bool close, absl::string_view date,
                    std::string& out);

// The same on a thread that knows neither date nor whether the connection stays: leaves room for
// both right behind the status line, in an `out` that is empty (and is so again if it throws).
// Returns the status line's length.
size_t FormatUndecided(const Response& response, bool for_head, std::string& out);

// Fills that room in on the connection's thread. Returns where the answer begins in `out`.
size_t Decide(size_t status_line_bytes, bool close, absl::string_view date, std::string& out);

}  // namespace webhook::http

#endif  // PLUGIN_HTTP_RESPONSE_FORMAT_H_
