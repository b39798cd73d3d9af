/* Answers only once the host has given the call up, from a thread of its own. */
#include <pthread.h>

#include "tests/bad_plugins/harmless.h"

static void* AnswerLate(void* call) {
  HarmlessAnswer((lri_call*)call);
  return NULL;
}

static int32_t Execute(lri_instance* instance, const lri_request* request) {
  (void)instance;
  (void)request;
  return LRI_OK;
}

static pthread_t thread;
static int running;

static void Cancel(lri_instance* instance, lri_call* call) {
  (void)instance;
  running = pthread_create(&thread, NULL, AnswerLate, call) == 0;
}

static int32_t Stop(lri_instance* instance, int64_t deadline_mono_ns, lri_error* error) {
  (void)instance;
  (void)deadline_mono_ns;
  (void)error;
  if (running) pthread_join(thread, NULL);
  running = 0;
  return LRI_OK;
}

const lri_plugin_table* lri_plugin_entry_v1(uint32_t host_abi_minor) {
  lri_plugin_table* table = HarmlessTable();
  (void)host_abi_minor;
  table->execute = Execute;
  table->cancel = Cancel;
  table->stop = Stop;
  table->describe = HarmlessDescribePath;
  return table;
}
