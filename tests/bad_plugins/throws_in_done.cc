// Answers, and then lets an exception out of the completion of its incidents.
#include "tests/bad_plugins/harmless.h"

static void Done(void* done_context, const lri_create_result*) {
  HarmlessAnswer(static_cast<lri_call*>(done_context));
  throw 42;
}

static int32_t Execute(lri_instance*, const lri_request* request) {
  lri_incident incident = {};
  incident.name = HarmlessView("name");
  incident.occurred = HarmlessView("2024-05-01T10:00:00Z");
  incident.details = {&request->body, 1, sizeof(lri_view)};
  lri_incident_batch batch = {};
  batch.struct_size = sizeof(batch);
  batch.incidents = {&incident, 1, sizeof(incident)};
  batch.done = &Done;
  batch.done_context = request->call;
  // The memory store, for which this plugin is made, completes within the call.
  return harmless_host->create_incidents(harmless_host->context, harmless_instance, &batch);
}

const lri_plugin_table* lri_plugin_entry_v1(uint32_t) {
  lri_plugin_table* table = HarmlessTable();
  table->execute = &Execute;
  return table;
}
