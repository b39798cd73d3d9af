// The host as the plugin sees it: its structs, its table with what is optional filled in, and the
// completions that it owes.
#ifndef PLUGIN_RUNTIME_HOST_H_
#define PLUGIN_RUNTIME_HOST_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <mutex>
#include <string>

#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "plugin/abi/long_running_integration.h"

namespace webhook::runtime {

inline lri_view ToView(absl::string_view text) { return {text.data(), text.size()}; }
inline absl::string_view FromView(lri_view view) {
  return {view.data, view.data == nullptr ? 0 : view.size};
}

// Elements are `stride` bytes apart, because the other side's may be longer than ours.
inline const lri_pair& At(const lri_pairs& pairs, size_t index) {
  return *reinterpret_cast<const lri_pair*>(reinterpret_cast<const char*>(pairs.data) +
                                            index * pairs.stride);
}

// An lri_answer and its headers. It views the caller's texts.
class Answer {
 public:
  // `body` and the header values must live until the answer has been passed on.
  Answer(int32_t status, absl::string_view body)
      : answer_{.struct_size = sizeof(lri_answer),
                .status = status,
                .headers = {nullptr, 0, sizeof(lri_pair)},
                .body = ToView(body),
                .reason = LRI_REASON_ANSWERED,
                .reserved = 0,
                .detail = {nullptr, 0}} {}
  Answer(int32_t status, absl::string_view content_type, absl::string_view body)
      : Answer(status, body) {
    Add("Content-Type", content_type);
  }

  Answer& Add(absl::string_view name, absl::string_view value) {
    headers_.push_back({ToView(name), ToView(value)});
    return *this;
  }

  // Why it is no success, and a sentence for the operator.
  Answer& Because(lri_reason reason, absl::string_view detail) {
    answer_.reason = reason;
    answer_.detail = ToView(detail);
    return *this;
  }

  // Valid until the next Add, while this object stays where it is.
  const lri_answer& abi() {
    answer_.headers.data = headers_.data();
    answer_.headers.count = headers_.size();
    return answer_;
  }

 private:
  absl::InlinedVector<lri_pair, 4> headers_;  // more than these take memory: a source's alone
  lri_answer answer_;
};

inline constexpr char kTextPlain[] = "text/plain; charset=utf-8";
inline constexpr char kApplicationJson[] = "application/json";

// ---- whether a struct or array of the other side can be read at all: INVALID_ARGUMENT if not ----

// A larger count is taken for a mistake.
inline constexpr size_t kMostElements = 1'000'000;

inline bool Readable(const lri_pairs& pairs) {
  return pairs.count == 0 || (pairs.data != nullptr && pairs.stride >= sizeof(lri_pair) &&
                              pairs.count <= kMostElements);
}

inline bool Readable(const lri_request_head* head) {
  return head != nullptr && LRI_HAS(head, deadline_mono_ns) && Readable(head->headers);
}

inline bool Readable(const lri_request* request) {
  return request != nullptr && LRI_HAS(request, head_ticket) && Readable(request->head) &&
         (request->body.data != nullptr || request->body.size == 0);
}

inline bool Readable(const lri_plugin_options* options) {
  return options == nullptr || !LRI_HAS(options, limits) || Readable(options->limits);
}

inline bool Readable(const lri_instance_options* options) {
  return options != nullptr && LRI_HAS(options, parameters) && Readable(options->parameters);
}

// A result that says LRI_CREATED has its incidents.
inline bool Readable(const lri_create_result* result) {
  return result != nullptr && LRI_HAS(result, stride) &&
         (result->count == 0 || result->outcome != LRI_CREATED ||
          (result->incidents != nullptr &&
           result->stride >= offsetof(lri_created_incident, severity)));
}

// ---- calls of the host --------------------------------------------------------------------------

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
  // INVALID_ARGUMENT if a required function is missing.
  static absl::Status Check(const lri_host* table);

  explicit Host(const lri_host& table) : table_(&table) {}

