// For tests of the listen port: a host that keeps incidents, and a client that speaks TLS.
#ifndef PLUGIN_TESTING_LISTEN_PORT_HOST_H_
#define PLUGIN_TESTING_LISTEN_PORT_HOST_H_

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "plugin/abi/long_running_integration.h"

struct ssl_st;
struct ssl_ctx_st;

namespace webhook {

inline lri_view View(const std::string& text) { return {text.data(), text.size()}; }
inline std::string Text(lri_view view) { return std::string(view.data, view.size); }

// Thread-safe. By default `done` comes before create_incidents returns.
class TestHost {
 public:
  TestHost();
  const lri_host* table() const { return &table_; }

  // From now on batches wait for Release, which calls their `done` on the thread that calls it.
  void Hold() { hold_ = true; }
  void Release();
  void WaitUntilHeld(size_t batches);

  void Refuse(int32_t code) { refusal_ = code; }  // what create_incidents returns
  void FailBatches() { fail_ = true; }
  void PassTime(int64_t seconds) { now_ += seconds * 1'000'000'000; }

  int created() const { return created_; }
  std::vector<std::string> logs();
  std::pair<int32_t, std::string> health();
  // Waits until the last health is that one; returns its message.
  std::string AwaitHealth(int32_t health);

 private:
  int32_t Create(const lri_incident_batch& batch);
  void Finish(const lri_incident_batch& batch);

  lri_host table_{};
  std::atomic<bool> hold_{false};
  std::atomic<bool> fail_{false};
  std::atomic<int32_t> refusal_{LRI_OK};
  std::atomic<int> created_{0};
  std::atomic<int64_t> now_{1'714'557'600'000'000'000};  // 2024-05-01 10:00
  std::mutex mutex_;                                     // guards all below
  std::condition_variable changed_;
  std::vector<const lri_incident_batch*> held_;
  std::vector<std::string> logs_;
  std::pair<int32_t, std::string> health_{0, ""};
};

// To a port of http::OwnAddress(). Blocking; gives up after ten seconds.
class TlsClient {
 public:
  // With an empty certificate, none is shown to the server.
  explicit TlsClient(uint16_t port, const std::string& certificate = "",
                     const std::string& key = "");
  ~TlsClient();
  TlsClient(const TlsClient&) = delete;
  TlsClient& operator=(const TlsClient&) = delete;

  // Sends the bytes and reads one answer with a Content-Length. Empty: the connection is over.
  std::string Ask(const std::string& request);
  // Of the server's certificate; empty where the handshake failed.
  std::string ServerName() const;
  bool connected() const { return connected_; }

 private:
  ssl_ctx_st* context_;
  ssl_st* tls_ = nullptr;
  int socket_ = -1;
  bool connected_ = false;
};

// The socket of this process that listens on that port, or -1.
int ListeningSocket(uint16_t port);

}  // namespace webhook

#endif  // PLUGIN_TESTING_LISTEN_PORT_HOST_H_
