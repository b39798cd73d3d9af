/* The border between an engine (the host) and a long-running integration (the plugin).
 *
 * This header, with reasons.h beside it, is all that a host needs in order to load a plugin. It is
 * C11 and C++, depends on the C standard library alone, and no exception, C++ type or Protocol
 * Buffers type crosses it.
 *
 *   host                                        plugin (a shared object)
 *   ----                                        ------------------------
 *   dlsym("lri_plugin_entry_v1")          ->    the plugin's table of functions
 *   plugin_create(host's table)           ->    a plugin: its threads and limits
 *   create, start                         ->    an instance: a configuration at work
 *   check_head, execute                   ->    credentials; JSON to incidents
 *   create_incidents                      <-    the batch of one request
 *   done                                  ->    their ids, once they are on disk
 *   complete                              <-    the answer, exactly one for each execute
 *   stop, destroy, plugin_destroy         ->    drained; then the host may unload
 *
 * LAYOUT. A struct that is passed by pointer begins with `struct_size`, which its maker sets to
 * sizeof. Structs are only ever appended to: a reader uses a member only where
 * LRI_HAS(pointer, member) holds, and takes a missing one for zero. Elements of arrays carry no
 * size of their own; the array's `stride` is the distance between them in bytes. lri_view and the
 * three array structs are frozen. What cannot be appended is a new major version, and the exported
 * symbol's name ends in it; `abi_minor` counts the appendings.
 *
 * MEMORY. Nothing is freed across the border. A view is a pointer and a length, not terminated by
 * a zero; {NULL, 0} and {any, 0} are both empty. Views and structs live
 *   - of a request: until `complete` was called for it,
 *   - of a batch of incidents: until its `done` was called,
 *   - all others, among them those of an answer: until the call that passes them returns.
 *
 * EXCEPTIONS. A side whose function is called by the other one, a callback among them, lets no
 * exception out of it: after one, the caller ends the process with a line that names the function.
 *
 * THREADS. Each function is tagged. [any thread]: from several at once. [control]: the host makes
 * one such call at a time for an instance (for a plugin: with plugin_*), on any thread.
 * [never blocks]: returns without waiting for another thread, a disk or a network.
 *
 * RESULTS. int32_t results are google.rpc.Code numbers, 0 is OK. For asynchronous functions OK
 * means that the callback is called exactly once, perhaps before the function returns and on any
 * thread; another result means that it is never called. A callback that is called a second time, or
 * after another result, is ignored. Where an lri_error is taken, it may be NULL, and is written
 * only when the result is not OK; one whose struct_size leaves no room for a message is left as it
 * is.
 *
 * FORK. A child process may do nothing but exec or _exit: the plugin's threads are not in it. Every
 * descriptor of the plugin is close-on-exec, so a program that the engine starts holds no port of a
 * listen port open.
 */
#ifndef PLUGIN_ABI_LONG_RUNNING_INTEGRATION_H_
#define PLUGIN_ABI_LONG_RUNNING_INTEGRATION_H_

#include <stddef.h>
#include <stdint.h>

#include "reasons.h" /* enum lri_reason */

