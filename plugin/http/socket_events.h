// What a thread's connections wait for: bytes to read, room to write, the end.
//
// One epoll instance of our own inside the thread's event loop. Boost.Asio would try to read before
// it waits, which is one system call in vain for every request, and would have one more handler in
// its queue for it; here a connection is told once per change (EPOLLET) and reads until it has what
// there was. Many connections are told of at a time, so that what the loop itself costs is shared.
#ifndef PLUGIN_HTTP_SOCKET_EVENTS_H_
#define PLUGIN_HTTP_SOCKET_EVENTS_H_

#include <sys/epoll.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <cstddef>
#include <cstdint>

#include "plugin/http/operation_slot.h"

namespace webhook::http {

// A socket's descriptor, closed at the end.
class Socket {
 public:
  Socket() = default;
  explicit Socket(int descriptor) : descriptor_(descriptor) {}
  ~Socket() { Close(); }
  Socket(Socket&& other) noexcept : descriptor_(other.Release()) {}
  Socket& operator=(Socket&& other) noexcept {
    Close();
    descriptor_ = other.Release();
    return *this;
  }

  int descriptor() const { return descriptor_; }
  void Close();

 private:
  int Release() {
    const int descriptor = descriptor_;
    descriptor_ = -1;
    return descriptor;
  }

  int descriptor_ = -1;
};

// Who waits for a socket.
class SocketWatcher {
 public:
  // A set of EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLPRI, EPOLLHUP, EPOLLERR: all that holds now, told
  // when one of them begins to hold again. May remove itself or others.
  virtual void OnSocketEvents(uint32_t events) = 0;

 protected:
  ~SocketWatcher() = default;
};

// For the loop's thread alone, but for the constructor. Allocates nothing once made.
class SocketEvents {
 public:
  // Without descriptors or memory it throws.
  explicit SocketEvents(boost::asio::io_context& context);
  SocketEvents(const SocketEvents&) = delete;
  SocketEvents& operator=(const SocketEvents&) = delete;

  // False: the kernel has no memory for it. The watcher is told of what holds already, later.
  bool Add(const Socket& socket, SocketWatcher& watcher);

  // Before the socket is closed; the watcher is told no more.
  void Remove(const Socket& socket, const SocketWatcher& watcher);

 private:
  static constexpr int kMostAtOnce = 128;

  void Wait();
  void OnReadable(const boost::system::error_code& error);

  boost::asio::posix::basic_stream_descriptor<boost::asio::io_context::executor_type> epoll_;
  OperationSlot slot_;
  epoll_event events_[kMostAtOnce];  // that were taken from the kernel
  int next_ = 0;                     // of them to be told
  int count_ = 0;
};

}  // namespace webhook::http

#endif  // PLUGIN_HTTP_SOCKET_EVENTS_H_
