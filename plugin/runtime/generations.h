// The configuration in force, and those before it for as long as calls use them.
#ifndef PLUGIN_RUNTIME_GENERATIONS_H_
#define PLUGIN_RUNTIME_GENERATIONS_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/time/time.h"
#include "plugin/runtime/configuration.h"
#include "plugin/runtime/gate.h"

namespace webhook::runtime {

// A configuration and the calls that entered under it.
struct Generation {
  std::shared_ptr<const Configuration> configuration;  // the same from Enter to Leave
  Gate gate;
};

// A generation's memory is used again but not freed before the end. So Enter, which takes no lock,
// may come too late: it finds the gate closed, or open with a newer configuration.
class Generations {
 public:
  // Begins closed.
  explicit Generations(std::shared_ptr<const Configuration> first);
  Generations(const Generations&) = delete;
  Generations& operator=(const Generations&) = delete;

  // [any thread] The current generation, entered: its gate must be left once. Null: closed.
  Generation* Enter();

  // All below: one thread at a time.

  // False if it was open already.
  bool Open();
  void Close();

  // Who enters from now on gets this one; those who are inside keep theirs.
  void Replace(std::shared_ptr<const Configuration> next);
  const std::shared_ptr<const Configuration>& current() const;

  // Waits until all have left, of every generation. False if that is not so by `deadline`. Call
  // after Close.
  bool WaitUntilEmpty(absl::Time deadline);

  // How many have entered and not yet left.
  int64_t entered() const;

 private:
  Generation& Unused();

  std::vector<std::unique_ptr<Generation>> all_;
  std::atomic<Generation*> current_;
};

}  // namespace webhook::runtime

#endif  // PLUGIN_RUNTIME_GENERATIONS_H_
