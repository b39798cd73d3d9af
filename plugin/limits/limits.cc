#include "plugin/limits/limits.h"

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace webhook {
namespace {

constexpr int64_t kMiB = 1024 * 1024;
constexpr int64_t kGiB = 1024 * kMiB;
constexpr int64_t kHourMs = 3'600'000;

struct Setting {
  const char* name;
  int64_t Limits::*member;
  int64_t least;
  int64_t most;
  const char* meaning;
};

constexpr Setting kSettings[] = {
    {"request_line_bytes", &Limits::request_line_bytes, 256, kMiB, "414"},
    {"header_section_bytes", &Limits::header_section_bytes, 256, 16 * kMiB,
     "431; the request line does not count"},
    {"header_fields", &Limits::header_fields, 8, 10'000, "431"},
    {"body_bytes", &Limits::body_bytes, 1, 64 * kMiB,
     "413, before the body is read if its length is announced"},
    {"expansion_ratio", &Limits::expansion_ratio, 1, 2'000,
     "413: expanded bytes per compressed byte, counted from `body_bytes` on"},
    {"expanded_body_bytes", &Limits::expanded_body_bytes, 1, 640 * kMiB, "413"},
    {"bytes_in_flight", &Limits::bytes_in_flight, 1, 64 * kGiB,
     "503: bodies, long heads and unread answers of all requests together. The front, the listen "
     "ports of all instances, and gRPC have one such limit each. Over HTTP, requests that fit into "
     "16 KiB are not counted, the three shares below hold, and a single body always fits"},
    {"bytes_in_flight_percent_of_one_address", &Limits::bytes_in_flight_percent_of_one_address, 1,
     100,
     "503: what one address (an IPv6 /64) holds of it. What it does not read of its answers counts "
     "for it alone beyond its share, and all its requests are 503 until it reads. Trusted "
     "proxies have no such share"},
    {"bytes_in_flight_percent_of_one_instance", &Limits::bytes_in_flight_percent_of_one_instance, 1,
     100, "503: what the requests of one instance hold of it"},
    {"bytes_in_flight_percent_for_small_requests",
     &Limits::bytes_in_flight_percent_for_small_requests, 0, 90,
     "503: only requests of at most 64 KiB get this last part"},
    {"head_timeout_ms", &Limits::head_timeout_ms, 1, kHourMs,
     "408: from a head's first byte to its last"},
    {"body_timeout_ms", &Limits::body_timeout_ms, 1, kHourMs,
     "408: from the end of the head to the last byte of the body. gRPC: closes a connection that "
     "sends more than 64 KiB and gives the host nothing to say for so long (or for "
     "`answer_timeout_ms`, if that is more)"},
    {"body_least_bytes_per_second", &Limits::body_least_bytes_per_second, 0, kGiB,
     "408: averaged over the body's time, after 5 s"},
    {"write_timeout_ms", &Limits::write_timeout_ms, 1, kHourMs,
     "closes the connection: a reader that does not take its answer"},
    {"first_byte_timeout_ms", &Limits::first_byte_timeout_ms, 1, kHourMs,
     "closes the connection: it has sent nothing yet, or nothing since its TLS handshake"},
    {"idle_timeout_ms", &Limits::idle_timeout_ms, 1, kHourMs,
     "closes the connection: between two requests"},
    {"drain_request_timeout_ms", &Limits::drain_request_timeout_ms, 1, kHourMs,
     "503, when the host or an instance stops: from then on to the last byte of a request that has "
     "begun to come, or to the end of a TLS handshake (which is closed)"},
    {"tls_handshake_timeout_ms", &Limits::tls_handshake_timeout_ms, 1, kHourMs,
     "closes the connection. gRPC: from its beginning to the first HTTP/2 settings"},
    {"proxy_header_timeout_ms", &Limits::proxy_header_timeout_ms, 1, kHourMs,
     "closes the connection, where `proxy_protocol` is on: from its beginning to the end of its "
     "PROXY header"},
    {"answer_timeout_ms", &Limits::answer_timeout_ms, 1, kHourMs,
     "504: from the end of a request to its answer"},
    {"linger_timeout_ms", &Limits::linger_timeout_ms, 1, kHourMs,
     "closes the connection: time for the peer to read a last answer"},
    {"connections", &Limits::connections, 1, 1'000'000,
     "an idle connection is closed for the new one: first those that have sent no request yet, "
     "then the one that was idle for longest. If none is idle, the new one is answered 503; over "
     "TLS it is closed. The front, each listen port, the gRPC address and the control socket have "
     "one such limit each; gRPC closes the new one"},
    {"connections_from_one_address", &Limits::connections_from_one_address, 1, 1'000'000,
     "the same among the connections of that address. An IPv6 /64 counts as one address; unix "
     "sockets do not count"},
    {"connections_from_one_proxy", &Limits::connections_from_one_proxy, 1, 1'000'000,
     "the same for an address of `trusted_proxies`"},
    {"forwarded_addresses", &Limits::forwarded_addresses, 1, 1'000,
     "the proxy's own address counts, and 403 where `allow` is set: addresses in `X-Forwarded-For` "
     "or `Forwarded`"},
    {"requests_of_a_connection", &Limits::requests_of_a_connection, 1, 1'000'000'000,
     "the connection is closed after so many requests"},
    {"key_updates_of_a_connection", &Limits::key_updates_of_a_connection, 1, 1'000'000,
     "the connection is closed: updates of a TLS 1.3 connection's keys by the sender"},
    {"pipelined_bytes", &Limits::pipelined_bytes, 4'096, 16 * kMiB,
     "reading pauses: bytes read ahead of an unanswered request"},
    {"calls_in_flight", &Limits::calls_in_flight, 1, 1'000'000,
     "503: requests between `execute` and `complete`, of one plugin"},
    {"expanded_bytes_in_flight", &Limits::expanded_bytes_in_flight, 1, 64 * kGiB,
     "503: expanded bodies of all requests together, and what parsing needs of memory for a body "
     "beyond 1 MiB"},
    {"json_depth", &Limits::json_depth, 2, 512, "400: nested arrays and objects"},
    {"incidents_of_a_request", &Limits::incidents_of_a_request, 1, 1'000'000, "413"},
    {"stored_header_bytes", &Limits::stored_header_bytes, 1'024, kGiB,
     "413: request headers times incidents, as they are read. The store keeps the headers of a "
     "request once"},
    {"renamed_members", &Limits::renamed_members, 1, 10'000'000,
     "413: members of a request's details that are called `headers`, `body_headers` or the like, "
     "and have to be renamed or counted"},
    {"name_bytes", &Limits::name_bytes, 64, kMiB,
     "a longer name or type is cut at a character, with a warning"},
    {"samples", &Limits::samples, 1, 100, "the oldest sample goes"},
    {"sample_bytes", &Limits::sample_bytes, 1'024, kMiB, "a longer sample is cut and marked"},
    {"sample_fields", &Limits::sample_fields, 1, 100'000, "the list of fields ends there"},
    {"mapper_targets", &Limits::mapper_targets, 1, 10'000, "a mapper with more targets is refused"},
    {"command_result_bytes", &Limits::command_result_bytes, 64 * 1024, 64 * kMiB,
     "the oldest samples are left out of a list; a longer result of a mapper is refused"},
    {"queued_batches", &Limits::queued_batches, 1, 10'000'000,
     "503: batches that wait for the store's writer"},
    {"queued_bytes", &Limits::queued_bytes, kMiB, 64 * kGiB, "503: the same in bytes"},
    {"incidents_of_a_commit", &Limits::incidents_of_a_commit, 1, 1'000'000,
     "the next commit takes the rest"},
    {"remembered_delivery_keys", &Limits::remembered_delivery_keys, 0, 100'000'000,
     "the oldest key of the instance is forgotten"},
    {"delivery_key_bytes", &Limits::delivery_key_bytes, 64, 64 * 1024,
     "in a longer key the path and the value are replaced by their SHA-256"},
    {"queued_context_calls", &Limits::queued_context_calls, 1, 1'000'000,
     "refused: waiting reads and writes of the instances' contexts"},
    {"queued_context_bytes", &Limits::queued_context_bytes, 1, 64 * kGiB,
     "refused: context values that wait to be written"},
    {"context_value_bytes", &Limits::context_value_bytes, 1, 256 * kMiB,
     "a longer value is refused"},
    {"wal_warning_bytes", &Limits::wal_warning_bytes, kMiB, 1024 * kGiB,
     "a warning in the log and in `instances get`: the database's WAL is longer, because another "
     "process keeps reading an old state of it"},
    {"disk_warning_bytes", &Limits::disk_warning_bytes, 0, 1024 * kGiB,
     "warned of: less is left on the file system of the data folder"},
    {"passwords_of_an_instance", &Limits::passwords_of_an_instance, 1, 1'000,
     "the configuration is refused; each password costs a comparison per request"},
    {"log_lines_per_second", &Limits::log_lines_per_second, 1, 1'000'000,
     "further lines of that severity are counted and left out"},
    {"access_log_buffer_bytes", &Limits::access_log_buffer_bytes, 64 * 1024, kGiB,
     "requests that wait to be written, beyond which they are counted and left out of the access "
     "log"},
    {"audit_entries", &Limits::audit_entries, 1'000, 100'000,
     "the oldest management call in the audit is deleted"},
    {"refusals", &Limits::refusals, 10, 100'000,
     "the oldest of the instance and reason that has most is forgotten"},
    {"stream_calls_in_flight", &Limits::stream_calls_in_flight, 1, 10'000,
     "reading from that gRPC stream pauses"},
    {"grpc_streams_of_a_connection", &Limits::grpc_streams_of_a_connection, 1, 10'000,
     "further calls wait at the client; one that does not wait closes the connection. On the "
     "control socket: 1,024"},
    {"grpc_metadata_bytes", &Limits::grpc_metadata_bytes, 1'024, kMiB,
     "RESOURCE_EXHAUSTED: a call's metadata, which is not the headers of its request"},
    {"grpc_idle_timeout_ms", &Limits::grpc_idle_timeout_ms, 1'000, 24 * kHourMs,
     "closes the connection: without a call"},
    {"grpc_keepalive_ms", &Limits::grpc_keepalive_ms, 1'000, kHourMs,
     "a ping is sent: on a connection that brings nothing"},
    {"grpc_keepalive_timeout_ms", &Limits::grpc_keepalive_timeout_ms, 1'000, kHourMs,
     "closes the connection: from a ping to its answer"},
    {"grpc_least_ping_ms", &Limits::grpc_least_ping_ms, 1, kHourMs,
     "closes the connection: a client pings more often, for the third time since the host last "
     "sent something of a call"},
    {"grpc_age_ms", &Limits::grpc_age_ms, 1'000, 24 * kHourMs,
     "ends the stream as UNAVAILABLE when what was read is answered, and asks the client to "
     "connect anew. Not on the control socket"},
    {"memory_soft_limit", &Limits::memory_soft_limit, 64 * kMiB, 1024 * kGiB,
     "the connections of the gRPC address are closed as long as the process has more resident "
     "memory"},
};

}  // namespace

absl::Status SetLimit(absl::string_view name, absl::string_view value, Limits& limits) {
  for (const Setting& setting : kSettings) {
    if (name != setting.name) continue;
    int64_t number = 0;
    // SimpleAtoi also takes blanks and a plus sign.
    const bool is_plain = !value.empty() && (absl::ascii_isdigit(value[0]) || value[0] == '-') &&
                          absl::ascii_isdigit(value.back());
    if (!is_plain || !absl::SimpleAtoi(value, &number) || number < setting.least ||
        number > setting.most) {
      return absl::InvalidArgumentError(absl::StrCat(setting.name, " must be a whole number from ",
                                                     setting.least, " to ", setting.most));
    }
    limits.*setting.member = number;
    return absl::OkStatus();
  }
  constexpr size_t kShownBytes = 80;
  return absl::InvalidArgumentError(
      absl::StrCat("unknown limit \"", absl::CHexEscape(name.substr(0, kShownBytes)), "\""));
}

std::vector<LimitDescription> DescribeLimits() {
  const Limits defaults;
  std::vector<LimitDescription> limits;
  for (const Setting& setting : kSettings) {
    limits.push_back({setting.name, defaults.*setting.member, setting.least, setting.most,
                      setting.meaning, setting.member});
  }
  return limits;
}

}  // namespace webhook
