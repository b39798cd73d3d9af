// A blocking HTTP client that can misbehave, for tests. Failures are reported by what it returns.
#ifndef PLUGIN_HTTP_TESTING_TEST_CLIENT_H_
#define PLUGIN_HTTP_TESTING_TEST_CLIENT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace webhook::http {

struct Answer {
  int status = 0;
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
  std::string body;
  std::string bytes;  // all of it

  // The first value of that name, or "".
  std::string Header(absl::string_view lower_name) const;
};

class TestClient {
 public:
  // Connects to an IPv4 address; connected() tells the outcome.
  explicit TestClient(uint16_t port, const std::string& address = "127.0.0.1");
  ~TestClient();
  TestClient(const TestClient&) = delete;
  TestClient& operator=(const TestClient&) = delete;

  bool connected() const { return socket_ >= 0; }

  // Sends while also reading, so that neither side can block the other. False: it did not go out.
  bool Send(absl::string_view bytes);
  bool SendUrgent(char octet);  // TCP's urgent data, which is not part of the stream
  void CloseSending();
  void Reset();  // closes with RST
  void SetReceiveBuffer(int bytes);

  // The next answer, 1xx skipped (and counted); nothing when the connection ends before it is
  // whole or 10 s have passed. `to_head`: it has no body.
  std::optional<Answer> ReadAnswer(bool to_head = false);
  int interim_answers() const { return interim_; }

  // Reads until the server closes; false after 10 s.
  bool ReadUntilClosed();
  bool closed() const { return closed_; }
  bool was_reset() const { return reset_; }

  // Received, but not part of an answer that was read.
  const std::string& rest() const { return in_; }

 private:
  // Waits for an event and takes what came. False: 10 s passed or it is closed.
  bool Receive();
  bool TakeAnswer(bool to_head, Answer& answer);

  int socket_ = -1;
  std::string in_;
  int interim_ = 0;
  bool closed_ = false;
  bool reset_ = false;
};

// A POST with a body of that length announced.
std::string Post(absl::string_view path, absl::string_view body,
                 absl::string_view more_headers = "");

}  // namespace webhook::http

#endif  // PLUGIN_HTTP_TESTING_TEST_CLIENT_H_
