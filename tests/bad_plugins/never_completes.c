/* Takes requests, forgets them, and still says that it stopped. */
#include "tests/bad_plugins/harmless.h"

static int32_t Execute(lri_instance* instance, const lri_request* request) {
  (void)instance;
  (void)request;
  return LRI_OK;
}

const lri_plugin_table* lri_plugin_entry_v1(uint32_t host_abi_minor) {
  lri_plugin_table* table = HarmlessTable();
  (void)host_abi_minor;
  table->execute = Execute;
  return table;
}
