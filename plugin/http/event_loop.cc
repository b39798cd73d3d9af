#include "plugin/http/event_loop.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <exception>
#include <memory>
#include <system_error>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "plugin/base/clock.h"
#include "plugin/base/thread.h"
#include "plugin/http/shard.h"

namespace webhook::http {
namespace {

class PostedFunction final : public EventLoop::Task {
 public:
  explicit PostedFunction(absl::AnyInvocable<void()> work) : work_(std::move(work)) {}

  void Run() override {
    const std::unique_ptr<PostedFunction> self(this);
    work_();
  }
  void Drop() override { delete this; }

 private:
  absl::AnyInvocable<void()> work_;
};

// A callback that finds no memory must not keep the others from being called.
template <typename Callback>
void Guard(const Callback& callback) {
  try {
    callback();
  } catch (const std::exception&) {
  }
}

}  // namespace

void Descriptor::Close() {
  if (is_open()) ::close(Release());
}

EventLoop::~EventLoop() {
  for (Task* task = posted_.load(); task != nullptr;) std::exchange(task, task->next_)->Drop();
}

absl::Status EventLoop::Open() {
  epoll_ = Descriptor(epoll_create1(EPOLL_CLOEXEC));
  wake_ = Descriptor(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  // Edge-triggered: each write causes one event, so the counter need not be read.
  epoll_event event = {};
  event.events = EPOLLIN | EPOLLET;
  if (!epoll_.is_open() || !wake_.is_open() ||
      epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), &event) != 0) {
    return absl::ResourceExhaustedError("the system gives no more file descriptors");
  }
  ReadClock();
  return absl::OkStatus();
}

void EventLoop::Run() {
  thread_.store(std::this_thread::get_id(), std::memory_order_relaxed);
  while (!stopped_) {
    Wait();
    TellWatchers();
    RunTimers();
    RunTasks();
  }
  RunTasks();  // those that the last ones posted, which delete connections
}

void EventLoop::Stop() {
  Post([this] { stopped_ = true; });
}

void EventLoop::Post(Task& task) {
  task.next_ = posted_.load(std::memory_order_relaxed);
  while (!posted_.compare_exchange_weak(task.next_, &task)) {
  }
  // The task may have run by now and be gone. The loop looks for tasks after it has set sleeping_,
  // and this thread reads sleeping_ after it has posted: at least one of them sees the other.
  if (sleeping_.load() && sleeping_.exchange(false)) {
    const uint64_t one = 1;
    while (write(wake_.get(), &one, sizeof one) < 0 && errno == EINTR) {
    }
  }
}

void EventLoop::Post(absl::AnyInvocable<void()> work) {
  Post(*new PostedFunction(std::move(work)));
}

bool EventLoop::Watch(const Descriptor& socket, Watcher& watcher, uint32_t events) {
  epoll_event event = {};
  event.events = events;
  event.data.ptr = &watcher;
  return epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, socket.get(), &event) == 0;
}

void EventLoop::Rewatch(const Descriptor& socket, Watcher& watcher, uint32_t events) {
  epoll_event event = {};
  event.events = events;
  event.data.ptr = &watcher;
  epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, socket.get(), &event);
}

// close() alone would not do: a process that was forked meanwhile may still hold the socket open.
void EventLoop::Unwatch(const Descriptor& socket, const Watcher& watcher) {
  epoll_event ignored = {};
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, socket.get(), &ignored);
  for (int i = next_event_; i < event_count_; ++i) {
    if (events_[i].data.ptr == &watcher) events_[i].data.ptr = nullptr;
  }
}

void EventLoop::Arm(Timer& timer, int64_t due_ms) {
  Disarm(timer);
  timer.armed_ = true;
  timer.due_ms_ = due_ms;
  Timer* before = last_timer_;
  while (before != nullptr && before->due_ms_ > due_ms) before = before->previous_;
  timer.previous_ = before;
  timer.next_ = before == nullptr ? first_timer_ : before->next_;
  (before == nullptr ? first_timer_ : before->next_) = &timer;
  (timer.next_ == nullptr ? last_timer_ : timer.next_->previous_) = &timer;
}

