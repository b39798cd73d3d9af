#include "plugin/http/response_format.h"

#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"

namespace webhook::http {
namespace {

constexpr absl::string_view kClose = "Connection: close\r\n";
constexpr absl::string_view kDateName = "Date: ";
constexpr size_t kDateLineBytes = 6 + DateText::kBytes + 2;

absl::string_view Reason(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 304:
      return "Not Modified";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 411:
      return "Length Required";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 417:
      return "Expectation Failed";
    case 421:
      return "Misdirected Request";
    case 422:
      return "Unprocessable Content";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Status";
  }
}

bool IsFieldName(absl::string_view name) {
  for (const char octet : name) {
    if (!absl::ascii_isgraph(octet) ||
        absl::string_view("\"(),/:;<=>?@[\\]{}").find(octet) != absl::string_view::npos) {
      return false;
    }
  }
  return !name.empty();
}

bool IsFieldValue(absl::string_view value) {
  for (const char octet : value) {
    const unsigned char code = static_cast<unsigned char>(octet);
    if ((code < 0x20 && code != '\t') || code == 0x7f) return false;
  }
  return true;
}

bool IsServersOwn(absl::string_view name) {
  return absl::EqualsIgnoreCase(name, "Content-Length") ||
         absl::EqualsIgnoreCase(name, "Transfer-Encoding") ||
         absl::EqualsIgnoreCase(name, "Connection") || absl::EqualsIgnoreCase(name, "Date");
}

void Append(absl::string_view text, std::string& out) { out.append(text.data(), text.size()); }

void AppendNumber(uint64_t number, std::string& out) {
  char digits[24];
  out.append(digits, std::to_chars(digits, digits + sizeof digits, number).ptr - digits);
}

void AppendField(absl::string_view name, absl::string_view value, std::string& out) {
  Append(name, out);
  Append(": ", out);
  Append(value, out);
  Append("\r\n", out);
}

int StatusOf(const Response& response) {
  return response.status >= 200 && response.status <= 599 ? response.status : 500;
}

void AppendStatusLine(int status, std::string& out) {
  if (status == 200) return Append("HTTP/1.1 200 OK\r\n", out);
  Append("HTTP/1.1 ", out);
  AppendNumber(status, out);
  out.push_back(' ');
  Append(Reason(status), out);
  Append("\r\n", out);
}

void AppendDateLine(absl::string_view date, std::string& out) { AppendField("Date", date, out); }

// All that follows Connection and Date.
void AppendRest(const Response& response, bool for_head, std::string& out) {
  const int status = StatusOf(response);
  const bool bodiless = status == 204 || status == 304;
  if (!response.content_type.empty() && IsFieldValue(response.content_type)) {
    AppendField("Content-Type", response.content_type, out);
  }
  for (const HeaderField& field : response.headers) {
    if (!IsFieldName(field.name) || !IsFieldValue(field.value)) continue;
    if (IsServersOwn(field.name)) continue;
    AppendField(field.name, field.value, out);
  }
  if (!bodiless) {
    Append("Content-Length: ", out);
    AppendNumber(response.body.size(), out);
    Append("\r\n", out);
  }
  Append("\r\n", out);
  if (!bodiless && !for_head) Append(response.body, out);
}

}  // namespace

absl::string_view DateText::At(std::time_t now) {
  if (now != made_for_) {
    made_for_ = now;
    std::tm parts;
    gmtime_r(&now, &parts);
    // Not strftime: its names follow the process's locale.
    static constexpr char kDays[] = "SunMonTueWedThuFriSat";
    static constexpr char kMonths[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    char buffer[96];
    std::snprintf(buffer, sizeof buffer, "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT",
                  kDays + 3 * parts.tm_wday, parts.tm_mday, kMonths + 3 * parts.tm_mon,
                  parts.tm_year + 1900, parts.tm_hour, parts.tm_min, parts.tm_sec);
    std::memcpy(text_, buffer, kBytes);
  }
  return absl::string_view(text_, kBytes);
}

void AppendResponse(const Response& response, bool for_head, bool close, absl::string_view date,
                    std::string& out) {
  absl::Cleanup undo = [&out, size = out.size()] { out.resize(size); };
  AppendStatusLine(StatusOf(response), out);
  if (close) Append(kClose, out);
  AppendDateLine(date, out);
  AppendRest(response, for_head, out);
  std::move(undo).Cancel();
}

size_t FormatUndecided(const Response& response, bool for_head, std::string& out) {
  absl::Cleanup undo = [&out] { out.clear(); };
  AppendStatusLine(StatusOf(response), out);
  const size_t status_line_bytes = out.size();
  Append(kClose, out);
  out.append(kDateLineBytes, ' ');
  AppendRest(response, for_head, out);
  std::move(undo).Cancel();
  return status_line_bytes;
}

size_t Decide(size_t status_line_bytes, bool close, absl::string_view date, std::string& out) {
  char* date_line = out.data() + status_line_bytes + kClose.size();
  std::memcpy(date_line, kDateName.data(), kDateName.size());
  std::memcpy(date_line + kDateName.size(), date.data(), DateText::kBytes);
  std::memcpy(date_line + kDateLineBytes - 2, "\r\n", 2);
  if (close) return 0;
  // The status line moves over the field that is not wanted.
  std::memmove(out.data() + kClose.size(), out.data(), status_line_bytes);
  return kClose.size();
}

}  // namespace webhook::http
