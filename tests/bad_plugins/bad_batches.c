/* Asks for batches that cannot be: answers 200 "fine" only if every one is refused. */
#include "tests/bad_plugins/harmless.h"

static void Done(void* done_context, const lri_create_result* result) {
  (void)done_context;
  (void)result;
}

static int32_t Refused(const lri_incident_batch* batch) {
  return harmless_host->create_incidents(harmless_host->context, harmless_instance, batch) ==
         LRI_INVALID_ARGUMENT;
}

static int32_t Execute(lri_instance* instance, const lri_request* request) {
  lri_incident incident;
  lri_incident_batch batch;
  int32_t refused;
  (void)instance;
  memset(&incident, 0, sizeof incident);
  memset(&batch, 0, sizeof batch);
  refused = Refused(NULL);
  refused &= Refused(&batch); /* no size */
  batch.struct_size = sizeof batch;
  batch.done = Done;
  refused &= Refused(&batch); /* no incidents */
  batch.incidents.data = &incident;
  batch.incidents.count = 1;
  batch.incidents.stride = sizeof incident;
  refused &= Refused(&batch); /* no name */
  incident.name = HarmlessView("name");
  incident.details.count = 1;
  refused &= Refused(&batch); /* details that are NULL */
  incident.details.count = 0;
  incident.severity = 7;
  refused &= Refused(&batch); /* a severity that there is not */
  incident.severity = 0;
  batch.request_query.size = LRI_STORED_REQUEST_BYTES + 1;
  refused &= Refused(&batch); /* a query that is too long */
  batch.request_query.size = 0;
  batch.incidents.stride = 1;
  refused &= Refused(&batch); /* incidents that overlap */
  batch.incidents.stride = sizeof incident;
  batch.done = NULL;
  refused &= Refused(&batch); /* nobody to tell */
  if (!refused) return LRI_INTERNAL;
  HarmlessAnswer(request->call);
  return LRI_OK;
}

const lri_plugin_table* lri_plugin_entry_v1(uint32_t host_abi_minor) {
  lri_plugin_table* table = HarmlessTable();
  (void)host_abi_minor;
  table->execute = Execute;
  return table;
}
