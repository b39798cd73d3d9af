#include "plugin/runtime/task_thread.h"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <exception>

namespace webhook::runtime {
namespace {

// The host's signals are the host's: a new thread inherits the mask of who makes it.
std::thread StartWithoutSignals(auto function) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    std::thread thread(std::move(function));
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return thread;
  } catch (...) {
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    throw;
  }
}

}  // namespace

TaskThread::~TaskThread() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

bool TaskThread::Schedule(Task& task, absl::Duration delay) noexcept {
  try {
    std::lock_guard lock(mutex_);
    if (!thread_.joinable()) thread_ = StartWithoutSignals([this] { Loop(); });
    const Clock::time_point due = Clock::now() + absl::ToChronoNanoseconds(delay);
    const auto [scheduled, added] = due_.try_emplace(&task, due);
    if (!added) scheduled->second = std::min(scheduled->second, due);
    changed_.notify_all();
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

void TaskThread::Cancel(Task& task) {
  std::unique_lock lock(mutex_);
  due_.erase(&task);
  finished_.wait(lock, [&] { return running_ != &task; });
  due_.erase(&task);  // it may have scheduled itself again
}

void TaskThread::Loop() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    const auto next = std::min_element(
        due_.begin(), due_.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
    if (next == due_.end()) {
      changed_.wait(lock);
      continue;
    }
    if (const Clock::time_point due = next->second; due > Clock::now()) {
      changed_.wait_until(lock, due);
      continue;
    }
    running_ = next->first;
    due_.erase(next);
    lock.unlock();
    running_->RunTask();
    lock.lock();
    running_ = nullptr;
    finished_.notify_all();
  }
}

}  // namespace webhook::runtime
