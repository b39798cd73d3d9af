// The host's table of functions, as a plugin sees it. Private to the engine.
#ifndef HOST_STUB_ENGINE_HOST_TABLE_H_
#define HOST_STUB_ENGINE_HOST_TABLE_H_

#include <functional>

#include "host_stub/engine/call_table.h"
#include "host_stub/engine/host_services.h"
#include "host_stub/engine/incident_batches.h"
#include "plugin/abi/long_running_integration.h"

namespace host_stub {

// One for each plugin; outlives it. Every function of the table is for any thread, never blocks,
// and lets no exception out.
class HostTable {
 public:
  explicit HostTable(HostServices services);
  HostTable(const HostTable&) = delete;
  HostTable& operator=(const HostTable&) = delete;

  const lri_host* abi() const { return &table_; }
  CallTable& calls() { return calls_; }
  const HostServices& services() const { return services_; }

 private:
  static HostTable& From(void* context) { return *static_cast<HostTable*>(context); }
  static int32_t CreateIncidents(void* context, lri_host_instance* instance,
                                 const lri_incident_batch* batch);
  static void Complete(void* context, lri_call* call, const lri_answer* answer);
  static int32_t ContextGet(void* context, lri_host_instance* instance, lri_view key,
                            lri_context_done done, void* done_context);
  static int32_t ContextSet(void* context, lri_host_instance* instance, lri_view key,
                            lri_view value, lri_context_done done, void* done_context);
  static void SetHealth(void* context, lri_host_instance* instance, int32_t health,
                        lri_view message);
  static void Log(void* context, lri_host_instance* instance, int32_t severity, lri_view message);
  static int64_t Now(void* context);

  ContextDone ContextAnswer(InstanceRecord& record, lri_context_done done, void* done_context);
  static void TellContext(InstanceRecord& record, lri_context_done done, void* done_context,
                          const absl::StatusOr<std::string>& value) noexcept;

  const HostServices services_;
  CallTable calls_;
  IncidentBatches batches_;
  lri_host table_;
};

}  // namespace host_stub

#endif  // HOST_STUB_ENGINE_HOST_TABLE_H_
