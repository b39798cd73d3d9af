#include "plugin/runtime/generations.h"

#include <utility>

namespace webhook::runtime {

Generations::Generations(std::shared_ptr<const Configuration> first) {
  all_.push_back(std::make_unique<Generation>());
  all_.back()->configuration = std::move(first);
  current_ = all_.back().get();
}

Generation* Generations::Enter() {
  for (;;) {
    Generation* const generation = current_.load(std::memory_order_acquire);
    if (generation->gate.Enter()) return generation;
    // Closed: it was replaced meanwhile, or none is taken at all.
    if (generation == current_.load(std::memory_order_acquire) && !generation->gate.is_open()) {
      return nullptr;
    }
  }
}

bool Generations::Open() { return current_.load()->gate.Open(); }

void Generations::Close() { current_.load()->gate.Close(); }

void Generations::Replace(std::shared_ptr<const Configuration> next) {
  Generation& before = *current_.load();
  Generation& after = Unused();
  after.configuration = std::move(next);
  const bool open = before.gate.is_open();
  if (open) after.gate.Open();
  current_.store(&after, std::memory_order_release);
  before.gate.Close();
}

const std::shared_ptr<const Configuration>& Generations::current() const {
  return current_.load()->configuration;
}

// One that nobody is inside of; the others' configurations are let go of as well.
Generation& Generations::Unused() {
  Generation* unused = nullptr;
  for (const auto& one : all_) {
    if (one.get() == current_.load() || one->gate.entered() != 0) continue;
    one->configuration = nullptr;
    unused = one.get();
  }
  if (unused == nullptr) unused = all_.emplace_back(std::make_unique<Generation>()).get();
  return *unused;
}

bool Generations::WaitUntilEmpty(absl::Time deadline) {
  for (const auto& one : all_) {
    if (!one->gate.WaitUntilEmpty(deadline)) return false;
  }
  return true;
}

int64_t Generations::entered() const {
  int64_t sum = 0;
  for (const auto& one : all_) sum += one->gate.entered();
  return sum;
}

}  // namespace webhook::runtime
