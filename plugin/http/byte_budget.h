// How much memory requests and answers may hold together, and the shares that keep one sender or
// one instance from taking all of it.
#ifndef PLUGIN_HTTP_BYTE_BUDGET_H_
#define PLUGIN_HTTP_BYTE_BUDGET_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <utility>

#include "plugin/http/address.h"
#include "plugin/limits/limits.h"

namespace webhook::http {

// Adds to what is held, or returns false. It never passes `most`, not even for a moment: somebody
// else would be refused for it.
inline bool AddWithin(std::atomic<int64_t>& held, int64_t bytes, int64_t most) {
  int64_t before = held.load(std::memory_order_relaxed);
  do {
    if (before + bytes > most) return false;
  } while (!held.compare_exchange_weak(before, before + bytes, std::memory_order_relaxed));
  return true;
}

// What the connections of one Address::Network hold.
struct AddressBytes {
  std::atomic<int64_t> bytes{0};
  int64_t share = 0;  // what passes it is not counted for all, so that others do not pay for it
  int64_t users = 0;
  std::atomic<int64_t> requests{0};  // at work, that proxies passed on
  bool is_proxy = false;
  Address network;
};

// Servers with the same object share Limits::bytes_in_flight. Bodies that do not fit into a
// connection's usual buffer, the part of heads that exceeds it, and answers that the peer does not
// read.
struct BytesInFlight {
  std::atomic<int64_t> bytes{0};  // for each address at most its share

  // [any thread] Each Take is followed by one Give. The share is that of the first Take.
  AddressBytes* Take(const Address& network, bool is_proxy, int64_t share) {
    const std::lock_guard<std::mutex> lock(mutex_);
    AddressBytes& address = addresses_[{network, is_proxy}];
    if (address.users++ == 0) {
      address.share = share;
      address.is_proxy = is_proxy;
      address.network = network;
    }
    return &address;
  }
  void Give(AddressBytes* address) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (--address->users == 0) addresses_.erase({address->network, address->is_proxy});
  }

 private:
  std::mutex mutex_;
  std::map<std::pair<Address, bool>, AddressBytes> addresses_;  // guarded by mutex_
};

// The limits of a server, in bytes. A single body always fits.
struct ByteShares {
  explicit ByteShares(const Limits& limits) {
    const auto share = [&](int64_t percent) {
      return std::max(all * percent / 100, limits.body_bytes);
    };
    all = std::max(limits.bytes_in_flight, limits.body_bytes);
    for_large = share(100 - limits.bytes_in_flight_percent_for_small_requests);
    of_address = std::min(share(limits.bytes_in_flight_percent_of_one_address), for_large);
    of_instance = std::min(share(limits.bytes_in_flight_percent_of_one_instance), for_large);
  }

  int64_t all;
  int64_t for_large;  // requests of more than kSmallRequestBytes
  int64_t of_address;
  int64_t of_instance;
};

// What one connection reserves. [any thread]
class ByteBudget {
 public:
  static constexpr int64_t kSmallRequestBytes = 64 * 1024;

  ByteBudget(BytesInFlight& all, AddressBytes& address, const ByteShares& shares)
      : all_(all), address_(&address), shares_(shares) {}

  // For a request that needs `request_bytes` altogether, as far as that is known. `instance` counts
  // what an instance's requests hold; null: not counted. Null, or what is used up; then nothing
  // changed.
  const char* Reserve(int64_t bytes, int64_t request_bytes, std::atomic<int64_t>* instance);
  void Release(int64_t bytes, std::atomic<int64_t>* instance);

  // Counts memory that is in use already and cannot be refused, or with a minus is not any more.
  void Count(int64_t bytes);

  // [one thread, as all that reserves here] From now on what is and will be reserved counts for
  // another address.
  void MoveTo(AddressBytes& address);
  const AddressBytes& address() const { return *address_; }

  // Answers that are not read have used up the address's share, or all. Then there is no room for
  // further answers.
  bool exhausted() const {
    return address_->bytes.load(std::memory_order_relaxed) > address_->share ||
           all_.bytes.load(std::memory_order_relaxed) > shares_.all;
  }

 private:
  // Returns how much that is of its share, and so of `all`.
  int64_t AddToAddress(int64_t bytes);

  BytesInFlight& all_;
  AddressBytes* address_;
  const ByteShares& shares_;
  int64_t held_ = 0;  // of what the address has, by this budget
};

}  // namespace webhook::http

#endif  // PLUGIN_HTTP_BYTE_BUDGET_H_
