#include "plugin/core/answer.h"

#include "plugin/core/json_text.h"

namespace webhook::core {
namespace {

// More than the keys, quotes and brackets of one incident, or of one warning.
constexpr size_t kFrameBytes = 192;

char* Write(absl::string_view text, char* at) { return TextBuffer::Write(text, at); }

// `before` is the key with the opening quote.
char* WriteMember(absl::string_view before, absl::string_view value, char* at) {
  at = WriteJsonEscaped(value, Write(before, at));
  *at++ = '"';
  return at;
}

}  // namespace

AnswerWriter::AnswerWriter(TextBuffer* out, absl::string_view source_brand,
                           absl::string_view source_instance)
    : out_(out), source_brand_(source_brand), source_instance_(source_instance) {
  out_->Append("[");
}

void AnswerWriter::Add(const IncidentMetadata& incident) {
  const size_t bytes = incident.id.size() + incident.name.size() + incident.type.size() +
                       incident.occurred.size() + incident.created.size() + source_brand_.size() +
                       source_instance_.size();
  char* at = out_->Room(kFrameBytes + MostEscapedBytes(bytes));
  if (source_bytes_ != 0) *at++ = ',';
  at = WriteMember("{\"id\":\"", incident.id, at);
  at = WriteMember(",\"name\":\"", incident.name, at);
  at = WriteMember(",\"type\":\"", incident.type, at);
  at = WriteMember(",\"occurred\":\"", incident.occurred, at);
  at = WriteMember(",\"created\":\"", incident.created, at);
  at = WriteSource(at);
  if (incident.duplicate) at = Write(",\"duplicate\":true", at);
  if (!incident.warnings.empty()) {
    absl::string_view before = ",\"warnings\":[\"";
    for (const absl::string_view warning : incident.warnings) {
      out_->EndAt(at);
      at = out_->Room(kFrameBytes + MostEscapedBytes(warning.size()));
      at = WriteMember(before, warning, at);
      before = ",\"";
    }
    *at++ = ']';
  }
  *at++ = '}';
  out_->EndAt(at);
}

char* AnswerWriter::WriteSource(char* at) {
  if (source_bytes_ != 0) return Write(out_->text().substr(source_begin_, source_bytes_), at);
  char* const begin = at;
  at = WriteMember(",\"sourceBrand\":\"", source_brand_, at);
  at = WriteMember(",\"sourceInstance\":\"", source_instance_, at);
  source_begin_ = static_cast<size_t>(begin - out_->text().data());
  source_bytes_ = static_cast<size_t>(at - begin);
  return at;
}

void AnswerWriter::Finish() { out_->Append("]"); }

}  // namespace webhook::core
