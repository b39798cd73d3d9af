// An instance at work: takes requests between start and stop.
#ifndef PLUGIN_RUNTIME_INSTANCE_H_
#define PLUGIN_RUNTIME_INSTANCE_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "plugin/abi/long_running_integration.h"
#include "plugin/runtime/configuration.h"
#include "plugin/runtime/gate.h"
#include "plugin/runtime/plugin.h"
#include "plugin/runtime/samples.h"

namespace webhook::runtime {

// The functions are those of the ABI's table, which tells their threads and results. Destroyed
// only while stopped.
class Instance {
 public:
  // The plugin outlives the instance.
  Instance(Plugin& plugin, Configuration configuration, lri_host_instance* host_instance);

  absl::Status Start();
  // DEADLINE_EXCEEDED where calls are still in flight at `deadline`.
  absl::Status Stop(absl::Time deadline);

  int32_t CheckHead(const lri_request_head& head, lri_answer_sink sink, void* sink_context,
                    lri_head_verdict& verdict);
  int32_t Execute(const lri_request& request);
  void Describe(lri_description_sink sink, void* sink_context) const;
  int32_t Command(absl::string_view name, absl::string_view arguments, lri_command_done done,
                  void* done_context);

 private:
  Plugin& plugin_;
  const Configuration configuration_;
  lri_host_instance* const host_instance_;
  Gate gate_;
  Samples samples_;
};

}  // namespace webhook::runtime

#endif  // PLUGIN_RUNTIME_INSTANCE_H_
