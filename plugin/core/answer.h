// The answer to a request whose incidents were created.
#ifndef PLUGIN_CORE_ANSWER_H_
#define PLUGIN_CORE_ANSWER_H_

#include <cstddef>
#include <span>

#include "absl/strings/string_view.h"
#include "plugin/core/text_memory.h"

namespace webhook::core {

// What the answer tells about one incident. Texts are UTF-8.
struct IncidentMetadata {
  absl::string_view id;
  absl::string_view name;
  absl::string_view type;
  absl::string_view occurred;
  absl::string_view created;  // RFC 3339, UTC
  bool duplicate = false;     // then the other members describe the first incident with its key
  std::span<const absl::string_view> warnings;
  bool only_id = false;  // of a duplicate: its name, type, times and severity are not written
  double severity = 0;   // 0.5, 1, 2, 3 or 4; any other value is unknown, and not written
};

// Appends a compact JSON array with one object for each incident, in the order of Add:
//   [{"id":"1","name":"a","type":"Phishing","occurred":"2024-05-01T10:00:00Z",
//     "created":"...","sourceBrand":"Generic Webhook","sourceInstance":"webhook"}]
// and, where they apply, "severity":3, "duplicate":true and "warnings":["..."]. Without any Add:
// []. With only_id an object is {"id":"1","duplicate":true}, and has its warnings.
// `out`, both source texts and those of the incidents must outlive the writer. Not thread-safe.
class AnswerWriter {
 public:
  AnswerWriter(TextBuffer* out, absl::string_view source_brand, absl::string_view source_instance);

  void Add(const IncidentMetadata& incident);
  void Finish();

 private:
  // The members of an incident after its type, which are the same for most incidents of a batch.
  struct Tail {
    absl::string_view occurred;
    absl::string_view created;
    size_t begin = 0;  // where they were last written
    size_t bytes = 0;  // 0: not written yet
  };

  char* WriteTail(const IncidentMetadata& incident, char* at);

  TextBuffer* out_;
  absl::string_view source_brand_;
  absl::string_view source_instance_;
  Tail tail_;
};

}  // namespace webhook::core

#endif  // PLUGIN_CORE_ANSWER_H_