#ifdef __cplusplus
extern "C" {
#endif

/* Grows by one with each appending to any struct. */
#define LRI_ABI_MINOR 3u

/* The one symbol that a plugin exports; its type is lri_plugin_entry_function. */
#define LRI_PLUGIN_ENTRY_SYMBOL "lri_plugin_entry_v1"

/* Readable bytes that follow every request body; their values do not matter. */
#define LRI_BODY_PADDING 64u

/* Whether the maker of *pointer knew the member. */
#define LRI_HAS(pointer, member)     \
  ((size_t)(pointer)->struct_size >= \
   (size_t)((const char*)&(pointer)->member - (const char*)(pointer)) + sizeof((pointer)->member))

/* google.rpc.Code numbers, as far as they cross. */
enum lri_code {
  LRI_OK = 0,
  LRI_CANCELLED = 1,
  LRI_UNKNOWN = 2,
  LRI_INVALID_ARGUMENT = 3,
  LRI_DEADLINE_EXCEEDED = 4,
  LRI_NOT_FOUND = 5,
  LRI_ALREADY_EXISTS = 6,
  LRI_PERMISSION_DENIED = 7,
  LRI_RESOURCE_EXHAUSTED = 8,
  LRI_FAILED_PRECONDITION = 9,
  LRI_ABORTED = 10,
  LRI_UNIMPLEMENTED = 12,
  LRI_INTERNAL = 13,
  LRI_UNAVAILABLE = 14
};

/* ---- frozen building blocks ------------------------------------------------------------------ */

typedef struct lri_view {
  const char* data;
  size_t size; /* bytes */
} lri_view;

/* A header, a parameter, a setting. */
typedef struct lri_pair {
  lri_view name;
  lri_view value;
} lri_pair;

typedef struct lri_pairs {
  const lri_pair* data; /* NULL only where count is 0 */
  size_t count;
  size_t stride; /* bytes from one element to the next; sizeof(lri_pair) at least */
} lri_pairs;

typedef struct lri_views {
  const lri_view* data;
  size_t count;
  size_t stride;
} lri_views;

/* Where a function puts the reason of its refusal: one line of UTF-8 for a person, ended by a
 * zero, without a secret. Owned by the caller. */
typedef struct lri_error {
  uint32_t struct_size;
  char message[1020];
} lri_error;

/* ---- handles --------------------------------------------------------------------------------- */

typedef struct lri_plugin lri_plugin;               /* made by plugin_create */
typedef struct lri_instance lri_instance;           /* made by create */
typedef struct lri_update lri_update;               /* made by update_prepare */
typedef struct lri_host_instance lri_host_instance; /* the host's own name for an instance */
typedef struct lri_call lri_call;                   /* the host's own name for one execute */

/* ---- requests and answers -------------------------------------------------------------------- */

/* lri_request_head.content_length where the length is not announced (chunked). */
#define LRI_LENGTH_UNKNOWN UINT64_MAX

/* lri_request_head.peer_flags: a proxy that the host trusts stated the sender in a way that cannot
 * be read, so peer_address is the proxy's. Where an instance has `allow`, it is refused. */
#define LRI_PEER_DOUBTFUL 1u

typedef struct lri_request_head {
  uint32_t struct_size;
  uint32_t peer_flags;     /* a sum of LRI_PEER_...; since minor version 3, 0 before */
  lri_view method;         /* as sent, as in "POST". Pass on every method: the plugin answers 405
                              to those that the instance's source does not use (RFC 9110, 15.5.6),
                              and some sources shake hands with GET or OPTIONS */
  lri_view path;           /* of the target, as sent (percent-encoded), without the query; for
                              reports alone, since the host has chosen the instance */
  lri_view remainder;      /* what follows the instance's name in path: empty, or begins with '/'.
                              The plugin answers 404 unless it is empty or "/" */
  lri_view query;          /* as sent, without the '?'. It may hold a credential (`_query:NAME`, a
                              source's token): never log it */
  lri_pairs headers;       /* in order, names as sent, names may repeat, blanks around values cut;
                              no trailers */
  lri_view peer_address;   /* of the sender, as far as trusted proxies state it: an IP address
                              without a port, "unix", or empty where not known */
  lri_view request_id;     /* for logs, chosen by the host; [A-Za-z0-9._-], 64 bytes at most */
  uint64_t content_length; /* bytes, or LRI_LENGTH_UNKNOWN */
  /* CLOCK_MONOTONIC at which the sender gives up; 0: none. A request whose deadline has passed is
   * not begun and is answered 504. The plugin keeps no clock for a request that it has begun: a
   * host that wants to answer in time does so itself, and ignores what `complete` brings. */
  int64_t deadline_mono_ns;
} lri_request_head;

typedef struct lri_request {
  uint32_t struct_size;
  uint32_t reserved; /* 0 */
  lri_call* call;    /* passed back in `complete` */
  const lri_request_head* head;
  lri_view body;        /* the exact bytes; LRI_BODY_PADDING more are readable */
  uint64_t head_ticket; /* of check_head. A ticket belongs to one accepted head of one instance
                           under one configuration, and is used once: execute then repeats no check
                           of the head. With 0, an unknown or used ticket, one of another head or
                           from before an update, execute makes all checks itself */
} lri_request;

typedef struct lri_answer {
  uint32_t struct_size;
  int32_t status;    /* HTTP, 200 to 599 */
  lri_pairs headers; /* Content-Type among them; not Content-Length, Connection or Date */
  lri_view body;
  /* Since minor version 2. */
  int32_t reason; /* enum lri_reason */
  uint32_t reserved;
  lri_view detail; /* of a refusal: a sentence for the operator, which the sender is not told */
} lri_answer;

typedef void (*lri_answer_sink)(void* sink_context, const lri_answer* answer);

typedef struct lri_head_verdict {
  uint32_t struct_size;
  uint32_t refused;          /* 1: the sink was given the answer, and the body must not be read */
  uint64_t body_limit_bytes; /* a longer body is to be answered 413 */
  uint64_t ticket;           /* pass it on in lri_request.head_ticket; 0 where refused is 1 */
} lri_head_verdict;

/* ---- incidents ------------------------------------------------------------------------------- */

/* DELIVERY KEYS. A key names what was delivered, so that the host creates it once: an incident
 * whose key the instance has used before is not created, and the host answers with the first one's
 * id. The keys of incidents and the keys of batches are separate name spaces of one instance, and
 * are compared byte for byte. The host decides in the transaction that writes the incidents, so
 * that of two equal batches that race one is created.
 *
 * A batch may have two keys: delivery_key, as its sender names it, and replay_key, of what its
 * sender signed. It is a duplicate where either is known, and delivery_key is looked up first. New
 * incidents are remembered under both. Where only delivery_key is known, the host remembers the
 * replay key for the same incidents, because what the sender signed anew could be captured anew.
 * Where only replay_key is known, delivery_key is not remembered: anybody who has captured a
 * request can make up names for it, and would drive out the keys that count.
 *
 * Within a batch, an incident that has the key of an earlier one is its duplicate. So a plugin may
 * give two incidents of a batch the same key only where that key comes from the incidents
 * themselves. A value that the whole request has, such as a header, is the key of the batch, or
 * stands in an incident's key together with the incident's position. Where both the batch and its
 * incidents have keys, the batch's is looked up first.
 *
 * A key is at most the limit delivery_key_bytes long, and LRI_DELIVERY_KEY_PREFIX more. A host
 * takes any bytes; a plugin writes them like this, so that the values 1 and "1" are not one key:
 *   octet 0  LRI_DELIVERY_KEY_VERSION
 *   octet 1  the scope. 'i': found in the incident itself; 'r': found in the request
 *   octet 2  the type of the value. 's': a string, as the text that it stands for; 'n', 't', 'o',
 *            'a': a number, true, an object or an array, as it was sent; 'j': several values that
 *            count together, each written as its type, its length in decimal, ':' and its bytes. A
 *            capital letter: the SHA-256 of all that would follow the length of the path stands in
 *            its place, in 64 lower-case hexadecimal digits. 'B', of a replay key alone: the same
 *            of the path, a zero octet and the octets that the sender signed
 *   then     the length of the path in decimal and ':'
 *   then     the path, ':' and the value; after that, for the scope 'r' and every incident of its
 *            batch but the first, a line feed and its position, counted from 0
 * The path is where the value was found. For a known kind of sender it is the name of that kind. A
 * key of the batch has no position. Examples: "\2is8:event.id:17",
 * "\2rs6:github:72d3162e-cc78-11e3-81ab-4c9367dc0958", and as the replay key of the latter "\2rB6:"
 * with the hash of "github", a zero octet and the body.
 *
 * Keys of version 1 began with the path: "event.id:17", or the digits of the hash. A host that has
 * stored such keys looks up both: the key, and what follows the first ':' behind octet 2. */
#define LRI_DELIVERY_KEY_VERSION 2u
#define LRI_DELIVERY_KEY_PREFIX 9u /* the most octets that stand before the path */

/* The most bytes of each member of a request that is stored with its incidents. */
#define LRI_STORED_REQUEST_BYTES 4096u

/* An element of lri_incident_batch.incidents. */
typedef struct lri_incident {
  lri_view name;         /* UTF-8, never empty */
  lri_view type;         /* UTF-8, may be empty */
  lri_view occurred;     /* RFC 3339 in UTC, as in "2024-05-01T10:00:00Z"; a fraction is possible */
  lri_views details;     /* put together: one JSON object (the platform's rawJSON) */
  lri_views warnings;    /* lines of UTF-8 for a person; kept with the incident */
  lri_view delivery_key; /* names this incident among the instance's deliveries; empty: none */
  lri_view content;      /* where there is a key: the SHA-256, 32 octets, of what was sent of this
                            incident; empty: not known. Since minor version 2: read it only where
                            the stride has room for it */
  double severity;       /* as the platform counts: 0: unknown, 0.5: informational, 1: low,
                            2: medium, 3: high, 4: critical; a host refuses a batch with another
                            value. Since minor version 3, by the stride likewise */
} lri_incident;

typedef struct lri_incidents {
  const lri_incident* data;
  size_t count;
  size_t stride;
} lri_incidents;

/* What became of a batch. It is created whole or not at all. */
enum lri_outcome {
  LRI_CREATED = 1,     /* every incident that is no duplicate is on disk */
  LRI_NOT_CREATED = 2, /* none is, and none will be */
  LRI_NOT_KNOWN = 3    /* a fault came between; where it has delivery keys, the same batch sent
                          again tells */
};

/* An element of lri_create_result.incidents. */
typedef struct lri_created_incident {
  lri_view id;        /* text; numbers of this host grow, but other hosts' ids may be any text */
  lri_view created;   /* RFC 3339 in UTC: of the incident with this id */
  uint32_t duplicate; /* 1: the delivery key was known, and what follows is of the first incident */
  uint32_t other_content; /* 1: a duplicate whose content is not that of the first incident. This
                             one is not stored; only the id is given. 0 before minor version 2 */
  lri_view name;          /* these three only for a duplicate */
  lri_view type;
  lri_view occurred;
  double severity; /* likewise, as in lri_incident. Since minor version 3: read it only where the
                      stride has room for it */
} lri_created_incident;

typedef struct lri_create_result {
  uint32_t struct_size;
  int32_t outcome;                       /* enum lri_outcome */
  int32_t code;                          /* LRI_OK exactly where the outcome is LRI_CREATED */
  uint32_t retry_after_s;                /* when trying again is sensible; 0: not known */
  lri_view message;                      /* where code is not LRI_OK: one line for a person */
  const lri_created_incident* incidents; /* in the batch's order, where LRI_CREATED */
  size_t count;
  size_t stride;
} lri_create_result;

typedef void (*lri_create_done)(void* done_context, const lri_create_result* result);

typedef struct lri_incident_batch {
  uint32_t struct_size;
  uint32_t dry_run;        /* 1: everything but the writing; ids are then empty */
  lri_incidents incidents; /* one at least */
  lri_view delivery_key;   /* of the whole batch; empty: none. Known: every incident a duplicate */
  /* How long the keys of the batch and its incidents must be remembered; 0: as long as there is
   * room. A host has a bound for an instance's keys; the oldest may go before their time. */
  int64_t delivery_key_ttl_s;
  int64_t deadline_mono_ns; /* after it the batch must not be begun; 0: none */
  lri_create_done done;
  void* done_context;
  /* Where the batch came from. Since minor version 2. */
  lri_call* call;        /* of lri_request; NULL for a request of the listen port and for a test */
  lri_view request_id;   /* as in lri_request_head; the plugin's own for the listen port */
  lri_view peer_address; /* the same */
  lri_view content;      /* as lri_incident.content, of all that has the batch's key */
  /* A second key of the whole batch: see DELIVERY KEYS; empty: none. Since minor version 3. */
  lri_view replay_key;
  /* What is to be stored with each incident of the request that brought it, and shown where
   * incidents are read: its sender, as in peer_address, and its query, in which secrets are masked.
   * LRI_STORED_REQUEST_BYTES each at most; both empty: nothing. Since minor version 3. */
  lri_view request_address;
  lri_view request_query;
} lri_incident_batch;

/* ---- what became of a request ---------------------------------------------------------------- */

enum lri_door {
  LRI_DOOR_FRONT = 1,  /* of the host: HTTP */
  LRI_DOOR_GRPC = 2,   /* of the host */
  LRI_DOOR_LISTEN = 3, /* the plugin's listen port */
  LRI_DOOR_EXECUTE = 4 /* a request that the host gave to check_head or execute */
};

/* A request that was answered, or that will have no answer, or a connection that was refused. The
 * plugin tells of LRI_DOOR_LISTEN and LRI_DOOR_EXECUTE. */
typedef struct lri_answered {
  uint32_t struct_size;
  int32_t door; /* enum lri_door; one that the reader does not know: some other door */
  lri_host_instance* instance;
  lri_view request_id;    /* empty where no head was read */
  lri_view peer_address;  /* as in lri_request_head */
  lri_view method;        /* empty where it is not known */
  lri_view path;          /* as sent, without the query; cut to 256 bytes */
  lri_views header_names; /* as sent; 32 at most, each cut to 64 bytes */
  int32_t status;         /* HTTP; 0: no answer was sent */
  int32_t reason;         /* enum lri_reason */
  lri_view detail;        /* a sentence for the operator, or empty; without a secret */
  uint64_t bytes_received;
  uint64_t bytes_sent;
  int64_t duration_ns; /* from the first byte, or from check_head or execute, to the answer */
  uint32_t over_tls;   /* 1: the connection uses TLS. Since minor version 3, as what follows */
  uint32_t reserved;   /* 0 */
  lri_view trace_id;   /* of the header traceparent (W3C Trace Context): 32 hexadecimal digits, or
                          empty */
} lri_answered;

/* ---- the host's table ------------------------------------------------------------------------ */

enum lri_severity { LRI_DEBUG = 0, LRI_INFO = 1, LRI_WARNING = 2, LRI_ERROR = 3 };

/* An instance's health: LRI_HEALTHY serves; LRI_DEGRADED serves, but a person should look. */
enum lri_health { LRI_HEALTHY = 1, LRI_DEGRADED = 2, LRI_UNHEALTHY = 3 };

/* `code` is LRI_OK and `value` what was set, or LRI_NOT_FOUND, or another code and no value. */
typedef void (*lri_context_done)(void* done_context, int32_t code, lri_view value);

/* Its members but create_incidents and complete may be NULL. The table outlives the plugin, and
 * reads and writes of an instance's context end before its stop returns OK.
 * Everything here: [any thread] [never blocks]. */
typedef struct lri_host {
  uint32_t struct_size;
  uint32_t abi_minor; /* LRI_ABI_MINOR of the host's header */
  void* context;      /* passed to every function below */

  /* Creates a batch. OK: exactly one done, which may come before the return. Not OK: no done, and
   * nothing was created; LRI_UNAVAILABLE: the queue is full, and later is better. */
  int32_t (*create_incidents)(void* context, lri_host_instance* instance,
                              const lri_incident_batch* batch);

  /* Answers one execute. A second answer for the same call is the plugin's fault; the host must
   * survive it. Must not call back into `execute` before it returns. */
  void (*complete)(void* context, lri_call* call, const lri_answer* answer);

  /* A small memory of the instance that outlives the process: values up to 8 MiB, the key as in an
   * instance's name. Reads and writes are bounded and may be put together; a full queue is
   * LRI_UNAVAILABLE. done may be NULL for context_set. */
  int32_t (*context_get)(void* context, lri_host_instance* instance, lri_view key,
                         lri_context_done done, void* done_context);
  int32_t (*context_set)(void* context, lri_host_instance* instance, lri_view key, lri_view value,
                         lri_context_done done, void* done_context);

  /* Tells how the instance is; message is one line for a person. */
  void (*set_health)(void* context, lri_host_instance* instance, int32_t health, lri_view message);

  /* One line of UTF-8; the host escapes what does not belong into a log. instance may be NULL. */
  void (*log)(void* context, lri_host_instance* instance, int32_t severity, lri_view message);

  /* Unix time in nanoseconds. NULL: the plugin uses CLOCK_REALTIME. */
  int64_t (*now)(void* context);

  /* Tells what became of a request or a connection, once for each; before `complete` where that is
   * called too. Views live during the call. A host that has it writes its own lines about what is
   * refused: the plugin writes none. Since minor version 2. */
  void (*on_answered)(void* context, const lri_answered* answered);
  /* The doors that on_answered is told of: a sum of 1 << enum lri_door; 0: all. A host that reports
   * what its own doors answer leaves LRI_DOOR_EXECUTE out. */
  uint32_t answered_doors;
  uint32_t reserved;
} lri_host;

/* ---- the plugin's table ---------------------------------------------------------------------- */

typedef struct lri_plugin_options {
  uint32_t struct_size;
  uint32_t io_threads; /* of the listen ports; 0: the plugin decides */
  lri_pairs limits;    /* by the names of the plugin's documentation, whole numbers in decimal */
} lri_plugin_options;

typedef struct lri_instance_options {
  uint32_t struct_size;
  uint32_t on_engine;               /* 1: runs on an engine and not on the platform itself */
  lri_host_instance* host_instance; /* passed to every function of the host's table; of an update it
                                       is ignored: an instance keeps the one of its `create` */
  lri_view name;                    /* [A-Za-z0-9_-], 1 to 64 bytes. The plugin does not mind two
                                       instances of one name; a host that routes by it does */
  lri_view product;                 /* XSOAR_6 XSOAR_8_CLOUD XSOAR_8_ON_PREM XSIAM_2 XSIAM_3 */
  lri_view platform_url;            /* as in "https://my.xsoar.live"; may be empty */
  /* The documented parameters: longRunningPort username password certificate key incidentType
   * store_samples duplication_key mirror_direction mirror_tags mirror_instance, and beyond the
   * documents bind_address trusted_proxies forwarding_header proxy_protocol allow
   * requests_per_second concurrent_requests rate_limit_status client_ca client_crl passwords
   * delivery_key_ttl kept_headers store_request source; and with a source signing_secrets
   * named_secrets unauthenticated replay_check rules certificates jwks public_url header_name
   * signature_header timestamp_header topic_arn audience service_account webhook_id. `info`
   * describes them all. Booleans are "true" and "false", lists and objects the text of JSON.
   * Where the configuration names a file (password_file), the host passes its contents under the
   * documented name. */
  lri_pairs parameters;
  uint64_t reserved; /* 0. Since minor version 1 */
} lri_instance_options;

enum lri_parameter_type {
  LRI_TEXT = 1,
  LRI_PORT = 2,    /* a whole number from 1 to 65535 */
  LRI_BOOLEAN = 3, /* "true" or "false" */
  LRI_LIST = 4,    /* a text, or the text of a JSON array */
  LRI_OBJECT = 5   /* a text, or the text of a JSON object. Since minor version 3 */
};

/* A parameter of an instance. */
typedef struct lri_parameter {
  lri_view name;          /* as in lri_instance_options.parameters */
  int32_t type;           /* enum lri_parameter_type */
  uint32_t secret;        /* 1: show it to nobody, and keep it out of logs */
  uint32_t may_be_file;   /* 1: may be long or secret, so that people expect it in a file */
  uint32_t reserved;      /* 0 */
  lri_view default_value; /* empty: not set */
  lri_view required;      /* where it must be set, in words; empty: nowhere */
  lri_view meaning;       /* one line for a person */
} lri_parameter;

/* A limit: a whole number in lri_plugin_options.limits. */
typedef struct lri_limit {
  lri_view name; /* the unit is its ending: _bytes, _ms, _s; a count where there is none */
  int64_t default_value;
  int64_t least;
  int64_t most;
  lri_view meaning; /* what happens beyond it; one line for a person */
} lri_limit;

typedef struct lri_parameter_list {
  const lri_parameter* data;
  size_t count;
  size_t stride;
} lri_parameter_list;

typedef struct lri_limit_list {
  const lri_limit* data;
  size_t count;
  size_t stride;
} lri_limit_list;

/* A sender that the plugin knows: what the parameter source may name. */
typedef struct lri_source {
  lri_view name;        /* as in "github" */
  lri_view title;       /* one line for a person */
  lri_view description; /* lines for a person: what to configure at the sender's side, what is
                           checked, what becomes of a body */
  lri_view profile;     /* JSON text: the rules themselves */
} lri_source;

typedef struct lri_source_list {
  const lri_source* data;
  size_t count;
  size_t stride;
} lri_source_list;

typedef struct lri_plugin_info {
  uint32_t struct_size;
  uint32_t reserved;
  lri_view name;        /* "Generic Webhook": the sourceBrand of its incidents */
  lri_view version;     /* semantic version */
  lri_views parameters; /* the names that `create` understands */
  /* The same parameters with their descriptions, and all limits. Since minor version 2. */
  lri_parameter_list described_parameters;
  lri_limit_list limits;
  lri_source_list sources; /* since minor version 3 */
} lri_plugin_info;

typedef struct lri_description {
  uint32_t struct_size;
  uint32_t external_key_needed; /* 1: served only where the server configuration has
                                   instance.execute.external.<name> = true */
  lri_view path_prefix;         /* of the host's front, before the name: "/instance/execute/" */
  lri_view webhook_url;         /* empty where the platform's URL is not known */
  lri_view listen_url;          /* of the listen port; empty where there is none */
  lri_view record_noun;         /* what a created record is called: "incident", "alert", "issue" */
  lri_views warnings; /* of the configuration, one line each: "no credentials are set ..." */
  /* Since `create`, across updates: answers that the listen port sent, with 2xx, 4xx and 5xx. A
   * host with on_answered is told of each. Since minor version 1. */
  uint64_t listen_succeeded;
  uint64_t listen_refused;
  uint64_t listen_failed;
  /* On how many events each rule of the parameter rules has decided, in their order, since the
   * instance's configuration last changed. Since minor version 3. */
  const uint64_t* rule_counts;
  size_t rules;
  /* How a request that a person writes shows who sends it, beside username and password. Where the
   * source is sent a token: the header's name and what stands before the token there, or the name
   * of the parameter of the URL. Since minor version 3. */
  lri_pair token_header;
  lri_view token_parameter;
  uint32_t is_signed; /* 1: the source signs instead, so that a person can write none */
  uint32_t reserved;  /* 0 */
  /* Unix time in seconds: when the listen port's certificate ends, and when the last of the
   * passwords does; 0: there is none, or it does not end. Since minor version 3. */
  int64_t certificate_end_s;
  int64_t passwords_end_s;
  /* Since `create`, across updates: TLS handshakes of the listen port that succeeded. A host with
   * on_answered is told of the others. Since minor version 3. */
  uint64_t tls_handshakes;
  /* Events of accepted requests that became no incident because a rule said so, since the
   * instance's configuration last changed. Since minor version 3. */
  uint64_t events_dropped;
} lri_description;

typedef void (*lri_plugin_info_sink)(void* sink_context, const lri_plugin_info* info);
typedef void (*lri_description_sink)(void* sink_context, const lri_description* description);

/* `result` is JSON text where code is LRI_OK, else one line for a person. */
typedef void (*lri_command_done)(void* done_context, int32_t code, lri_view result);

typedef struct lri_plugin_table {
  uint32_t struct_size;
  uint32_t abi_minor; /* LRI_ABI_MINOR of the plugin's header */

  /* [any thread] Tells who the plugin is; the sink is called once, before the return. */
  void (*info)(lri_plugin_info_sink sink, void* sink_context);

  /* [control] Makes a plugin; one process may make several. The host's table is kept by pointer,
   * options are not kept. INVALID_ARGUMENT: a table without what is required, an unknown limit. */
  int32_t (*plugin_create)(const lri_host* host, const lri_plugin_options* options,
                           lri_plugin** plugin, lri_error* error);

  /* [control] Only after every instance was destroyed. Joins the plugin's threads; after it no
   * code of the plugin runs, and the host may unload the shared object. */
  void (*plugin_destroy)(lri_plugin* plugin);

  /* [control] Checks the whole configuration and makes an instance that does not serve yet.
   * INVALID_ARGUMENT names the parameter and the rule. Whether the longRunningPort is free is seen
   * by start; the host sees to it that no two instances are given the same one. */
  int32_t (*create)(lri_plugin* plugin, const lri_instance_options* options,
                    lri_instance** instance, lri_error* error);

  /* [control] Serves from now on. FAILED_PRECONDITION: serves already; ALREADY_EXISTS: the port is
   * in use by another program, or another instance of this plugin has it. After a failure the
   * instance is as before. */
  int32_t (*start)(lri_instance* instance, lri_error* error);

  /* [control] Refuses new calls (UNAVAILABLE), waits until those in flight are completed, and
   * joins. OK also where it did not serve. DEADLINE_EXCEEDED: calls are still in flight; they were
   * cancelled, and stop must be called again. deadline_mono_ns: CLOCK_MONOTONIC, 0 for no waiting.
   * Not from within a callback of this plugin. */
  int32_t (*stop)(lri_instance* instance, int64_t deadline_mono_ns, lri_error* error);

  /* [control] Only after stop returned OK, or where start was never called. */
  void (*destroy)(lri_instance* instance);

  /* [any thread] [never blocks] Judges a request by its head, before its body is read: address,
   * path, method, headers, a source's handshakes that need the head alone, credentials, announced
   * length, rates, in that order. A signature over the body is judged by execute. Not OK: not
   * judged, nothing was given to the sink (UNAVAILABLE: stopping). OK: verdict is set, and the sink
   * called exactly where verdict->refused is 1; a handshake that is answered so (200) counts as
   * refused, because its body need not be read. Optional for the host: execute makes the same
   * checks. */
  int32_t (*check_head)(lri_instance* instance, const lri_request_head* head, lri_answer_sink sink,
                        void* sink_context, lri_head_verdict* verdict);

  /* [any thread] [never blocks] Takes a request. OK: exactly one `complete` of the host's table.
   * Not OK: none (UNAVAILABLE: stopping or too much in flight).
   *
   * It works on the calling thread until the batch is with the host: a compressed body is expanded
   * and the JSON parsed there, 7 ms for each MiB at worst. A host with an event loop hands bodies
   * of more than some 100 KiB to a thread of its own. */
  int32_t (*execute)(lri_instance* instance, const lri_request* request);

  /* [any thread] [never blocks] The sender is gone. A hint: `complete` is called all the same.
   * Ignored for a call that is completed. */
  void (*cancel)(lri_instance* instance, lri_call* call);

  /* Changes a configuration without dropping a request, in two steps, so that a host can change
   * several instances or none. prepare [control] does everything that can fail; then exactly one of
   * commit [control], which cannot, or abort [control]. Requests in flight finish under the old
   * configuration. At most one prepared update of an instance at a time (FAILED_PRECONDITION), and
   * it is committed or aborted before start, stop or destroy of that instance. INVALID_ARGUMENT
   * names the parameter and the rule; UNIMPLEMENTED where a plugin does not support updates.
   *
   * A port that the instance keeps, or moves away from, loses no connection. ALREADY_EXISTS: a port
   * that it moves to is in use by another program. A port that another instance of this plugin has
   * is accepted, for that one may give it up in the same change, by its own commit or by stop. The
   * instance listens as soon as that has happened; a connection that is made just then may be
   * refused. Until then, or where the port cannot be bound any more, its health is LRI_UNHEALTHY
   * and says why, and the plugin tries again. Commit and abort wait for the plugin's threads: not
   * from within a callback of this plugin. */
  int32_t (*update_prepare)(lri_instance* instance, const lri_instance_options* options,
                            lri_update** update, lri_error* error);
  void (*update_commit)(lri_update* update);
  void (*update_abort)(lri_update* update);

  /* [any thread] Tells what the host's front must know; the sink is called once before the return
   * where OK. */
  int32_t (*describe)(lri_instance* instance, lri_description_sink sink, void* sink_context);

  /* [any thread] Runs a named command. OK: exactly one done. NOT_FOUND: no such command;
   * UNIMPLEMENTED: known, but this plugin has nothing behind it. Arguments are a JSON object, or
   * empty for those that take none. Results:
   *
   * "test"     "ok", or {"result":"ok","warnings":["text",...]}; a fault is a code and a line
   * "samples"  [{"name":"...","type":"...","occurred":"...","rawJSON":"...","truncated":false},
   *            ...], newest first; rawJSON is the text of the details
   * "fields"   [{"path":"a.b[].c","types":["string"],"example":"...","count":3},...]; example is
   *            JSON text
   * "map"      [{"target":value,...},...], one object for each sample. Its arguments are
   *            {"mapper":"TEXT"}, where TEXT is {"target":{"path":"a.b","default":value},...}
   * "try"      what would become of a request: nothing is created and nothing is used up. Its
   *            arguments are {"method":"POST","path":"","query":"","peer_address":"","at":"",
   *            "headers":[{"name":"...","value":"..."},...],"body":"BASE64"}; path is what follows
   *            the instance's name, and at an RFC 3339 time at which the request is judged, instead
   *            of now. Each may be left out. The result is
   *            {"outcome":"accept","step":"","reason":"","status":200,"headers":[...],"body":"...",
   *            "delivery":"","duplicate_of":"","steps":[{"step":"credentials","what":"..."},...],
   *            "incidents":[{"name":"...","type":"...","occurred":"...","severity":0,
   *            "delivery":"...","details":{...}},...]}: outcome is accept, refuse or handshake;
   *            step is where it was refused or answered: method, address, credentials, signature,
   *            body, handshake, rules or incidents; headers and body are the answer. It names a
   *            secret by its number only, and shows nothing that was made with one */
  int32_t (*command)(lri_instance* instance, lri_view name, lri_view arguments,
                     lri_command_done done, void* done_context);
} lri_plugin_table;

/* [any thread] The plugin's table, which lives as long as the shared object is loaded; NULL: this
 * host is too old for it. host_abi_minor is LRI_ABI_MINOR of the host's header. */
typedef const lri_plugin_table* (*lri_plugin_entry_function)(uint32_t host_abi_minor);

#ifdef __cplusplus
}
#endif

#endif /* PLUGIN_ABI_LONG_RUNNING_INTEGRATION_H_ */
