#include "host_stub/service/deadline_timer.h"

#include "absl/time/clock.h"

namespace host_stub {

DeadlineTimer::DeadlineTimer() : thread_([this] { Run(); }) {}

DeadlineTimer::~DeadlineTimer() { Stop(); }

void DeadlineTimer::Stop() {
  std::map<Token, std::shared_ptr<Expiring>> dropped;  // ends outside of the lock
  {
    absl::MutexLock lock(&mutex_);
    ending_ = true;
    dropped.swap(waiting_);
    changed_.Signal();
  }
  if (thread_.joinable()) thread_.join();
}

DeadlineTimer::Token DeadlineTimer::Add(absl::Time deadline, std::shared_ptr<Expiring> expiring) {
  absl::MutexLock lock(&mutex_);
  const Token token(deadline, next_number_++);
  if (ending_) return token;
  waiting_.emplace(token, std::move(expiring));
  // The thread looks by itself at wake_at_; only an earlier deadline is news to it.
  if (deadline < wake_at_) {
    wake_at_ = deadline;
    changed_.Signal();
  }
  return token;
}

void DeadlineTimer::Remove(const Token& token) {
  std::shared_ptr<Expiring> removed;  // may be the last owner: let it end outside of the lock
  absl::MutexLock lock(&mutex_);
  const auto found = waiting_.find(token);
  if (found == waiting_.end()) return;
  removed = std::move(found->second);
  waiting_.erase(found);
}

void DeadlineTimer::Run() {
  mutex_.Lock();
  while (!ending_) {
    const auto first = waiting_.begin();
    if (first == waiting_.end() || first->first.first > absl::Now()) {
      wake_at_ = first == waiting_.end() ? absl::InfiniteFuture() : first->first.first;
      changed_.WaitWithDeadline(&mutex_, wake_at_);
      continue;
    }
    std::shared_ptr<Expiring> expired = std::move(first->second);
    waiting_.erase(first);
    mutex_.Unlock();
    expired->Expire();
    expired.reset();
    mutex_.Lock();
  }
  mutex_.Unlock();
}

}  // namespace host_stub
