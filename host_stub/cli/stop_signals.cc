#include "host_stub/cli/stop_signals.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

namespace host_stub {
namespace {

// Ends the watcher; not one of those that a person sends.
constexpr int kEnd = SIGUSR2;

sigset_t StopSet() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int number : {SIGTERM, SIGINT, SIGHUP, kEnd}) ::sigaddset(&set, number);
  return set;
}

}  // namespace

StopSignals::StopSignals() {
  const sigset_t set = StopSet();
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  watcher_ = std::thread([this] { Watch(); });
}

StopSignals::~StopSignals() {
  ::pthread_kill(watcher_.native_handle(), kEnd);
  watcher_.join();
}

std::optional<StopSignals::Wish> StopSignals::AwaitFor(absl::Duration most) {
  absl::MutexLock lock(&mutex_);
  const auto wished = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return stop_ || reload_; };
  if (!mutex_.AwaitWithTimeout(absl::Condition(&wished), most)) return std::nullopt;
  if (stop_) return Wish::kStop;
  reload_ = false;
  return Wish::kReload;
}

void StopSignals::Watch() {
  const sigset_t set = StopSet();
  for (;;) {
    int number = 0;
    if (::sigwait(&set, &number) != 0) continue;
    if (number == kEnd) return;
    absl::MutexLock lock(&mutex_);
    if (number == SIGHUP) {
      reload_ = true;
    } else if (stop_) {
      ::_exit(128 + number);
    } else {
      stop_ = true;
    }
  }
}

}  // namespace host_stub
