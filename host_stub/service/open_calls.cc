#include "host_stub/service/open_calls.h"

#include <vector>

#include "absl/time/clock.h"
#include "plugin/base/thread.h"

namespace host_stub {

OpenCalls::OpenCalls() : thread_(base::StartThread("grpc-calls", [this] { Run(); })) {}

OpenCalls::~OpenCalls() { Stop(); }

void OpenCalls::Leave() {
  if (open_.fetch_sub(1) != 1 || !awaited_) return;
  absl::MutexLock lock(&mutex_);
  none_ = true;
}

bool OpenCalls::AwaitNone(absl::Time deadline) {
  awaited_ = true;
  absl::MutexLock lock(&mutex_);
  // Calls that left before this did not set none_.
  none_ = none_ || open_ == 0;
  return mutex_.AwaitWithDeadline(absl::Condition(&none_), deadline);
}

OpenCalls::Token OpenCalls::Add(absl::Time deadline, std::shared_ptr<OpenCall> call) {
  bool draining = false;
  bool cut_off = false;
  Token token;
  {
    absl::MutexLock lock(&mutex_);
    token = Token(deadline, next_number_++);
    if (stopped_) return token;
    draining = draining_;
    cut_off = cut_off_;
    calls_.emplace(token, draining || cut_off ? call : std::move(call));
    // The thread looks by itself at wake_at_; only an earlier deadline is news to it.
    if (deadline < wake_at_) {
      wake_at_ = deadline;
      changed_.Signal();
    }
  }
  if (draining) call->OnDrain();
  if (cut_off) call->OnCutOff();
  return token;
}

void OpenCalls::Remove(const Token& token) {
  std::shared_ptr<OpenCall> removed;  // may be the last owner, so it is released after the lock
  absl::MutexLock lock(&mutex_);
  const auto found = calls_.find(token);
  if (found == calls_.end()) return;
  removed = std::move(found->second);
  calls_.erase(found);
}

void OpenCalls::TellAll(bool OpenCalls::*flag, void (OpenCall::*tell)()) {
  std::vector<std::shared_ptr<OpenCall>> all;
  {
    absl::MutexLock lock(&mutex_);
    this->*flag = true;
    for (const auto& [token, call] : calls_) all.push_back(call);
  }
  for (const auto& call : all) (*call.*tell)();
}

void OpenCalls::Stop() {
  std::map<Token, std::shared_ptr<OpenCall>> dropped;  // released after the lock
  {
    absl::MutexLock lock(&mutex_);
    stopped_ = true;
    dropped.swap(calls_);
    changed_.Signal();
  }
  if (thread_.joinable()) thread_.join();
}

void OpenCalls::Run() {
  mutex_.Lock();
  while (!stopped_) {
    const auto first = calls_.begin();
    if (first == calls_.end() || first->first.first > absl::Now()) {
      wake_at_ = first == calls_.end() ? absl::InfiniteFuture() : first->first.first;
      changed_.WaitWithDeadline(&mutex_, wake_at_);
      continue;
    }
    std::shared_ptr<OpenCall> expired = std::move(first->second);
    calls_.erase(first);
    mutex_.Unlock();
    expired->OnDeadline();
    expired.reset();
    mutex_.Lock();
  }
  mutex_.Unlock();
}

}  // namespace host_stub
