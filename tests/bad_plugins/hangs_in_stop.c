/* Does not return from stop. */
#include <unistd.h>

#include "tests/bad_plugins/harmless.h"

static int32_t Stop(lri_instance* instance, int64_t deadline_mono_ns, lri_error* error) {
  (void)instance;
  (void)deadline_mono_ns;
  (void)error;
  while (pause() != 0) {
  }
  return LRI_OK;
}

const lri_plugin_table* lri_plugin_entry_v1(uint32_t host_abi_minor) {
  lri_plugin_table* table = HarmlessTable();
  (void)host_abi_minor;
  table->stop = Stop;
  return table;
}
