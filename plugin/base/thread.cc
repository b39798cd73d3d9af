#include "plugin/base/thread.h"

#include <pthread.h>
#include <signal.h>

#include <utility>

#include "absl/cleanup/cleanup.h"

namespace base {

std::thread StartThread(const char* name, absl::AnyInvocable<void()> run) {
  // A new thread inherits the signal mask, so blocking before and restoring after leaves no gap.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const absl::Cleanup restore = [&before] { pthread_sigmask(SIG_SETMASK, &before, nullptr); };
  std::thread thread(std::move(run));
  pthread_setname_np(thread.native_handle(), name);
  return thread;
}

}  // namespace base
