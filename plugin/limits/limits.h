// Every limit of the product: its default, its range and the name it is set by.
//
// A member of this struct bounds everything that comes from outside; no other file has such a
// number. A value is set by its member's name, in the `limits` object of the host's
// configuration file or by an engine through the ABI's plugin options.
#ifndef PLUGIN_LIMITS_LIMITS_H_
#define PLUGIN_LIMITS_LIMITS_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace webhook {

struct Limits {
  // HTTP heads. RFC 9112 section 3 asks for request lines of 8,000 octets at least.
  int64_t request_line_bytes = 16 * 1024;    // 414 when passed
  int64_t header_section_bytes = 64 * 1024;  // 431; request line not counted
  int64_t header_fields = 256;               // 431

  // Bodies.
  int64_t body_bytes = 8 * 1024 * 1024;  // 413, before the body is read where it is announced
  int64_t expansion_ratio = 100;         // expanded bytes per compressed byte; 413
  int64_t expanded_body_bytes = 16 * 1024 * 1024;  // 413
  // Bodies, long heads and unread answers of all requests together; 503. The front, the listen
  // ports of all instances, and gRPC have one each. Over HTTP, what fits into a connection's 16 KiB
  // is not counted, and these shares of it hold: of an address, of an instance, and kept for
  // requests of at most 64 KiB. A single body always fits.
  int64_t bytes_in_flight = 64 * 1024 * 1024;
  int64_t bytes_in_flight_percent_of_one_address = 25;
  int64_t bytes_in_flight_percent_of_one_instance = 50;
  int64_t bytes_in_flight_percent_for_small_requests = 10;

  // Time, in milliseconds.
  int64_t head_timeout_ms = 10'000;           // from a head's first byte to its last; 408
  int64_t body_timeout_ms = 30'000;           // from a head's end to the body's last byte; 408
  int64_t body_least_bytes_per_second = 500;  // averaged over the body's time, after 5 s; 408
  int64_t write_timeout_ms = 30'000;          // closes
  int64_t first_byte_timeout_ms = 5'000;      // of a connection, until its first request; closes
  int64_t idle_timeout_ms = 75'000;           // between requests; closes
  int64_t drain_request_timeout_ms = 1'500;   // while stopping, for the rest of a request; 503
  int64_t tls_handshake_timeout_ms = 10'000;  // closes
  int64_t proxy_header_timeout_ms = 5'000;    // of a connection, to the end of its PROXY header
  int64_t answer_timeout_ms = 10'000;         // from a request's end to its answer; 504
  int64_t linger_timeout_ms = 2'000;          // for the peer to read a last answer; closes

  // Connections.
  // Of these, when they are passed, an idle connection gives way, else the new one is refused.
  int64_t connections = 1'024;
  int64_t connections_from_one_address = 64;  // all of an IPv6 /64 are one address; unix sockets do
                                              // not count
  int64_t connections_from_one_proxy = 512;   // the same for an address of trusted_proxies
  int64_t forwarded_addresses = 32;  // in X-Forwarded-For or Forwarded; more are not believed
  int64_t requests_of_a_connection = 1'000;  // then the connection is closed
  int64_t key_updates_of_a_connection = 32;  // of TLS 1.3; then the connection is closed
  int64_t pipelined_bytes = 64 * 1024;       // read ahead of an unanswered request

  // Requests between execute and complete, of one plugin.
  int64_t calls_in_flight = 16'384;  // 503

  // Bodies that were expanded, of all requests together, until they are answered; and what parsing
  // large bodies needs beside them.
  int64_t expanded_bytes_in_flight = 128 * 1024 * 1024;  // 503

  // Payloads.
  int64_t json_depth = 128;                        // nested arrays and objects; 400
  int64_t incidents_of_a_request = 10'000;         // 413
  int64_t stored_header_bytes = 64 * 1024 * 1024;  // request headers times incidents, as read; 413
  int64_t renamed_members = 40'000;                // of a request, with names of ours; 413
  int64_t name_bytes = 4 * 1024;                   // longer names are cut at a character

  // Samples of an instance, and the commands that read them.
  int64_t samples = 20;
  int64_t sample_bytes = 256 * 1024;               // longer ones are cut and marked
  int64_t sample_fields = 5'000;                   // paths in a list of fields; then it ends
  int64_t mapper_targets = 500;                    // more are refused
  int64_t command_result_bytes = 8 * 1024 * 1024;  // refused when passed

  // The store.
  int64_t queued_batches = 16'384;           // waiting for the writer; 503
  int64_t queued_bytes = 256 * 1024 * 1024;  // the same in bytes; 503
  int64_t incidents_of_a_commit = 4'096;
  int64_t remembered_delivery_keys = 5'000;  // of each instance
  int64_t delivery_key_bytes = 1'024;        // a longer key becomes a hash
  int64_t queued_context_calls = 4'096;      // reads and writes of instances' contexts that wait
  int64_t queued_context_bytes = 64 * 1024 * 1024;  // values that wait to be written
  int64_t context_value_bytes = 8 * 1024 * 1024;    // a longer value is refused
  int64_t wal_warning_bytes = 128 * 1024 * 1024;    // a longer WAL is warned of
  int64_t disk_warning_bytes = 1024 * 1024 * 1024;  // less left on its disk is warned of

  // Secrets that an instance takes at once; each costs a comparison for every request.
  int64_t passwords_of_an_instance = 32;

  // The log. More lines of one severity are counted and left out.
  int64_t log_lines_per_second = 200;

  // The access log's requests that wait to be written; some 200 bytes each.
  int64_t access_log_buffer_bytes = 1024 * 1024;

  // Management calls that the store keeps.
  int64_t audit_entries = 100'000;

  // Refused requests and connections that are kept in memory; some 1 to 4 KiB each.
  int64_t refusals = 1'000;

  // gRPC.
  int64_t stream_calls_in_flight = 32;         // of one stream; then reading pauses
  int64_t grpc_streams_of_a_connection = 64;   // further ones wait at the client
  int64_t grpc_metadata_bytes = 8 * 1024;      // of one call; RESOURCE_EXHAUSTED
  int64_t grpc_idle_timeout_ms = 300'000;      // a connection without a call; closes
  int64_t grpc_keepalive_ms = 20'000;          // between pings to a connection
  int64_t grpc_keepalive_timeout_ms = 10'000;  // for a ping's answer; closes
  int64_t grpc_least_ping_ms = 10'000;  // between a client's pings; the third early one closes
  int64_t grpc_age_ms = 3'600'000;      // of connections and streams; not of the control socket

  // Resident memory of the host's process. While it has more, it closes gRPC's connections.
  int64_t memory_soft_limit = 1024 * 1024 * 1024;
};

// Sets the limit of that name to a whole number written in decimal. An unknown name, a text that
// is no number, or a value out of range is INVALID_ARGUMENT with the name and the range.
absl::Status SetLimit(absl::string_view name, absl::string_view value, Limits& limits);

struct LimitDescription {
  absl::string_view name;  // the unit is its ending: _bytes, _ms; a count if there is none
  int64_t default_value;
  int64_t least;
  int64_t most;
  absl::string_view meaning;  // what happens beyond it
  int64_t Limits::*member;
};

// All limits.
std::vector<LimitDescription> DescribeLimits();

}  // namespace webhook

#endif  // PLUGIN_LIMITS_LIMITS_H_
