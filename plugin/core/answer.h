// The answer to a request whose incidents were created.
#ifndef PLUGIN_CORE_ANSWER_H_
#define PLUGIN_CORE_ANSWER_H_

#include <cstddef>
#include <span>

#include "absl/strings/string_view.h"
#include "plugin/core/text_buffer.h"

namespace webhook::core {

// What the sender learns of one incident. Texts are UTF-8.
struct IncidentMetadata {
  absl::string_view id;
  absl::string_view name;
  absl::string_view type;
  absl::string_view occurred;
  absl::string_view created;  // RFC 3339, UTC
  bool duplicate = false;     // then the other members are those of the first of its kind
  std::span<const absl::string_view> warnings;
};

// Appends a compact JSON array with one object for each incident, in the order of Add:
//   [{"id":"1","name":"a","type":"Phishing","occurred":"2024-05-01T10:00:00Z",
//     "created":"...","sourceBrand":"Generic Webhook","sourceInstance":"webhook"}]
// and, only where there are any, "duplicate":true and "warnings":["..."]. Without any Add: [].
// `out` and both source texts must outlive the writer. Not thread-safe.
class AnswerWriter {
 public:
  AnswerWriter(TextBuffer* out, absl::string_view source_brand, absl::string_view source_instance);

  void Add(const IncidentMetadata& incident);
  void Finish();

 private:
  char* WriteSource(char* at);

  TextBuffer* out_;
  absl::string_view source_brand_;
  absl::string_view source_instance_;
  // Where the members of the source were written first, for they are the same for each incident.
  size_t source_begin_ = 0;
  size_t source_bytes_ = 0;
};

}  // namespace webhook::core

#endif  // PLUGIN_CORE_ANSWER_H_
