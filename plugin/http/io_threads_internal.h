// What an IoThreads is made of; for plugin/http alone.
#ifndef PLUGIN_HTTP_IO_THREADS_INTERNAL_H_
#define PLUGIN_HTTP_IO_THREADS_INTERNAL_H_

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <memory>
#include <thread>
#include <vector>

#include "plugin/http/io_threads.h"
#include "plugin/http/socket_events.h"
#include "plugin/http/workspace.h"

namespace webhook::http {

// One thread's event loop and what its connections share. But for `context`, only the thread
// itself touches the members.
struct Loop {
  using Work = boost::asio::executor_work_guard<boost::asio::io_context::executor_type>;

  boost::asio::io_context context{1};  // the hint says that one thread runs it
  Work work{context.get_executor()};
  SocketEvents sockets{context};
  WorkspacePool workspaces;
  char scratch[16 * 1024];  // bytes that nobody will look at are read into this
  int index = 0;
  std::thread thread;
};

struct IoThreads::Loops {
  std::vector<std::unique_ptr<Loop>> loops;
  std::atomic<unsigned> next_home{0};  // deals listening sockets to the threads
  bool stopped = false;
};

}  // namespace webhook::http

#endif  // PLUGIN_HTTP_IO_THREADS_INTERNAL_H_
