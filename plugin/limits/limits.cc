#include "plugin/limits/limits.h"

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
};

constexpr Setting kSettings[] = {
    {"request_line_bytes", &Limits::request_line_bytes, 256, kMiB},
    {"header_section_bytes", &Limits::header_section_bytes, 256, 16 * kMiB},
    {"header_fields", &Limits::header_fields, 8, 10'000},
    {"body_bytes", &Limits::body_bytes, 1, 64 * kMiB},
    {"expansion_ratio", &Limits::expansion_ratio, 1, 2'000},
    {"expanded_body_bytes", &Limits::expanded_body_bytes, 1, 640 * kMiB},
    {"bytes_in_flight", &Limits::bytes_in_flight, 1, 64 * kGiB},
    {"head_timeout_ms", &Limits::head_timeout_ms, 1, kHourMs},
    {"body_timeout_ms", &Limits::body_timeout_ms, 1, kHourMs},
    {"body_least_bytes_per_second", &Limits::body_least_bytes_per_second, 0, kGiB},
    {"write_timeout_ms", &Limits::write_timeout_ms, 1, kHourMs},
    {"idle_timeout_ms", &Limits::idle_timeout_ms, 1, kHourMs},
    {"tls_handshake_timeout_ms", &Limits::tls_handshake_timeout_ms, 1, kHourMs},
    {"answer_timeout_ms", &Limits::answer_timeout_ms, 1, kHourMs},
    {"linger_timeout_ms", &Limits::linger_timeout_ms, 1, kHourMs},
    {"connections", &Limits::connections, 1, 1'000'000},
    {"connections_from_one_address", &Limits::connections_from_one_address, 1, 1'000'000},
    {"requests_of_a_connection", &Limits::requests_of_a_connection, 1, 1'000'000'000},
    {"pipelined_bytes", &Limits::pipelined_bytes, 4'096, 16 * kMiB},
    {"calls_in_flight", &Limits::calls_in_flight, 1, 1'000'000},
    {"expanded_bytes_in_flight", &Limits::expanded_bytes_in_flight, 1, 64 * kGiB},
    {"json_depth", &Limits::json_depth, 2, 512},
    {"incidents_of_a_request", &Limits::incidents_of_a_request, 1, 1'000'000},
    {"stored_header_bytes", &Limits::stored_header_bytes, 1'024, kGiB},
    {"name_bytes", &Limits::name_bytes, 64, kMiB},
    {"samples", &Limits::samples, 1, 100},
    {"sample_bytes", &Limits::sample_bytes, 1'024, kMiB},
    {"sample_fields", &Limits::sample_fields, 1, 100'000},
    {"mapper_targets", &Limits::mapper_targets, 1, 10'000},
    {"command_result_bytes", &Limits::command_result_bytes, 64 * 1024, 64 * kMiB},
    {"queued_batches", &Limits::queued_batches, 1, 10'000'000},
    {"queued_bytes", &Limits::queued_bytes, kMiB, 64 * kGiB},
    {"incidents_of_a_commit", &Limits::incidents_of_a_commit, 1, 1'000'000},
    {"remembered_delivery_keys", &Limits::remembered_delivery_keys, 0, 100'000'000},
    {"delivery_key_bytes", &Limits::delivery_key_bytes, 64, 64 * 1024},
    {"queued_context_calls", &Limits::queued_context_calls, 1, 1'000'000},
    {"queued_context_bytes", &Limits::queued_context_bytes, 1, 64 * kGiB},
    {"context_value_bytes", &Limits::context_value_bytes, 1, 256 * kMiB},
    {"passwords_of_an_instance", &Limits::passwords_of_an_instance, 1, 1'000},
    {"log_lines_per_second", &Limits::log_lines_per_second, 1, 1'000'000},
    {"stream_calls_in_flight", &Limits::stream_calls_in_flight, 1, 10'000},
};

}  // namespace

absl::Status SetLimit(absl::string_view name, absl::string_view value, Limits& limits) {
  for (const Setting& setting : kSettings) {
    if (name != setting.name) continue;
    int64_t number = 0;
    if (!absl::SimpleAtoi(value, &number) || number < setting.least || number > setting.most) {
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

std::vector<absl::string_view> LimitNames() {
  std::vector<absl::string_view> names;
  for (const Setting& setting : kSettings) names.push_back(setting.name);
  return names;
}

}  // namespace webhook
