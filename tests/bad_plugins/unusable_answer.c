/* Its answer's header would begin another line. */
#include "tests/bad_plugins/harmless.h"

static int32_t Execute(lri_instance* instance, const lri_request* request) {
  lri_pair header;
  lri_answer answer;
  (void)instance;
  header.name = HarmlessView("X-Id");
  header.value = HarmlessView("1\r\nSet-Cookie: admin=1");
  memset(&answer, 0, sizeof answer);
  answer.struct_size = sizeof answer;
  answer.status = 200;
  answer.headers.data = &header;
  answer.headers.count = 1;
  answer.headers.stride = sizeof header;
  harmless_host->complete(harmless_host->context, request->call, &answer);
  return LRI_OK;
}

const lri_plugin_table* lri_plugin_entry_v1(uint32_t host_abi_minor) {
  lri_plugin_table* table = HarmlessTable();
  (void)host_abi_minor;
  table->execute = Execute;
  table->describe = HarmlessDescribePath;
  return table;
}
