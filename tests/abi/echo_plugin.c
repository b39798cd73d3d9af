/* The smallest plugin that does something: every request becomes one incident, with the body as its
 * details, and is answered with the incident's id. It holds no threads and checks nothing; real
 * plugins do.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/abi/long_running_integration.h"
#include "tests/bad_plugins/harmless.h"

struct lri_plugin {
  const lri_host* host;
};

struct lri_instance {
  const lri_host* host;
  lri_host_instance* host_instance;
};

/* One request on its way: all that its batch shows to the host, and whom to answer. */
typedef struct Request {
  const lri_host* host;
  lri_call* call;
  lri_view details;
  lri_incident incident;
  lri_incident_batch batch;
} Request;

static void Answer(const lri_host* host, lri_call* call, int status, const char* text) {
  lri_pair type = {HarmlessView("Content-Type"), HarmlessView("application/json")};
  lri_answer answer = {sizeof answer, status, {&type, 1, sizeof type}, HarmlessView(text)};
  host->complete(host->context, call, &answer);
}

static void Info(lri_plugin_info_sink sink, void* sink_context) {
  lri_plugin_info info = {
      sizeof info, 0, HarmlessView("Echo"), HarmlessView("1.0.0"), {NULL, 0, 0}};
  sink(sink_context, &info);
}

static int32_t PluginCreate(const lri_host* host, const lri_plugin_options* options,
                            lri_plugin** plugin, lri_error* error) {
  (void)options;
  (void)error;
  *plugin = malloc(sizeof **plugin);
  if (*plugin == NULL) return LRI_RESOURCE_EXHAUSTED;
  (*plugin)->host = host;
  return LRI_OK;
}

static void PluginDestroy(lri_plugin* plugin) { free(plugin); }

static int32_t Create(lri_plugin* plugin, const lri_instance_options* options,
                      lri_instance** instance, lri_error* error) {
  (void)error;
  *instance = malloc(sizeof **instance);
  if (*instance == NULL) return LRI_RESOURCE_EXHAUSTED;
  (*instance)->host = plugin->host;
  (*instance)->host_instance = options->host_instance;
  return LRI_OK;
}

static void Destroy(lri_instance* instance) { free(instance); }

static int32_t CheckHead(lri_instance* instance, const lri_request_head* head, lri_answer_sink sink,
                         void* sink_context, lri_head_verdict* verdict) {
  (void)instance;
  (void)head;
  (void)sink;
  (void)sink_context;
  verdict->refused = 0;
  verdict->body_limit_bytes = 1 << 20;
  verdict->ticket = 1;
  return LRI_OK;
}

static void Created(void* done_context, const lri_create_result* result) {
  Request* request = done_context;
  char text[128];
  if (result->outcome == LRI_CREATED && result->count == 1) {
    snprintf(text, sizeof text, "[{\"id\":\"%.*s\"}]", (int)result->incidents[0].id.size,
             result->incidents[0].id.data);
    Answer(request->host, request->call, 200, text);
  } else {
    Answer(request->host, request->call, 503, "\"not created\"");
  }
  free(request);
}

static int32_t Execute(lri_instance* instance, const lri_request* given) {
  const lri_host* host = instance->host;
  Request* request = calloc(1, sizeof *request);
  if (request == NULL) return LRI_RESOURCE_EXHAUSTED;
  request->host = host;
  request->call = given->call;
  request->details = given->body;
  request->incident.name = HarmlessView("echo");
  request->incident.occurred = HarmlessView("2024-05-01T10:00:00Z");
  request->incident.details.data = &request->details;
  request->incident.details.count = 1;
  request->incident.details.stride = sizeof request->details;
  request->batch.struct_size = sizeof request->batch;
  request->batch.incidents.data = &request->incident;
  request->batch.incidents.count = 1;
  request->batch.incidents.stride = sizeof request->incident;
  request->batch.done = Created;
  request->batch.done_context = request;
  if (host->create_incidents(host->context, instance->host_instance, &request->batch) != LRI_OK) {
    Answer(host, request->call, 503, "\"not taken\"");
    free(request);
  }
  return LRI_OK;
}

static int32_t Describe(lri_instance* instance, lri_description_sink sink, void* sink_context) {
  lri_description description = {sizeof description,
                                 0,
                                 HarmlessView("/instance/execute/"),
                                 HarmlessView(""),
                                 HarmlessView(""),
                                 HarmlessView("incident"),
                                 {NULL, 0, 0}};
  (void)instance;
  sink(sink_context, &description);
  return LRI_OK;
}

static int32_t Command(lri_instance* instance, lri_view name, lri_view arguments,
                       lri_command_done done, void* done_context) {
  (void)instance;
  (void)arguments;
  if (name.size != 4 || memcmp(name.data, "test", 4) != 0) return LRI_NOT_FOUND;
  done(done_context, LRI_OK, HarmlessView("{\"ok\":true}"));
  return LRI_OK;
}

const lri_plugin_table* lri_plugin_entry_v1(uint32_t host_abi_minor) {
  lri_plugin_table* const table = HarmlessTable();
  (void)host_abi_minor;
  table->info = Info;
  table->plugin_create = PluginCreate;
  table->plugin_destroy = PluginDestroy;
  table->create = Create;
  table->destroy = Destroy;
  table->check_head = CheckHead;
  table->execute = Execute;
  table->describe = Describe;
  table->command = Command;
  return table;
}
