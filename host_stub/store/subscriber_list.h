// The callbacks that are told of commits.
#ifndef HOST_STUB_STORE_SUBSCRIBER_LIST_H_
#define HOST_STUB_STORE_SUBSCRIBER_LIST_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "host_stub/store/incident_store.h"

namespace host_stub {

// Held by shared_ptr: a subscription may outlive the store. Any thread.
class SubscriberList : public std::enable_shared_from_this<SubscriberList> {
 public:
  std::unique_ptr<IncidentSubscription> Add(std::function<void(int64_t)> committed);

  // Incidents up to this id were there before. Called before the first Notify.
  void StartAfter(int64_t last_id) { last_notified_ = last_id; }

  // Nobody subscribes.
  bool empty();

  // Calls every subscriber, unless this id is the one that they were told of last.
  void Notify(int64_t last_id);

 private:
  class Subscription;
  struct Subscriber {
    std::function<void(int64_t)> committed;
    bool ended = false;
  };

  void Remove(const std::shared_ptr<Subscriber>& subscriber);

  std::mutex mutex_;  // held while subscribers are called
  std::atomic<std::thread::id> calling_thread_;
  std::vector<std::shared_ptr<Subscriber>> subscribers_;
  int64_t last_notified_ = 0;
};

}  // namespace host_stub

#endif  // HOST_STUB_STORE_SUBSCRIBER_LIST_H_
