#include "tests/border/failing_allocations.h"

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

namespace border {
namespace {

enum class Mode { kOff, kOne, kAll };

std::atomic<Mode> mode{Mode::kOff};
std::atomic<int64_t> counted{0};
std::atomic<int64_t> chosen{0};
std::atomic<bool> failed{false};
std::atomic<bool> only_exposed{false};
thread_local int spared = 0;
thread_local int exposed = 0;

void Begin(int64_t n, Mode wanted) {
  counted = 0;
  chosen = n;
  failed = false;
  mode = wanted;
}

bool MustFail() {
  const Mode now = mode.load(std::memory_order_relaxed);
  if (now == Mode::kOff || spared > 0 || (only_exposed && exposed == 0)) return false;
  const int64_t number = ++counted;
  const bool fails = now == Mode::kOne ? number == chosen : number >= chosen;
  if (fails) failed = true;
  return fails;
}

void* Allocate(size_t size) {
  if (MustFail()) return nullptr;
  return std::malloc(size == 0 ? 1 : size);
}

void* Allocate(size_t size, std::align_val_t alignment) {
  if (MustFail()) return nullptr;
  const auto to = static_cast<size_t>(alignment);
  return std::aligned_alloc(to, (size + to - 1) / to * to);
}

void* OrThrow(void* memory) {
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

void FailNth(int64_t n) { Begin(n, Mode::kOne); }
void FailFrom(int64_t n) { Begin(n, Mode::kAll); }
bool StopFailing() {
  mode = Mode::kOff;
  return failed;
}
int64_t AllocationsCounted() { return counted; }

Spared::Spared() { ++spared; }
Spared::~Spared() { --spared; }

void FailOnlyExposed() { only_exposed = true; }
Exposed::Exposed() { ++exposed; }
Exposed::~Exposed() { --exposed; }

}  // namespace border

// Not inlined: the compiler would take new with free for a mistake.
#define NEW [[gnu::noinline]] void* operator
#define DELETE [[gnu::noinline]] void operator
NEW new (size_t size) { return border::OrThrow(border::Allocate(size)); }
NEW new[](size_t size) { return border::OrThrow(border::Allocate(size)); }
NEW new (size_t size, const std::nothrow_t&) noexcept { return border::Allocate(size); }
NEW new[](size_t size, const std::nothrow_t&) noexcept { return border::Allocate(size); }
NEW new (size_t size, std::align_val_t to) { return border::OrThrow(border::Allocate(size, to)); }
NEW new[](size_t size, std::align_val_t to) { return border::OrThrow(border::Allocate(size, to)); }
NEW new (size_t size, std::align_val_t to, const std::nothrow_t&) noexcept {
  return border::Allocate(size, to);
}
NEW new[](size_t size, std::align_val_t to, const std::nothrow_t&) noexcept {
  return border::Allocate(size, to);
}
DELETE delete (void* memory) noexcept { std::free(memory); }
DELETE delete[](void* memory) noexcept { std::free(memory); }
DELETE delete (void* memory, size_t) noexcept { std::free(memory); }
DELETE delete[](void* memory, size_t) noexcept { std::free(memory); }
DELETE delete (void* memory, std::align_val_t) noexcept { std::free(memory); }
DELETE delete[](void* memory, std::align_val_t) noexcept { std::free(memory); }
DELETE delete (void* memory, size_t, std::align_val_t) noexcept { std::free(memory); }
DELETE delete[](void* memory, size_t, std::align_val_t) noexcept { std::free(memory); }
