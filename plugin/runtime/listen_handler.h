// Requests of an instance's own listen port, on their way into the same pipeline as the host's.
#ifndef PLUGIN_RUNTIME_LISTEN_HANDLER_H_
#define PLUGIN_RUNTIME_LISTEN_HANDLER_H_

#include <atomic>
#include <cstdint>

#include "plugin/http/handler.h"
#include "plugin/limits/limits.h"
#include "plugin/runtime/host.h"

namespace webhook::runtime {

class Instance;

// How many answers of each kind an instance's listen port sent, and how many TLS handshakes
// succeeded. Thread-safe, without locks. It has a cache line of its own because every I/O thread
// writes it.
class alignas(64) AnswerCounts {
 public:
  // 0: no answer was sent.
  void Add(int status) {
    if (status == 0) return;
    std::atomic<uint64_t>& count = status >= 500 ? failed_ : status >= 400 ? refused_ : succeeded_;
    count.fetch_add(1, std::memory_order_relaxed);
  }

  void AddHandshake() { handshakes_.fetch_add(1, std::memory_order_relaxed); }

  uint64_t succeeded() const { return succeeded_.load(std::memory_order_relaxed); }  // 2xx
  uint64_t refused() const { return refused_.load(std::memory_order_relaxed); }      // 4xx
  uint64_t failed() const { return failed_.load(std::memory_order_relaxed); }        // 5xx
  uint64_t handshakes() const { return handshakes_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> succeeded_{0};
  std::atomic<uint64_t> refused_{0};
  std::atomic<uint64_t> failed_{0};
  std::atomic<uint64_t> handshakes_{0};
};

// Keeps no state of a request beyond the exchange and its ticket. So an abandoned exchange needs no
// special care: its answer comes when the host is done.
class ListenHandler final : public http::Handler {
 public:
  // The instance and the limits outlive the handler.
  ListenHandler(Instance& instance, const Host& host, lri_host_instance* host_instance,
                const Limits& limits)
      : instance_(instance), host_(host), host_instance_(host_instance), limits_(limits) {}

  http::HeadVerdict OnHead(http::Exchange& exchange) override;
  void OnRequest(http::Exchange& exchange) override;
  void OnHandshake() noexcept override { answers_.AddHandshake(); }
  void OnAnswered(const http::Answered& answered) noexcept override;

  const AnswerCounts& answers() const { return answers_; }

 private:
  Instance& instance_;
  const Host host_;
  lri_host_instance* const host_instance_;
  const Limits& limits_;
  AnswerCounts answers_;
};

}  // namespace webhook::runtime

#endif  // PLUGIN_RUNTIME_LISTEN_HANDLER_H_
