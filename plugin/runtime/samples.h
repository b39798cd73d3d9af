// The samples of an instance at work: kept in memory, and in the host's context across restarts.
//
// Requests only hand copies over. Another thread writes them to the context, many at once and one
// write at a time, so that no answer waits for a write or fails with it. With a host that has no
// context functions, samples live as long as the process. A process that is killed loses the
// samples that were not yet written; see SampleDelays.
#ifndef PLUGIN_RUNTIME_SAMPLES_H_
#define PLUGIN_RUNTIME_SAMPLES_H_

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "plugin/abi/long_running_integration.h"
#include "plugin/base/object_pool.h"
#include "plugin/core/duplication_key.h"
#include "plugin/core/samples.h"
#include "plugin/limits/limits.h"
#include "plugin/runtime/host.h"
#include "plugin/runtime/timers.h"

namespace webhook::runtime {

// Pauses between two uses of the host's context.
struct SampleDelays {
  absl::Duration write = absl::Milliseconds(200);  // after a sample; longer for long values
  absl::Duration retry = absl::Seconds(1);         // after a failure; doubles with each
  absl::Duration most_retry = absl::Minutes(1);
};

// Thread-safe. Start and Stop: as the instance's. Destroyed only while stopped.
class Samples : private TimerThread::Task {
 public:
  // All but the delays outlive this.
  Samples(const Host& host, lri_host_instance* host_instance, const Limits& limits,
          TimerThread& tasks, base::ObjectPool<DoneSlot>& done_slots, SampleDelays delays = {});
  ~Samples();
  Samples(const Samples&) = delete;
  Samples& operator=(const Samples&) = delete;

  // Begins to read the samples that the host keeps, if `enabled`. Does not wait.
  void Start(bool enabled);

  // Writes the samples that the host does not yet have, once, and waits until the host is done.
  // False if that is not so by `deadline`; then call it again. Called after the last Record.
  bool Stop(absl::Time deadline);

  // Called while the instance serves. While off, there are no samples and none is taken; those that
  // the host keeps are there again when it is on.
  void SetEnabled(bool enabled);

  // Takes samples, the newest last. Never waits for the host.
  void Record(std::vector<core::SharedSample>& newest_last);

  // What an operator should know: none of the samples has a key by which it could be recognised.
  // Empty where one has, or where there are none.
  std::string WarningOf(const core::DuplicationKey& key);

  // Runs the command "samples", "fields" or "map"; only "map" has arguments. The result is JSON
  // text; INVALID_ARGUMENT: a malformed mapper; RESOURCE_EXHAUSTED: it passes a limit. LRI_OK: done
  // is called once, now or when the kept samples have been read. LRI_UNAVAILABLE: too many commands
  // wait for that. LRI_NOT_FOUND: it is another command.
  int32_t Command(absl::string_view name, absl::string_view arguments, lri_command_done done,
                  void* done_context);

 private:
  // How our samples relate to those in the host's context.
  enum class Kept {
    kUnread,
    kReading,
    kRead,   // ours is the newer one
    kNever,  // the host keeps nothing
  };
  struct Waiting {
    std::string name;
    std::string arguments;
    lri_command_done done;
    void* done_context;
  };
  using Lock = std::unique_lock<std::mutex>;

  void RunTask() override;
  // These three return without the lock.
  void Read(Lock lock);
  void Write(Lock lock);
  void Leave(Lock lock);
  void HaveRead(int32_t code, absl::string_view value);
  void HaveWritten(int32_t code);
  void GiveBack(base::ObjectPool<DoneSlot>::Lease& slot);
  bool ReadValue(absl::string_view value, std::vector<core::SharedSample>& samples);
  void Report(bool succeeded, const char* failure, int32_t code);
  void Answer(const Waiting& command);
  // With the lock.
  void ScheduleWork(absl::Duration delay);
  absl::Duration NextRetry();
  void ForgetIfDisabled();
  bool WaitForHost(Lock& lock, absl::Time deadline);

  const Host& host_;
  lri_host_instance* const host_instance_;
  const Limits& limits_;
  TimerThread& tasks_;
  base::ObjectPool<DoneSlot>& done_slots_;
  const SampleDelays delays_;
  std::atomic<bool> warned_{false};  // of the failure that lasts

  std::mutex mutex_;
  std::condition_variable host_is_done_;
  core::SampleSet samples_;
  Kept kept_ = Kept::kUnread;
  bool enabled_ = false;
  bool started_ = false;
  bool unsaved_ = false;
  bool writing_ = false;
  bool scheduled_ = false;
  bool last_write_tried_ = false;
  int at_host_ = 0;  // reads and writes that the host has
  // Of the read and of the write that the host has: it may call back twice, or after a refusal.
  base::ObjectPool<DoneSlot>::Lease reading_slot_{};
  base::ObjectPool<DoneSlot>::Lease writing_slot_{};
  absl::Duration rest_;
  absl::Duration retry_;
  std::vector<Waiting> waiting_;
};

}  // namespace webhook::runtime

#endif  // PLUGIN_RUNTIME_SAMPLES_H_
