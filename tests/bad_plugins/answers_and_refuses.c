/* Answers a request and then says that it did not take it. */
#include "tests/bad_plugins/harmless.h"

static int32_t Execute(lri_instance* instance, const lri_request* request) {
  (void)instance;
  HarmlessAnswer(request->call);
  return LRI_UNAVAILABLE;
}

const lri_plugin_table* lri_plugin_entry_v1(uint32_t host_abi_minor) {
  lri_plugin_table* table = HarmlessTable();
  (void)host_abi_minor;
  table->execute = Execute;
  return table;
}
