#include "plugin/http/socket_events.h"

#include <errno.h>
#include <unistd.h>

#include <exception>
#include <system_error>

namespace webhook::http {
namespace {

int MakeEpoll() {
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  if (epoll < 0) throw std::system_error(errno, std::generic_category(), "epoll");
  return epoll;
}

}  // namespace

void Socket::Close() {
  if (descriptor_ >= 0) ::close(Release());
}

SocketEvents::SocketEvents(boost::asio::io_context& context) : epoll_(context, MakeEpoll()) {
  Wait();
}

bool SocketEvents::Add(const Socket& socket, SocketWatcher& watcher) {
  epoll_event event = {};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET;
  event.data.ptr = &watcher;
  return epoll_ctl(epoll_.native_handle(), EPOLL_CTL_ADD, socket.descriptor(), &event) == 0;
}

// Not left to close: a process that was forked meanwhile may hold the socket open for a moment.
void SocketEvents::Remove(const Socket& socket, const SocketWatcher& watcher) {
  epoll_event ignored = {};
  epoll_ctl(epoll_.native_handle(), EPOLL_CTL_DEL, socket.descriptor(), &ignored);
  for (int i = next_; i < count_; ++i) {
    if (events_[i].data.ptr == &watcher) events_[i].data.ptr = nullptr;
  }
}

// Looks at once whether there is something left to be told, and wakes the loop if so.
void SocketEvents::Wait() {
  epoll_.async_wait(boost::asio::posix::descriptor_base::wait_read,
                    SlotHandler<&SocketEvents::OnReadable, SocketEvents>{this, &slot_});
}

void SocketEvents::OnReadable(const boost::system::error_code& error) {
  if (error) return;  // the loop is being taken down
  next_ = 0;
  count_ = epoll_wait(epoll_.native_handle(), events_, kMostAtOnce, 0);
  while (next_ < count_) {
    const epoll_event event = events_[next_++];
    if (event.data.ptr == nullptr) continue;
    try {
      static_cast<SocketWatcher*>(event.data.ptr)->OnSocketEvents(event.events);
    } catch (const std::exception&) {
      // An allocation failed. The others must have their events, which the kernel tells only once.
    }
  }
  Wait();
}

}  // namespace webhook::http