void EventLoop::Disarm(Timer& timer) {
  if (!std::exchange(timer.armed_, false)) return;
  (timer.previous_ == nullptr ? first_timer_ : timer.previous_->next_) = timer.next_;
  (timer.next_ == nullptr ? last_timer_ : timer.next_->previous_) = timer.previous_;
}

// Until the first timer is due; not at all when there are tasks.
int EventLoop::WaitMs() {
  sleeping_.store(true);
  if (posted_.load() != nullptr) return 0;
  if (first_timer_ == nullptr) return -1;
  return static_cast<int>(
      std::clamp<int64_t>(first_timer_->due_ms_ - base::CoarseMonotonicMilliseconds(), 0, INT_MAX));
}

void EventLoop::Wait() {
  const int wait_ms = WaitMs();
  next_event_ = 0;
  event_count_ = epoll_wait(epoll_.get(), events_, kMostAtOnce, wait_ms);
  sleeping_.store(false, std::memory_order_relaxed);
  ReadClock();
}

void EventLoop::ReadClock() {
  now_ns_ = base::MonotonicNanoseconds();
  now_ms_ = now_ns_ / 1'000'000;
}

void EventLoop::TellWatchers() {
  while (next_event_ < event_count_) {
    const epoll_event event = events_[next_event_++];
    if (event.data.ptr == nullptr) continue;  // the eventfd, or a watcher that was removed
    Guard([&event] { static_cast<Watcher*>(event.data.ptr)->OnEvents(event.events); });
  }
}

void EventLoop::RunTimers() {
  while (first_timer_ != nullptr && first_timer_->due_ms_ <= now_ms_) {
    Timer* const timer = first_timer_;
    Disarm(*timer);
    Guard([timer] { timer->OnTimer(); });
  }
}

// Runs the tasks that are there now. What they post runs in the next turn, so that sockets are not
// starved.
void EventLoop::RunTasks() {
  Task* task = nullptr;  // in the order in which they were posted
  for (Task* left = posted_.exchange(nullptr); left != nullptr;) {
    Task* const next = std::exchange(left->next_, task);
    task = std::exchange(left, next);
  }
  while (task != nullptr) {
    Task* const next = task->next_;  // before it runs and is perhaps posted again
    Guard([task] { task->Run(); });
    task = next;
  }
}

absl::StatusOr<std::unique_ptr<IoThreads>> IoThreads::Start(int threads) {
  if (threads < 1) return absl::InvalidArgumentError("at least one I/O thread is needed");
  std::unique_ptr<IoThreads> result(new IoThreads());
  for (int i = 0; i < threads; ++i) {
    result->loops_.push_back(std::make_unique<Loop>());
    result->loops_.back()->index = i;
    if (absl::Status status = result->loops_.back()->events.Open(); !status.ok()) return status;
  }
  try {
    for (auto& loop : result->loops_) {
      loop->thread = base::StartThread("lri-io", [&events = loop->events] { events.Run(); });
    }
  } catch (const std::system_error&) {
    return absl::ResourceExhaustedError("the system gives no more threads");
  }
  return result;
}

IoThreads::IoThreads() = default;

IoThreads::~IoThreads() { Stop(); }

int IoThreads::size() const { return static_cast<int>(loops_.size()); }

int IoThreads::current() const {
  for (const auto& loop : loops_) {
    if (loop->events.IsHere()) return loop->index;
  }
  return -1;
}

void IoThreads::Post(int thread, absl::AnyInvocable<void()> work) {
  loops_[thread]->events.Post(std::move(work));
}

void IoThreads::Stop() {
  for (const auto& loop : loops_) {
    if (loop->thread.joinable()) loop->events.Stop();
  }
  for (const auto& loop : loops_) {
    if (loop->thread.joinable()) loop->thread.join();
  }
}

}  // namespace webhook::http
