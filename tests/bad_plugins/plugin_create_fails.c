/* Refuses to begin, and says why. */
#include "tests/bad_plugins/harmless.h"

static int32_t PluginCreate(const lri_host* host, const lri_plugin_options* options,
                            lri_plugin** plugin, lri_error* error) {
  (void)host;
  (void)options;
  (void)plugin;
  HarmlessError(error, "there is no limit of the name \"body_megabytes\"");
  return LRI_INVALID_ARGUMENT;
}

const lri_plugin_table* lri_plugin_entry_v1(uint32_t host_abi_minor) {
  lri_plugin_table* table = HarmlessTable();
  (void)host_abi_minor;
  table->plugin_create = PluginCreate;
  return table;
}
