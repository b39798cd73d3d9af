#include "plugin/http/response_format.h"

#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "plugin/base/characters.h"

namespace webhook::http {
namespace {

constexpr absl::string_view kClose = "Connection: close\r\n";
constexpr absl::string_view kDateName = "Date: ";
constexpr size_t kDateLineBytes = 6 + DateText::kBytes + 2;

constexpr struct {
  int status;
  absl::string_view reason;
} kReasons[] = {
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {304, "Not Modified"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {411, "Length Required"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
};

absl::string_view Reason(int status) {
  for (const auto& one : kReasons) {
    if (one.status == status) return one.reason;
  }
  return "Status";
}

bool IsServersOwn(absl::string_view name) {
  return absl::EqualsIgnoreCase(name, "Content-Length") ||
         absl::EqualsIgnoreCase(name, "Transfer-Encoding") ||
         absl::EqualsIgnoreCase(name, "Connection") || absl::EqualsIgnoreCase(name, "Date");
}

// Gathers the pieces of a head, which are many and short, so that the output buffer is appended to
// once. What was added is in `out` after Flush.
class Pieces {
 public:
  explicit Pieces(std::string& out) : out_(out) {}

  void Add(absl::string_view text) {
    if (text.size() > sizeof gathered_ - size_) {
      Flush();
      if (text.size() > sizeof gathered_) {
        out_.append(text.data(), text.size());
        return;
      }
    }
    std::memcpy(gathered_ + size_, text.data(), text.size());
    size_ += text.size();
  }

  void AddNumber(uint64_t number) {
    char digits[24];
    const char* const end = std::to_chars(digits, digits + sizeof digits, number).ptr;
    Add(absl::string_view(digits, static_cast<size_t>(end - digits)));
  }

  void AddField(absl::string_view name, absl::string_view value) {
    Add(name);
    Add(": ");
    Add(value);
    Add("\r\n");
  }

  void Flush() {
    out_.append(gathered_, size_);
    size_ = 0;
  }

 private:
  std::string& out_;
  size_t size_ = 0;
  char gathered_[512];
};

int StatusOf(const Response& response) {
  return response.status >= 200 && response.status <= 599 ? response.status : 500;
}

void AddStatusLine(int status, Pieces& pieces) {
  if (status == 200) return pieces.Add("HTTP/1.1 200 OK\r\n");
  pieces.Add("HTTP/1.1 ");
  pieces.AddNumber(status);
  pieces.Add(" ");
  pieces.Add(Reason(status));
  pieces.Add("\r\n");
}

// All that follows Connection and Date.
void AppendRest(const Response& response, bool for_head, Pieces& pieces, std::string& out) {
  const int status = StatusOf(response);
  const bool bodiless = status == 204 || status == 304;
  if (!response.content_type.empty() && base::IsFieldValue(response.content_type)) {
    pieces.AddField("Content-Type", response.content_type);
  }
  for (const HeaderField& field : response.headers) {
    if (!base::IsToken(field.name) || !base::IsFieldValue(field.value)) continue;
    if (IsServersOwn(field.name)) continue;
    pieces.AddField(field.name, field.value);
  }
  if (!bodiless) {
    pieces.Add("Content-Length: ");
    pieces.AddNumber(response.body.size());
    pieces.Add("\r\n");
  }
  pieces.Add("\r\n");
  pieces.Flush();
  if (!bodiless && !for_head) out.append(response.body.data(), response.body.size());
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
  Pieces pieces(out);
  AddStatusLine(StatusOf(response), pieces);
  if (close) pieces.Add(kClose);
  pieces.Add(kDateName);
  pieces.Add(date);
  pieces.Add("\r\n");
  AppendRest(response, for_head, pieces, out);
  std::move(undo).Cancel();
}

size_t FormatDeferred(const Response& response, bool for_head, std::string& out) {
  absl::Cleanup undo = [&out] { out.clear(); };
  Pieces pieces(out);
  AddStatusLine(StatusOf(response), pieces);
  pieces.Flush();
  const size_t status_line_bytes = out.size();
  pieces.Add(kClose);
  pieces.Flush();
  out.append(kDateLineBytes, ' ');
  AppendRest(response, for_head, pieces, out);
  std::move(undo).Cancel();
  return status_line_bytes;
}

size_t Finalize(size_t status_line_bytes, bool close, absl::string_view date, std::string& out) {
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