  int32_t CreateIncidents(lri_host_instance* instance, const lri_incident_batch& batch) const;
  void Complete(lri_call* call, const lri_answer& answer) const;
  // UNIMPLEMENTED if the host has no context; then done is not called.
  int32_t ContextGet(lri_host_instance* instance, absl::string_view key, lri_context_done done,
                     void* done_context) const;
  int32_t ContextSet(lri_host_instance* instance, absl::string_view key, absl::string_view value,
                     lri_context_done done, void* done_context) const;
  void SetHealth(lri_host_instance* instance, lri_health health, absl::string_view message) const;
  void Log(lri_host_instance* instance, lri_severity severity, absl::string_view message) const;
  absl::Time Now() const;
  // False: nobody listens to OnAnswered for that door.
  bool wants_answered(lri_door door) const {
    if (!LRI_HAS(table_, on_answered) || table_->on_answered == nullptr) return false;
    const uint32_t doors = LRI_HAS(table_, answered_doors) ? table_->answered_doors : 0;
    return doors == 0 || (doors >> door & 1) != 0;
  }
  // The host has its own lines for the log about what was refused, at all doors.
  bool logs_refusals() const {
    return LRI_HAS(table_, on_answered) && table_->on_answered != nullptr;
  }
  void OnAnswered(const lri_answered& answered) const;

 private:
  const lri_host* table_;
};

// Tells the host what became of a request that it gave to check_head or execute.
void ReportToHost(const Host& host, lri_host_instance* instance, const lri_request_head& head,
                  size_t body_bytes, const lri_answer& answer, int64_t duration_ns);

// Reports an instance's health to the host: unhealthy while the listener fails, else degraded while
// there is a fault, else healthy. Reports nothing while the instance does not serve. Thread-safe,
// never blocks.
class Health {
 public:
  Health(const Host& host, lri_host_instance* instance) : host_(host), instance_(instance) {}

  // It serves from now on; `fault` as of Configuration::FaultAt.
  void Begin(absl::string_view fault);
  void End();

  // OK: the listen port serves (again).
  void SetListener(const absl::Status& status);

 private:
  void Tell();

  const Host host_;
  lri_host_instance* const instance_;
  std::mutex mutex_;  // guards the three below, and keeps what is told in order
  bool serving_ = false;
  std::string fault_;
  absl::Status listener_;
};

// Recognises a `done` that a host calls twice, late, or for a batch that it had refused.
//
// The host gets the slot's address as done_context, with the number of the slot's use in the lowest
// bits. Thread-safe except for Arm, which is called while no use is open. A host may call with an
// old context at any time, so a slot's memory must not be freed while the plugin lives; a pool's is
// not.
class alignas(256) DoneSlot {
 public:
  DoneSlot() = default;
  DoneSlot(const DoneSlot&) = delete;
  DoneSlot& operator=(const DoneSlot&) = delete;

  // Opens a use; returns the done_context.
  void* Arm(void* owner) {
    use_ = (use_ + 1) % kUses;
    owner_ = owner;
    open_.store(kOpen + use_, std::memory_order_release);
    return reinterpret_cast<char*>(this) + use_;
  }

  // Ends the use and returns its owner; null if it had ended before. Exactly one caller gets it.
  static void* Take(void* done_context) {
    const auto context = reinterpret_cast<uintptr_t>(done_context);
    auto* const slot = reinterpret_cast<DoneSlot*>(context & ~(kUses - 1));
    uintptr_t expected = kOpen + context % kUses;
    if (!slot->open_.compare_exchange_strong(expected, 0, std::memory_order_acq_rel)) {
      return nullptr;
    }
    return slot->owner_;
  }

 private:
  static constexpr uintptr_t kUses = 256;
  static constexpr uintptr_t kOpen = kUses;

  std::atomic<uintptr_t> open_{0};  // kOpen and the number of the use; 0: none
  uintptr_t use_ = 0;
  void* owner_ = nullptr;
};

}  // namespace webhook::runtime

#endif  // PLUGIN_RUNTIME_HOST_H_
