/* Finds the host too old. */
#include "tests/bad_plugins/harmless.h"

const lri_plugin_table* lri_plugin_entry_v1(uint32_t host_abi_minor) {
  (void)host_abi_minor;
  return HarmlessTable()->struct_size == 0 ? HarmlessTable() : NULL;
}
