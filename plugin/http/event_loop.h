// The event loop of one thread: sockets, timers, and tasks that any thread may post; and the
// threads that all servers share.
//
// Each turn of a loop waits for events (epoll), calls the watchers, then runs the timers that are
// due and the tasks that were posted. Watchers, timers and tasks are members of the objects that
// use them, so a request allocates nothing here.
#ifndef PLUGIN_HTTP_EVENT_LOOP_H_
#define PLUGIN_HTTP_EVENT_LOOP_H_

#include <sys/epoll.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace webhook::http {

// Owns a descriptor and closes it.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int descriptor) : descriptor_(descriptor) {}
  ~Descriptor() { Close(); }
  Descriptor(Descriptor&& other) noexcept : descriptor_(other.Release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    Close();
    descriptor_ = other.Release();
    return *this;
  }

  int get() const { return descriptor_; }
  bool is_open() const { return descriptor_ >= 0; }
  void Close();

 private:
  int Release() { return std::exchange(descriptor_, -1); }

  int descriptor_ = -1;
};

// Functions marked [any thread] may be called on any; all others on the loop's own thread. An
// exception out of a callback (memory ran out) ends that callback only.
class EventLoop {
 public:
  // Waits for a socket.
  class Watcher {
   public:
    // `events`: those of EPOLLIN, EPOLLOUT, EPOLLERR and EPOLLHUP that hold now. It is called again
    // in the next turn if they still hold then (level-triggered). May remove itself and others.
    virtual void OnEvents(uint32_t events) = 0;

   protected:
    ~Watcher() = default;
  };

  // Waits for a time.
  class Timer {
   public:
    Timer() = default;
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;
    virtual void OnTimer() = 0;
    bool is_armed() const { return armed_; }

   protected:
    ~Timer() = default;  // not while it is armed

   private:
    friend class EventLoop;
    bool armed_ = false;
    int64_t due_ms_ = 0;
    Timer* next_ = nullptr;
    Timer* previous_ = nullptr;
  };

  // Work to be posted. The loop does not own it; it must live until it has run.
  class Task {
   public:
    virtual void Run() = 0;
    // Called instead of Run if the loop ends first.
    virtual void Drop() {}

   protected:
    ~Task() = default;

   private:
    friend class EventLoop;
    Task* next_ = nullptr;
  };

  EventLoop() = default;
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // Must be called first. RESOURCE_EXHAUSTED: the system gives no descriptors.
  absl::Status Open();

  // Runs until Stop. The calling thread is the loop's own from then on.
  void Run();

  // [any thread] Makes Run return after the tasks that were posted before.
  void Stop();

  // [any thread] Is this the loop's own thread?
  bool IsHere() const {
    return thread_.load(std::memory_order_relaxed) == std::this_thread::get_id();
  }

  // [any thread] Runs the task later, after those that were posted before, never inside this call.
  // A task may be posted again once it has begun to run.
  void Post(Task& task);
  // [any thread] The same for a function; this allocates.
  void Post(absl::AnyInvocable<void()> work);

  // `events`: EPOLLIN, EPOLLOUT, both or 0. False: the kernel has no memory for it.
  bool Watch(const Descriptor& socket, Watcher& watcher, uint32_t events);
  void Rewatch(const Descriptor& socket, Watcher& watcher, uint32_t events);
  // Must be called before the socket is closed. The watcher is not called any more.
  void Unwatch(const Descriptor& socket, const Watcher& watcher);

  // Sets the timer's time. Cheap if most other timers are due earlier.
  void Arm(Timer& timer, int64_t due_ms);
  void Disarm(Timer& timer);

  // The monotonic time in milliseconds when this turn began.
  int64_t now_ms() const { return now_ms_; }
  int64_t now_ns() const { return now_ns_; }

 private:
  static constexpr int kMostAtOnce = 128;

  void Wait();
  int WaitMs();
  void TellWatchers();
  void RunTimers();
  void ReadClock();
  void RunTasks();

  Descriptor epoll_;
  Descriptor wake_;  // an eventfd
  std::atomic<std::thread::id> thread_{};
  std::atomic<Task*> posted_{nullptr};  // the last one first
  std::atomic<bool> sleeping_{false};   // Post must wake the loop
  bool stopped_ = false;
  int64_t now_ns_ = 0;
  int64_t now_ms_ = 0;
  Timer* first_timer_ = nullptr;  // in the order of their times
  Timer* last_timer_ = nullptr;
  epoll_event events_[kMostAtOnce];  // that were taken from the kernel
  int next_event_ = 0;               // of them to be told
  int event_count_ = 0;
};

// A task that calls a member function of its owner.
template <auto kFunction, typename Owner>
class MemberTask final : public EventLoop::Task {
 public:
  explicit MemberTask(Owner& owner) : owner_(owner) {}
  void Run() override { (owner_.*kFunction)(); }

 private:
  Owner& owner_;
};

struct Loop;

// The threads that all servers share. Each runs an event loop of its own. A connection stays on one
// thread for its whole life, so a request takes no lock. Many servers (a thousand listen ports)
// share one pool.
class IoThreads {
 public:
  // Starts `threads` of them (at least 1). RESOURCE_EXHAUSTED when the system gives no more.
  static absl::StatusOr<std::unique_ptr<IoThreads>> Start(int threads);

  // [a thread outside the pool] Stops. Every Server on these threads must be gone and every
  // Exchange answered before.
  ~IoThreads();

  IoThreads(const IoThreads&) = delete;
  IoThreads& operator=(const IoThreads&) = delete;

  // [any thread] How many threads there are.
  int size() const;

  // [any thread] The index of the calling thread in this pool, from 0; -1 on any other thread.
  int current() const;

  // [any thread] Runs `work` on that thread (0 <= thread < size()) after what was posted before,
  // never inside this call. `work` must not block. It is dropped after Stop.
  void Post(int thread, absl::AnyInvocable<void()> work);

  // [a thread outside the pool] Runs what was posted before, then joins. Further calls do nothing.
  void Stop();

  // For plugin/http alone.
  const std::vector<std::unique_ptr<Loop>>& loops() const { return loops_; }
  // The thread for the next listening socket, in turn.
  Loop& NextHome() { return *loops_[next_home_.fetch_add(1) % loops_.size()]; }

 private:
  IoThreads();

  std::vector<std::unique_ptr<Loop>> loops_;
  std::atomic<unsigned> next_home_{0};
};

}  // namespace webhook::http

#endif  // PLUGIN_HTTP_EVENT_LOOP_H_
