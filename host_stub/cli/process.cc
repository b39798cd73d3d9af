#include "host_stub/cli/process.h"

#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "host_stub/observe/process.h"

namespace host_stub {
namespace {

// Ends the watcher of the signals. Nobody sends it to the process.
constexpr int kEnd = SIGUSR2;

sigset_t StopSet() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGUSR1, kEnd}) ::sigaddset(&set, number);
  return set;
}

// Less than this is not worth a trim.
constexpr int64_t kWorthwhileBytes = 16 << 20;
// The part of one processor above which the process counts as busy.
constexpr double kMostBusy = 0.1;

absl::Duration ProcessorTime() {
  rusage usage = {};
  ::getrusage(RUSAGE_SELF, &usage);
  return absl::DurationFromTimeval(usage.ru_utime) + absl::DurationFromTimeval(usage.ru_stime);
}

}  // namespace

void HardenProcess() {
  ::umask(077);
  const rlimit none = {0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
#ifndef __SANITIZE_ADDRESS__  // LeakSanitizer attaches as a debugger does
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
}

int64_t RaiseDescriptorLimit() {
  rlimit descriptors = {};
  if (::getrlimit(RLIMIT_NOFILE, &descriptors) != 0) return INT64_MAX;
  descriptors.rlim_cur = descriptors.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &descriptors);
  ::getrlimit(RLIMIT_NOFILE, &descriptors);
  return static_cast<int64_t>(std::min<rlim_t>(descriptors.rlim_cur, INT64_MAX));
}

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
  const auto wished = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return stop_ || reload_ || reopen_;
  };
  if (!mutex_.AwaitWithTimeout(absl::Condition(&wished), most)) return std::nullopt;
  if (stop_) return Wish::kStop;
  if (std::exchange(reopen_, false)) return Wish::kReopen;
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
    } else if (number == SIGUSR1) {
      reopen_ = true;
    } else if (stop_) {
      ::_exit(128 + number);
    } else {
      stop_ = true;
    }
  }
}

IdleTrim::IdleTrim() : resident_bytes_(ResidentBytes()), processor_time_(ProcessorTime()) {}

void IdleTrim::Tick() {
  const absl::Duration before = processor_time_;
  processor_time_ = ProcessorTime();
  const int64_t resident_bytes = ResidentBytes();
  resident_bytes_ = std::min(resident_bytes_, resident_bytes);
  if (processor_time_ - before > kMostBusy * kInterval) return;
  if (resident_bytes < resident_bytes_ + kWorthwhileBytes) return;
  ::malloc_trim(0);
  resident_bytes_ = ResidentBytes();
}

}  // namespace host_stub
