// Threads of our own.
#ifndef PLUGIN_BASE_THREAD_H_
#define PLUGIN_BASE_THREAD_H_

#include <thread>

#include "absl/functional/any_invocable.h"

namespace base {

// Starts a thread with a name for `ps`, `top` and debuggers (at most 15 characters, as Linux
// takes). The thread blocks every signal, so that signals reach the process's own threads. Throws
// std::system_error if the system gives no more threads.
std::thread StartThread(const char* name, absl::AnyInvocable<void()> run);

}  // namespace base

#endif  // PLUGIN_BASE_THREAD_H_
