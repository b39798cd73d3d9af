/* Has no execute. */
#include "tests/bad_plugins/harmless.h"

const lri_plugin_table* lri_plugin_entry_v1(uint32_t host_abi_minor) {
  lri_plugin_table* table = HarmlessTable();
  (void)host_abi_minor;
  table->execute = NULL;
  return table;
}
