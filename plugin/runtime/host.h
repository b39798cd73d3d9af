// The host as the plugin sees it: the ABI's table with what is optional in it filled in.
#ifndef PLUGIN_RUNTIME_HOST_H_
#define PLUGIN_RUNTIME_HOST_H_

#include <cstddef>
#include <cstdint>
#include <exception>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "plugin/abi/long_running_integration.h"

namespace webhook::runtime {

inline lri_view ToView(absl::string_view text) { return {text.data(), text.size()}; }
inline absl::string_view FromView(lri_view view) {
  return {view.data, view.data == nullptr ? 0 : view.size};
}

// Elements lie `stride` bytes apart, for the other side's may be longer than ours.
inline const lri_pair& At(const lri_pairs& pairs, size_t index) {
  return *reinterpret_cast<const lri_pair*>(reinterpret_cast<const char*>(pairs.data) +
                                            index * pairs.stride);
}

// Writes one line to standard error that names the host's function, and aborts.
[[noreturn]] void EndAfterException(const char* function, const char* what);

// Calls a function that the host gave. None of them may throw (the ABI forbids it), and after an
// exception nobody knows what the host did; so the process ends with a line that names the
// function.
template <typename Function, typename... Arguments>
auto CallHost(const char* name, Function function, Arguments... arguments) {
  try {
    return function(arguments...);
  } catch (const std::exception& exception) {
    EndAfterException(name, exception.what());
  } catch (...) {
    EndAfterException(name, "an object that is no std::exception");
  }
}

// Thread-safe; a pointer and nothing more. The table outlives the plugin (the ABI says so).
class Host {
 public:
  // INVALID_ARGUMENT where a required function is missing.
  static absl::Status Check(const lri_host* table);

  explicit Host(const lri_host& table) : table_(&table) {}

  int32_t CreateIncidents(lri_host_instance* instance, const lri_incident_batch& batch) const;
  void Complete(lri_call* call, const lri_answer& answer) const;
  // UNIMPLEMENTED where the host has no context; then done is not called.
  int32_t ContextGet(lri_host_instance* instance, absl::string_view key, lri_context_done done,
                     void* done_context) const;
  int32_t ContextSet(lri_host_instance* instance, absl::string_view key, absl::string_view value,
                     lri_context_done done, void* done_context) const;
  void SetHealth(lri_host_instance* instance, lri_health health, absl::string_view message) const;
  void Log(lri_host_instance* instance, lri_severity severity, absl::string_view message) const;
  absl::Time Now() const;

 private:
  const lri_host* table_;
};

}  // namespace webhook::runtime

#endif  // PLUGIN_RUNTIME_HOST_H_
