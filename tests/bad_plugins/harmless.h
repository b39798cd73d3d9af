/* A plugin that does nothing wrong. Each bad one takes this table and makes one function bad; the
 * echo plugin of tests/abi takes it, too, and does something.
 *
 * Its instances remember the host's table; a request is answered 200 "fine" at once.
 */
#ifndef TESTS_BAD_PLUGINS_HARMLESS_H_
#define TESTS_BAD_PLUGINS_HARMLESS_H_

#include <string.h>

#include "plugin/abi/long_running_integration.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Exported by every plugin of this folder that is one. */
const lri_plugin_table* lri_plugin_entry_v1(uint32_t host_abi_minor);

#ifdef __cplusplus
}
#endif

/* One plugin and one instance at a time are enough here. */
static const lri_host* harmless_host;
static lri_host_instance* harmless_instance;

static lri_view HarmlessView(const char* text) {
  lri_view view;
  view.data = text;
  view.size = strlen(text);
  return view;
}

static void HarmlessAnswer(lri_call* call) {
  lri_answer answer;
  memset(&answer, 0, sizeof answer);
  answer.struct_size = sizeof answer;
  answer.status = 200;
  answer.body = HarmlessView("fine");
  harmless_host->complete(harmless_host->context, call, &answer);
}

static void HarmlessError(lri_error* error, const char* text) {
  if (error != NULL) strcpy(error->message, text);
}

static void HarmlessInfo(lri_plugin_info_sink sink, void* sink_context) {
  lri_plugin_info info;
  memset(&info, 0, sizeof info);
  info.struct_size = sizeof info;
  info.name = HarmlessView("Harmless");
  info.version = HarmlessView("1.0.0");
  sink(sink_context, &info);
}

static int32_t HarmlessPluginCreate(const lri_host* host, const lri_plugin_options* options,
                                    lri_plugin** plugin, lri_error* error) {
  (void)options;
  HarmlessError(error, "");
  harmless_host = host;
  *plugin = (lri_plugin*)&harmless_host;
  return LRI_OK;
}

static void HarmlessPluginDestroy(lri_plugin* plugin) { (void)plugin; }

static int32_t HarmlessCreate(lri_plugin* plugin, const lri_instance_options* options,
                              lri_instance** instance, lri_error* error) {
  (void)plugin;
  (void)error;
  harmless_instance = options->host_instance;
  *instance = (lri_instance*)&harmless_instance;
  return LRI_OK;
}

static int32_t HarmlessStart(lri_instance* instance, lri_error* error) {
  (void)instance;
  (void)error;
  return LRI_OK;
}

static int32_t HarmlessStop(lri_instance* instance, int64_t deadline_mono_ns, lri_error* error) {
  (void)instance;
  (void)deadline_mono_ns;
  (void)error;
  return LRI_OK;
}

static void HarmlessDestroy(lri_instance* instance) { (void)instance; }

static int32_t HarmlessCheckHead(lri_instance* instance, const lri_request_head* head,
                                 lri_answer_sink sink, void* sink_context,
                                 lri_head_verdict* verdict) {
  (void)instance;
  (void)head;
  (void)sink;
  (void)sink_context;
  verdict->body_limit_bytes = 1000;
  verdict->ticket = 1;
  return LRI_OK;
}

static int32_t HarmlessExecute(lri_instance* instance, const lri_request* request) {
  (void)instance;
  HarmlessAnswer(request->call);
  return LRI_OK;
}

static void HarmlessCancel(lri_instance* instance, lri_call* call) {
  (void)instance;
  (void)call;
}

static int32_t HarmlessUpdatePrepare(lri_instance* instance, const lri_instance_options* options,
                                     lri_update** update, lri_error* error) {
  (void)instance;
  (void)options;
  (void)update;
  (void)error;
  return LRI_UNIMPLEMENTED;
}

static void HarmlessUpdateEnd(lri_update* update) { (void)update; }

static int32_t HarmlessDescribe(lri_instance* instance, lri_description_sink sink,
                                void* sink_context) {
  (void)instance;
  (void)sink;
  (void)sink_context;
  return LRI_UNIMPLEMENTED;
}

/* Describes so much that the front serves it. */
static inline int32_t HarmlessDescribePath(lri_instance* instance, lri_description_sink sink,
                                           void* sink_context) {
  lri_description description = {sizeof description};
  (void)instance;
  description.path_prefix = HarmlessView("/instance/execute/");
  sink(sink_context, &description);
  return LRI_OK;
}

static int32_t HarmlessCommand(lri_instance* instance, lri_view name, lri_view arguments,
                               lri_command_done done, void* done_context) {
  (void)instance;
  (void)name;
  (void)arguments;
  (void)done;
  (void)done_context;
  return LRI_NOT_FOUND;
}

/* A copy that may be changed and returned by the entry. */
static lri_plugin_table* HarmlessTable(void) {
  static lri_plugin_table table;
  table.struct_size = sizeof table;
  table.abi_minor = LRI_ABI_MINOR;
  table.info = HarmlessInfo;
  table.plugin_create = HarmlessPluginCreate;
  table.plugin_destroy = HarmlessPluginDestroy;
  table.create = HarmlessCreate;
  table.start = HarmlessStart;
  table.stop = HarmlessStop;
  table.destroy = HarmlessDestroy;
  table.check_head = HarmlessCheckHead;
  table.execute = HarmlessExecute;
  table.cancel = HarmlessCancel;
  table.update_prepare = HarmlessUpdatePrepare;
  table.update_commit = HarmlessUpdateEnd;
  table.update_abort = HarmlessUpdateEnd;
  table.describe = HarmlessDescribe;
  table.command = HarmlessCommand;
  return &table;
}

#endif /* TESTS_BAD_PLUGINS_HARMLESS_H_ */
