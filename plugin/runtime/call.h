// One request on its way through the plugin: from execute to complete.
#ifndef PLUGIN_RUNTIME_CALL_H_
#define PLUGIN_RUNTIME_CALL_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "plugin/abi/long_running_integration.h"
#include "plugin/base/gate.h"
#include "plugin/base/object_pool.h"
#include "plugin/core/decode.h"
#include "plugin/core/incidents.h"
#include "plugin/core/text_memory.h"
#include "plugin/runtime/configuration.h"
#include "plugin/runtime/head_check.h"
#include "plugin/runtime/host.h"
#include "plugin/runtime/plugin.h"
#include "plugin/runtime/samples.h"
#include "plugin/runtime/trial.h"

namespace webhook::runtime {

// Returns an answer to the sender of the request. `call` is that of the lri_request. Does not
// throw.
using CompleteFunction = void (*)(const Host& host, lri_call* call, const lri_answer& answer);

// What a call uses of its instance, which outlives the call: it waits until its gate is empty.
struct CallContext {
  Plugin* plugin;
  std::shared_ptr<const Configuration> configuration;  // the same for the whole call
  lri_host_instance* host_instance;
  base::Gate* gate;  // was entered for this call; left when the call is over
  Admission* admission;
  lri_door door;  // of the listen port, what is sent is reported elsewhere
  CompleteFunction complete;
  Samples* samples;  // nullptr: none are kept
  // A request that is only tried: nothing is created, logged or counted, and it gets the report
  // instead of `complete`. Else nullptr.
  std::unique_ptr<Trial> trial = nullptr;
};

// Reused, so that a warm call allocates nothing. One thread at a time works on it: first the one
// that calls Run, then the one that calls back with the batch's result.
class Call {
 public:
  explicit Call(const Host& host) : host_(host) {}
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  // Processes the request, up to exactly one `complete`: now, or when the host is done with its
  // batch. When it returns, the call may have been given back to its pool already.
  static void Run(base::ObjectPool<Call>::Lease lease, CallContext context,
                  const lri_request& request) noexcept;

 private:
  void Process(const lri_request& request);
  // Makes `body` what it is without its content coding.
  // To `most_bytes` at most, and the limit.
  absl::Status Decode(const HeaderViews& headers, absl::string_view& body, core::DecodeStep& step,
                      size_t most_bytes = std::numeric_limits<size_t>::max());
  using ParseFunction =
      absl::FunctionRef<absl::Status(core::IncidentParser& parser, const core::Defaults& defaults)>;
  absl::Status Parse(ParseFunction parse);
  // Judges the request by the source, and makes its events incidents. False: it was answered.
  bool ParseBySource(const lri_request& request, HeaderViews& headers);
  // Calls found(secret), as it was sent, for each secret that the query is known to have.
  void EachSecretOfQuery(absl::FunctionRef<void(absl::string_view)> found) const;
  void HideSecretsOfQuery(HeaderViews& headers) const;
  void AddSourceKeys();
  void AnswerAccepted(absl::string_view documented, absl::string_view first_id, lri_reason reason,
                      absl::string_view detail);
  bool Reserve(size_t bytes);
  void AddRequest();  // to the batch
  void CreateIncidents(int64_t deadline_mono_ns);
  Checking ToChecking() const;
  void FillBatch();
  static void Done(void* done_context, const lri_create_result* result) noexcept;
  void TakeResult(const lri_create_result* result);
  void AnswerCreated(const lri_create_result& result);
  void RecordSamples(const lri_create_result& result);
  void AnswerNotCreated(int32_t outcome, int32_t code, uint32_t retry_after_s,
                        absl::string_view message);
  void AnswerNotKnown(uint32_t retry_after_s, absl::string_view detail);
  // Completes, gives the call back and leaves the gate. The last thing that is done with `this`.
  void Finish(const lri_answer& answer) noexcept;
  // As Finish. 0 seconds: no Retry-After. `detail`: for the operator; empty: the text.
  void FinishWithText(int32_t status, lri_reason reason, absl::string_view text,
                      uint32_t retry_after_s = 0, absl::string_view detail = "") noexcept;

  const Host host_;
  base::ObjectPool<Call>::Lease lease_{};
  CallContext context_{};
  lri_call* handle_ = nullptr;
  const lri_request_head* head_ = nullptr;  // the host keeps it until `complete`
  size_t body_bytes_ = 0;
  bool is_counted_ = false;  // in the instance's Admission
  int64_t begun_ns_ = 0;     // 0: nobody wants to know of the answer

  base::ObjectPool<SourceJudge>::Lease judge_{};  // only where there is a source
  std::vector<std::string> source_keys_;          // of the batch, of its replay, of the incidents

  core::DecodedBody decoded_;
  int64_t reserved_bytes_ = 0;  // of decoded_ and of a large parsed_, counted in the plugin
  core::ParsedRequest parsed_;
  std::vector<lri_view> views_;
  std::vector<lri_incident> incidents_;
  lri_incident_batch batch_{};
  std::string request_query_;  // of the batch, where the request is stored
  DoneSlot done_;
  core::TextBuffer answer_;
  std::vector<core::SharedSample> samples_;  // only within RecordSamples
};

}  // namespace webhook::runtime

#endif  // PLUGIN_RUNTIME_CALL_H_
