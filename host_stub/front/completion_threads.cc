#include "host_stub/front/completion_threads.h"

#include <utility>

namespace host_stub {
namespace {

class IoCompletionThreads : public CompletionThreads {
 public:
  explicit IoCompletionThreads(std::shared_ptr<webhook::http::IoThreads> threads)
      : threads_(std::move(threads)) {}

  int count() const override { return threads_->size(); }
  int current() const override { return threads_->current(); }
  void Post(int thread, absl::AnyInvocable<void()> function) override {
    threads_->Post(thread, std::move(function));
  }

 private:
  const std::shared_ptr<webhook::http::IoThreads> threads_;
};

}  // namespace

std::shared_ptr<CompletionThreads> CompletionsOn(
    std::shared_ptr<webhook::http::IoThreads> threads) {
  return std::make_shared<IoCompletionThreads>(std::move(threads));
}

}  // namespace host_stub
