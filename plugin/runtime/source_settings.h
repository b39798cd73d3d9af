// What an instance is configured with about its source: the sender, its secrets, its rules.
#ifndef PLUGIN_RUNTIME_SOURCE_SETTINGS_H_
#define PLUGIN_RUNTIME_SOURCE_SETTINGS_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "plugin/core/credentials.h"
#include "plugin/sources/evaluate.h"

namespace webhook::runtime {

// The parameters' values by their names, all of them; empty where none was given.
using Given = std::map<absl::string_view, absl::string_view>;

// What people should know of what a source has sent under a configuration. Thread-safe.
class SourceRecord {
 public:
  explicit SourceRecord(const sources::Source* source)
      : decided_(source == nullptr ? 0 : source->rule_count()) {}

  // Of one request: on how many events each rule has decided.
  void CountRules(std::span<const uint32_t> decided) {
    for (size_t i = 0; i < decided.size(); ++i) {
      decided_[i].fetch_add(decided[i], std::memory_order_relaxed);
    }
  }
  std::vector<uint64_t> rule_counts() const { return {decided_.begin(), decided_.end()}; }

  // Of one accepted request: how many of its events became no incident.
  void CountDropped(uint64_t events) { dropped_.fetch_add(events, std::memory_order_relaxed); }
  uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

  // What a handshake asks a person to use: a token, a URL to visit. Only the last one is kept.
  void set_confirmation(std::string text) {
    const std::lock_guard lock(mutex_);
    confirmation_ = std::move(text);
  }
  std::string confirmation() const {
    const std::lock_guard lock(mutex_);
    return confirmation_;
  }

 private:
  std::vector<std::atomic<uint64_t>> decided_;  // by rule
  std::atomic<uint64_t> dropped_{0};
  mutable std::mutex mutex_;
  std::string confirmation_;  // guarded by mutex_; empty: none
};

// Null for `generic`, the documented webhook. INVALID_ARGUMENT names the parameter and the rule; no
// message quotes a secret. A source that could not tell an authentic request from another one is
// refused, unless `unauthenticated` is true.
absl::StatusOr<std::shared_ptr<const sources::Source>> ReadSource(
    const Given& given, const core::Credentials& credentials, absl::Time now);

}  // namespace webhook::runtime

#endif  // PLUGIN_RUNTIME_SOURCE_SETTINGS_H_
