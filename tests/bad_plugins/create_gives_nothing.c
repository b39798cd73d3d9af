/* Says OK and makes no instance. */
#include "tests/bad_plugins/harmless.h"

static int32_t Create(lri_plugin* plugin, const lri_instance_options* options,
                      lri_instance** instance, lri_error* error) {
  (void)plugin;
  (void)options;
  (void)instance;
  (void)error;
  return LRI_OK;
}

const lri_plugin_table* lri_plugin_entry_v1(uint32_t host_abi_minor) {
  lri_plugin_table* table = HarmlessTable();
  (void)host_abi_minor;
  table->create = Create;
  return table;
}
