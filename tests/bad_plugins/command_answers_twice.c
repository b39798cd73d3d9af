/* Gives the result of a command twice. */
#include "tests/bad_plugins/harmless.h"

static int32_t Command(lri_instance* instance, lri_view name, lri_view arguments,
                       lri_command_done done, void* done_context) {
  (void)instance;
  (void)name;
  (void)arguments;
  done(done_context, LRI_OK, HarmlessView("{}"));
  done(done_context, LRI_OK, HarmlessView("{}"));
  return LRI_OK;
}

const lri_plugin_table* lri_plugin_entry_v1(uint32_t host_abi_minor) {
  lri_plugin_table* table = HarmlessTable();
  (void)host_abi_minor;
  table->command = Command;
  return table;
}
