#include "plugin/http/byte_budget.h"

namespace webhook::http {

// The address first: each change of it is one step, so that the changes of `all`, each by how much
// the address's part within its share grew or shrank in that step, always add up.
void ByteBudget::Count(int64_t bytes) {
  const int64_t before = address_.bytes.fetch_add(bytes, std::memory_order_relaxed);
  const int64_t share = address_.share;
  all_.bytes.fetch_add(std::min(before + bytes, share) - std::min(before, share),
                       std::memory_order_relaxed);
}

const char* ByteBudget::Reserve(int64_t bytes, int64_t request_bytes,
                                std::atomic<int64_t>* instance) {
  const bool is_large = request_bytes > kSmallRequestBytes;
  int64_t before = address_.bytes.load(std::memory_order_relaxed);
  do {
    if (before + bytes > address_.share) return "the address has its share of bytes_in_flight";
  } while (
      !address_.bytes.compare_exchange_weak(before, before + bytes, std::memory_order_relaxed));
  // It is within the share.
  const int64_t all = all_.bytes.fetch_add(bytes, std::memory_order_relaxed) + bytes;
  if (all > (is_large ? shares_.for_large : shares_.all)) {
    Count(-bytes);
    return "the limit bytes_in_flight is reached";
  }
  if (instance == nullptr) return nullptr;
  if (instance->fetch_add(bytes, std::memory_order_relaxed) + bytes > shares_.of_instance &&
      is_large) {
    Release(bytes, instance);
    return "the instance has its share of bytes_in_flight";
  }
  return nullptr;
}

void ByteBudget::Release(int64_t bytes, std::atomic<int64_t>* instance) {
  Count(-bytes);
  if (instance != nullptr) instance->fetch_sub(bytes, std::memory_order_relaxed);
}

}  // namespace webhook::http
