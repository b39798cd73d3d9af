#include "plugin/http/byte_budget.h"

#include <limits>

namespace webhook::http {

// Each change of the address is one step. The changes of `all`, each by how much the address's part
// within its share grew or shrank in that step, always add up.
int64_t ByteBudget::AddToAddress(int64_t bytes) {
  const int64_t before = address_->bytes.fetch_add(bytes, std::memory_order_relaxed);
  held_ += bytes;
  return std::min(before + bytes, address_->share) - std::min(before, address_->share);
}

void ByteBudget::MoveTo(AddressBytes& address) {
  const int64_t held = held_;
  if (held != 0) Count(-held);
  address_ = &address;
  if (held != 0) Count(held);
}

void ByteBudget::Count(int64_t bytes) {
  all_.bytes.fetch_add(AddToAddress(bytes), std::memory_order_relaxed);
}

const char* ByteBudget::Reserve(int64_t bytes, int64_t request_bytes,
                                std::atomic<int64_t>* instance) {
  constexpr int64_t kNoLimit = std::numeric_limits<int64_t>::max();
  const bool is_large = request_bytes > kSmallRequestBytes;
  if (!AddWithin(address_->bytes, bytes, address_->share)) {
    return "the address has its share of bytes_in_flight";
  }
  held_ += bytes;
  const char* used_up = nullptr;
  if (instance != nullptr &&
      !AddWithin(*instance, bytes, is_large ? shares_.of_instance : kNoLimit)) {
    used_up = "the instance has its share of bytes_in_flight";
  } else if (!AddWithin(all_.bytes, bytes, is_large ? shares_.for_large : shares_.all)) {
    if (instance != nullptr) instance->fetch_sub(bytes, std::memory_order_relaxed);
    used_up = "the limit bytes_in_flight is reached";
  }
  // `all` was not told of what the address gives back.
  if (used_up != nullptr) {
    all_.bytes.fetch_add(bytes + AddToAddress(-bytes), std::memory_order_relaxed);
  }
  return used_up;
}

void ByteBudget::Release(int64_t bytes, std::atomic<int64_t>* instance) {
  Count(-bytes);
  if (instance != nullptr) instance->fetch_sub(bytes, std::memory_order_relaxed);
}

}  // namespace webhook::http
