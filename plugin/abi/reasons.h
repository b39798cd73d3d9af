/* Why a request was not answered as its sender wished, or why a connection was refused.
 *
 * One closed list for every door. Numbers and names never change; further ones are appended. A
 * reader takes a number that it does not know for LRI_REASON_OTHER. The header is C11 and C++, and
 * is a part of the border between host and plugin.
 */
#ifndef PLUGIN_ABI_REASONS_H_
#define PLUGIN_ABI_REASONS_H_

#include <stdint.h>

/* LRI_REASONS(REASON) expands to REASON(identifier, number, name) for each. */
#define LRI_REASONS(REASON)                                                                    \
  REASON(LRI_REASON_ANSWERED, 0, "answered") /* not refused: a 2xx answer */                   \
  REASON(LRI_REASON_OTHER, 1, "other")                                                         \
  /* The request as HTTP. */                                                                   \
  REASON(LRI_REASON_BAD_REQUEST, 10, "bad_request") /* malformed or ambiguous */               \
  REASON(LRI_REASON_BAD_HOST, 11, "bad_host")                                                  \
  REASON(LRI_REASON_VERSION, 12, "version") /* not HTTP/1.0 or 1.1 */                          \
  REASON(LRI_REASON_TARGET_TOO_LONG, 13, "target_too_long")                                    \
  REASON(LRI_REASON_HEADER_TOO_LARGE, 14, "header_too_large")                                  \
  REASON(LRI_REASON_BODY_TOO_LARGE, 15, "body_too_large") /* as sent or expanded */            \
  REASON(LRI_REASON_LENGTH_REQUIRED, 16, "length_required")                                    \
  REASON(LRI_REASON_TRANSFER_CODING, 17, "transfer_coding") /* another than chunked */         \
  REASON(LRI_REASON_EXPECTATION, 18, "expectation")         /* another than 100-continue */    \
  REASON(LRI_REASON_TIMEOUT_HEAD, 19, "timeout_head")                                          \
  REASON(LRI_REASON_TIMEOUT_BODY, 20, "timeout_body") /* or slower than the least rate */      \
  /* The connection. */                                                                        \
  REASON(LRI_REASON_TOO_MANY_CONNECTIONS, 40, "too_many_connections")                          \
  REASON(LRI_REASON_TOO_MANY_FROM_ADDRESS, 41, "too_many_from_address")                        \
  REASON(LRI_REASON_TLS_HANDSHAKE, 42, "tls_handshake")                                        \
  REASON(LRI_REASON_PLAIN_HTTP_ON_TLS, 43, "plain_http_on_tls")                                \
  REASON(LRI_REASON_SLOW, 44, "slow")     /* sent nothing in time, or does not read */         \
  REASON(LRI_REASON_MEMORY, 45, "memory") /* too many bytes are in flight, or there is none */ \
  REASON(LRI_REASON_STOPPING, 46, "stopping")                                                  \
  REASON(LRI_REASON_ANSWER_TIMEOUT, 47, "answer_timeout") /* 504 */                            \
  REASON(LRI_REASON_PEER_GONE, 48, "peer_gone")           /* before it was answered */         \
  /* What the plugin or the host decides. */                                                   \
  REASON(LRI_REASON_UNKNOWN_PATH, 80, "unknown_path")                                          \
  REASON(LRI_REASON_METHOD, 81, "method")                                                      \
  REASON(LRI_REASON_CREDENTIALS, 82, "credentials")                                            \
  REASON(LRI_REASON_CERTIFICATE, 83, "certificate")                                            \
  REASON(LRI_REASON_ADDRESS, 84, "address") /* of a peer that may not send */                  \
  REASON(LRI_REASON_CONTENT_TYPE, 85, "content_type")                                          \
  REASON(LRI_REASON_CONTENT_ENCODING, 86, "content_encoding")                                  \
  REASON(LRI_REASON_CHARSET, 87, "charset")                                                    \
  REASON(LRI_REASON_MALFORMED_JSON, 88, "malformed_json")                                      \
  REASON(LRI_REASON_TOO_MANY_INCIDENTS, 89, "too_many_incidents")                              \
  REASON(LRI_REASON_DUPLICATE, 90, "duplicate")                                                \
  REASON(LRI_REASON_STORE_FULL, 91, "store_full")                                              \
  REASON(LRI_REASON_STORE_UNAVAILABLE, 92, "store_unavailable")                                \
  REASON(LRI_REASON_NOT_KNOWN, 93, "not_known") /* whether the incidents were created */       \
  REASON(LRI_REASON_OVERLOAD, 94, "overload")                                                  \
  REASON(LRI_REASON_INSTANCE_STOPPED, 95, "instance_stopped")                                  \
  REASON(LRI_REASON_EXTERNAL_KEY_MISSING, 96, "external_key_missing")                          \
  /* Of a source. The last two are answered with success. */                                   \
  REASON(LRI_REASON_SIGNATURE, 97, "signature") /* wrong, or of another body or time */        \
  REASON(LRI_REASON_HANDSHAKE, 98, "handshake")                                                \
  REASON(LRI_REASON_DROPPED, 99, "dropped") /* every event, by a rule or by the profile */     \
  /* More than an instance takes. */                                                           \
  REASON(LRI_REASON_RATE, 120, "rate")         /* of requests, or at once */                   \
  REASON(LRI_REASON_SLOWDOWN, 121, "slowdown") /* wrong credentials again and again */

#define LRI_REASON_AS_ENUMERATOR(identifier, number, name) identifier = number,
enum lri_reason { LRI_REASONS(LRI_REASON_AS_ENUMERATOR) };
#undef LRI_REASON_AS_ENUMERATOR

/* "body_too_large" and so on; "other" for a number that is not on the list. */
static inline const char* lri_reason_name(int32_t reason) {
#define LRI_REASON_AS_CASE(identifier, number, name) \
  case number:                                       \
    return name;
  switch (reason) {
    LRI_REASONS(LRI_REASON_AS_CASE)
    default:
      return "other";
  }
#undef LRI_REASON_AS_CASE
}

#endif /* PLUGIN_ABI_REASONS_H_ */
