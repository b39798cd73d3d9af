// How the databases keep what a store keeps: the same columns, in the same order, and lists as
// lines.
//
// A Row has Integer(column), Real(column) and Text(column), counted from 0.
#ifndef HOST_STUB_STORE_ROWS_H_
#define HOST_STUB_STORE_ROWS_H_

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "host_stub/store/store.h"

namespace host_stub {

// Each line and a line break; one within a line becomes a blank. In `buffer`.
template <typename Lines>
absl::string_view AsLines(const Lines& lines, std::string& buffer) {
  buffer.clear();
  for (const absl::string_view line : lines) {
    const size_t start = buffer.size();
    buffer.append(line.data(), line.size());
    std::replace(buffer.begin() + static_cast<std::ptrdiff_t>(start), buffer.end(), '\n', ' ');
    buffer.push_back('\n');
  }
  return buffer;
}

inline std::vector<std::string> ReadLines(absl::string_view text) {
  if (text.empty()) return {};
  return absl::StrSplit(text.substr(0, text.size() - 1), '\n');
}

// Id; uid, name and brand of the instance; name, type, occurred, created, details, warnings, the
// end of the details, severity, address and query of the request.
template <typename Row>
StoredIncident ReadIncident(const Row& row) {
  StoredIncident incident;
  incident.id = row.Integer(0);
  incident.instance_uid = std::string(row.Text(1));
  incident.instance_name = std::string(row.Text(2));
  incident.source_brand = std::string(row.Text(3));
  incident.name = std::string(row.Text(4));
  incident.type = std::string(row.Text(5));
  incident.occurred = std::string(row.Text(6));
  incident.created = absl::FromUnixMicros(row.Integer(7));
  incident.details = absl::StrCat(row.Text(8), row.Text(10));
  incident.warnings = ReadLines(row.Text(9));
  incident.severity = row.Real(11);
  incident.request_address = std::string(row.Text(12));
  incident.request_query = std::string(row.Text(13));
  return incident;
}

// Created, name, type, occurred, severity.
template <typename Row>
void ReadFirstIncident(const Row& row, CreatedIncident& duplicate) {
  duplicate.created = absl::FromUnixMicros(row.Integer(0));
  *duplicate.first = {std::string(row.Text(1)), std::string(row.Text(2)), std::string(row.Text(3)),
                      row.Real(4)};
}

// Uid, name, configuration, disabled, on_engine, generation, request_id, created, changed.
template <typename Row>
StoredInstance ReadInstance(const Row& row) {
  StoredInstance instance;
  instance.uid = std::string(row.Text(0));
  instance.name = std::string(row.Text(1));
  instance.configuration = std::string(row.Text(2));
  instance.disabled = row.Integer(3) != 0;
  instance.on_engine = row.Integer(4) != 0;
  instance.generation = row.Integer(5);
  instance.request_id = std::string(row.Text(6));
  instance.created = absl::FromUnixMicros(row.Integer(7));
  instance.changed = absl::FromUnixMicros(row.Integer(8));
  return instance;
}

// Number, time, who, what, instance, outcome, parameters.
template <typename Row>
AuditEntry ReadAuditEntry(const Row& row) {
  AuditEntry entry;
  entry.number = row.Integer(0);
  entry.time = absl::FromUnixMicros(row.Integer(1));
  entry.who = std::string(row.Text(2));
  entry.what = std::string(row.Text(3));
  entry.instance = std::string(row.Text(4));
  entry.outcome = std::string(row.Text(5));
  entry.parameters = ReadLines(row.Text(6));
  return entry;
}

}  // namespace host_stub

#endif  // HOST_STUB_STORE_ROWS_H_
