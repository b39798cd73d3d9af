/* Keeps its calls, says twice that it cannot stop because of them, and answers them then. */
#include "tests/bad_plugins/harmless.h"

enum { kMostCalls = 4 };
static lri_call* calls[kMostCalls];
static int count;
static int stops;

static int32_t Execute(lri_instance* instance, const lri_request* request) {
  (void)instance;
  if (count == kMostCalls) return LRI_UNAVAILABLE;
  calls[count++] = request->call;
  return LRI_OK;
}

static int32_t Stop(lri_instance* instance, int64_t deadline_mono_ns, lri_error* error) {
  (void)instance;
  (void)deadline_mono_ns;
  HarmlessError(error, "calls are in flight");
  if (++stops <= 2) return LRI_DEADLINE_EXCEEDED;
  while (count > 0) HarmlessAnswer(calls[--count]);
  return LRI_OK;
}

const lri_plugin_table* lri_plugin_entry_v1(uint32_t host_abi_minor) {
  lri_plugin_table* table = HarmlessTable();
  (void)host_abi_minor;
  table->execute = Execute;
  table->stop = Stop;
  table->describe = HarmlessDescribePath;
  return table;
}
