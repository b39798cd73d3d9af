#include "host_stub/store/subscriber_list.h"

#include <utility>

namespace host_stub {

class SubscriberList::Subscription : public IncidentSubscription {
 public:
  Subscription(std::shared_ptr<SubscriberList> list, std::shared_ptr<Subscriber> subscriber)
      : list_(std::move(list)), subscriber_(std::move(subscriber)) {}
  ~Subscription() override { list_->Remove(subscriber_); }

 private:
  const std::shared_ptr<SubscriberList> list_;
  const std::shared_ptr<Subscriber> subscriber_;
};

std::unique_ptr<IncidentSubscription> SubscriberList::Add(std::function<void(int64_t)> committed) {
  auto subscriber = std::make_shared<Subscriber>();
  subscriber->committed = std::move(committed);
  const std::lock_guard<std::mutex> lock(mutex_);
  subscribers_.push_back(subscriber);
  return std::make_unique<Subscription>(shared_from_this(), std::move(subscriber));
}

bool SubscriberList::empty() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return subscribers_.empty();
}

void SubscriberList::Notify(int64_t last_id) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (last_id == last_notified_) return;
  last_notified_ = last_id;
  calling_thread_ = std::this_thread::get_id();
  for (const std::shared_ptr<Subscriber>& subscriber : subscribers_) {
    if (!subscriber->ended) subscriber->committed(last_id);
  }
  calling_thread_ = std::thread::id();
  std::erase_if(subscribers_, [](const auto& subscriber) { return subscriber->ended; });
}

void SubscriberList::Remove(const std::shared_ptr<Subscriber>& subscriber) {
  if (calling_thread_.load() == std::this_thread::get_id()) {
    subscriber->ended = true;  // from within a callback: the list is being walked
    return;
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  std::erase(subscribers_, subscriber);
}

}  // namespace host_stub
