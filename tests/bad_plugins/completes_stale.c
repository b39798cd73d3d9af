/* Answers, before each request, the one before it again, and handles that never were. */
#include "tests/bad_plugins/harmless.h"

static int32_t Execute(lri_instance* instance, const lri_request* request) {
  static lri_call* last;
  lri_call* call = request->call;
  (void)instance;
  HarmlessAnswer(last);
  HarmlessAnswer((lri_call*)(uintptr_t)0xFFFFFFFFFFFFFFFF);
  HarmlessAnswer((lri_call*)(uintptr_t)0x123);
  last = call;
  HarmlessAnswer(call);
  return LRI_OK;
}

const lri_plugin_table* lri_plugin_entry_v1(uint32_t host_abi_minor) {
  lri_plugin_table* table = HarmlessTable();
  (void)host_abi_minor;
  table->execute = Execute;
  return table;
}
