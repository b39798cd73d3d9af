/* A whole host in plain C: loads a plugin, hands it one request, stores what it creates, and
 * prints the answer. It knows the header and nothing else of the plugin.
 *
 *   c_host FILE.so
 */
#define _POSIX_C_SOURCE 200809L /* clock_gettime */

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "plugin/abi/long_running_integration.h"

/* A store of incidents, if only in memory, and the answer that is waited for. */
typedef struct Host {
  pthread_mutex_t mutex;
  pthread_cond_t answered;
  int answers;
  int status;
  int incidents;
} Host;

static lri_view View(const char* text) {
  lri_view view;
  view.data = text;
  view.size = strlen(text);
  return view;
}

static void PrintView(const char* name, lri_view view) {
  printf("%s: %.*s\n", name, (int)view.size, view.data == NULL ? "" : view.data);
}

static const lri_incident* IncidentAt(const lri_incidents* incidents, size_t index) {
  return (const lri_incident*)(const void*)((const char*)incidents->data +
                                            index * incidents->stride);
}

static const lri_view* ViewAt(const lri_views* views, size_t index) {
  return (const lri_view*)(const void*)((const char*)views->data + index * views->stride);
}

/* Creates a batch at once. The ids are the host's to give; here they count from 1. */
static int32_t CreateIncidents(void* context, lri_host_instance* instance,
                               const lri_incident_batch* batch) {
  enum { kMost = 16 };
  Host* host = context;
  lri_created_incident created[kMost];
  char ids[kMost][16];
  lri_create_result result;
  size_t i, slice;
  (void)instance;
  if (batch->incidents.count > kMost) return LRI_RESOURCE_EXHAUSTED;
  memset(created, 0, sizeof created);
  memset(&result, 0, sizeof result);
  for (i = 0; i < batch->incidents.count; ++i) {
    const lri_incident* incident = IncidentAt(&batch->incidents, i);
    snprintf(ids[i], sizeof ids[i], "%d", ++host->incidents);
    created[i].id = View(ids[i]);
    created[i].created = View("2024-05-01T10:00:00Z");
    PrintView("incident", created[i].id);
    PrintView("  name", incident->name);
    PrintView("  type", incident->type);
    printf("  details: ");
    for (slice = 0; slice < incident->details.count; ++slice) {
      const lri_view* part = ViewAt(&incident->details, slice);
      fwrite(part->data, 1, part->size, stdout);
    }
    printf("\n");
  }
  result.struct_size = sizeof result;
  result.outcome = LRI_CREATED;
  result.incidents = created;
  result.count = batch->incidents.count;
  result.stride = sizeof created[0];
  batch->done(batch->done_context, &result);
  return LRI_OK;
}

static void Complete(void* context, lri_call* call, const lri_answer* answer) {
  Host* host = context;
  (void)call;
  pthread_mutex_lock(&host->mutex);
  ++host->answers;
  host->status = answer->status;
  printf("status: %d\n", answer->status);
  PrintView("answer", answer->body);
  pthread_cond_signal(&host->answered);
  pthread_mutex_unlock(&host->mutex);
}

static int Fail(const char* what, const lri_error* error) {
  fprintf(stderr, "c_host: %s: %s\n", what, error == NULL ? "" : error->message);
  return EXIT_FAILURE;
}

/* The documented call: curl -u user:pass -d '{"name": ...}' .../instance/execute/webhook */
static int32_t Execute(const lri_plugin_table* plugin, lri_instance* instance, Host* host) {
  static const char kText[] =
      "{\"name\":\"incident created via generic webhook\",\"type\":\"Phishing\","
      "\"raw_json\":{\"some_field\":\"some_value\"}}";
  static const lri_pair kHeaders[] = {
      {{"Authorization", 13}, {"Basic dXNlcjpwYXNz", 18}}, /* user:pass */
      {{"Content-Type", 12}, {"application/json", 16}}};
  char body[sizeof kText + LRI_BODY_PADDING] = {0};
  lri_request_head head;
  lri_request request;
  int32_t code;
  memcpy(body, kText, sizeof kText);
  memset(&head, 0, sizeof head);
  head.struct_size = sizeof head;
  head.method = View("POST");
  head.path = View("/xsoar/instance/execute/webhook");
  head.headers.data = kHeaders;
  head.headers.count = sizeof kHeaders / sizeof kHeaders[0];
  head.headers.stride = sizeof kHeaders[0];
  head.peer_address = View("127.0.0.1");
  head.request_id = View("c-host-1");
  head.content_length = strlen(kText);
  memset(&request, 0, sizeof request);
  request.struct_size = sizeof request;
  request.call = (lri_call*)host;
  request.head = &head;
  request.body = View(body);
  code = plugin->execute(instance, &request);
  if (code != LRI_OK) return code;
  pthread_mutex_lock(&host->mutex); /* the request's memory must stay until the answer */
  while (host->answers == 0) pthread_cond_wait(&host->answered, &host->mutex);
  pthread_mutex_unlock(&host->mutex);
  return LRI_OK;
}

int main(int argc, char** argv) {
  static Host host = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0, 0};
  static lri_host table;
  static lri_error error = {sizeof error, ""};
  const lri_plugin_table* plugin;
  lri_plugin_entry_function entry = NULL;
  void* symbol;
  lri_plugin_options plugin_options = {sizeof plugin_options, 1, {NULL, 0, 0}};
  lri_instance_options options;
  lri_plugin* handle = NULL;
  lri_instance* instance = NULL;
  lri_pair parameters[2];
  struct timespec now;
  void* library = argc == 2 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
  if (library == NULL) return Fail(argc == 2 ? dlerror() : "usage: c_host FILE.so", NULL);
  symbol = dlsym(library, LRI_PLUGIN_ENTRY_SYMBOL);
  memcpy(&entry, &symbol, sizeof entry); /* C has no cast from an object to a function */
  plugin = entry == NULL ? NULL : entry(LRI_ABI_MINOR);
  if (plugin == NULL || !LRI_HAS(plugin, command)) return Fail("not a plugin for this host", NULL);

  table.struct_size = sizeof table;
  table.abi_minor = LRI_ABI_MINOR;
  table.context = &host;
  table.create_incidents = CreateIncidents;
  table.complete = Complete; /* the other functions may be NULL */
  if (plugin->plugin_create(&table, &plugin_options, &handle, &error) != LRI_OK) {
    return Fail("plugin_create", &error);
  }
  parameters[0].name = View("username");
  parameters[0].value = View("user");
  parameters[1].name = View("password");
  parameters[1].value = View("pass");
  memset(&options, 0, sizeof options);
  options.struct_size = sizeof options;
  options.host_instance = (lri_host_instance*)&host;
  options.name = View("webhook");
  options.product = View("XSOAR_8_ON_PREM");
  options.parameters.data = parameters;
  options.parameters.count = 2;
  options.parameters.stride = sizeof parameters[0];
  if (plugin->create(handle, &options, &instance, &error) != LRI_OK) return Fail("create", &error);
  if (plugin->start(instance, &error) != LRI_OK) return Fail("start", &error);
  if (Execute(plugin, instance, &host) != LRI_OK) return Fail("execute", NULL);
  clock_gettime(CLOCK_MONOTONIC, &now);
  if (plugin->stop(instance, (now.tv_sec + 5) * INT64_C(1000000000), &error) != LRI_OK) {
    return Fail("stop", &error);
  }
  plugin->destroy(instance);
  plugin->plugin_destroy(handle);
  dlclose(library);
  return host.status == 200 && host.answers == 1 && host.incidents == 1 ? 0 : EXIT_FAILURE;
}
