// The HTTP server's threads, as the engine wants them for completions.
#ifndef HOST_STUB_FRONT_COMPLETION_THREADS_H_
#define HOST_STUB_FRONT_COMPLETION_THREADS_H_

#include <memory>

#include "host_stub/engine/host_services.h"
#include "plugin/http/io_threads.h"

namespace host_stub {

// A request that came in on one of these threads is completed on the same, so its answer is
// written where its connection lives.
std::shared_ptr<CompletionThreads> CompletionsOn(std::shared_ptr<webhook::http::IoThreads> threads);

}  // namespace host_stub

#endif  // HOST_STUB_FRONT_COMPLETION_THREADS_H_
