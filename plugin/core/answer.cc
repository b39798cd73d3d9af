#include "plugin/core/answer.h"

#include <utility>

#include "plugin/base/json_text.h"

namespace webhook::core {
namespace {

// More bytes than the keys, quotes and brackets of one incident, or of one warning, take.
constexpr size_t kFrameBytes = 192;

char* Write(absl::string_view text, char* at) { return TextBuffer::Write(text, at); }

// `before` is the key with the opening quote.
char* WriteMember(absl::string_view before, absl::string_view value, char* at) {
  at = base::WriteJsonEscaped(value, Write(before, at));
  *at++ = '"';
  return at;
}

char* WriteSeverity(double severity, char* at) {
  constexpr std::pair<double, absl::string_view> kTexts[] = {
      {0.5, "0.5"}, {1, "1"}, {2, "2"}, {3, "3"}, {4, "4"}};
  for (const auto& [value, text] : kTexts) {
    if (severity == value) return Write(text, Write(",\"severity\":", at));
  }
  return at;
}

bool IsSamePlace(absl::string_view one, absl::string_view other) {
  return one.data() == other.data() && one.size() == other.size();
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
  char* at = out_->Room(kFrameBytes + base::MostEscapedBytes(bytes));
  if (out_->text().back() == '}') *at++ = ',';
  at = WriteMember("{\"id\":\"", incident.id, at);
  if (!incident.only_id) {
    at = WriteMember(",\"name\":\"", incident.name, at);
    at = WriteMember(",\"type\":\"", incident.type, at);
    at = WriteTail(incident, at);
    if (incident.severity != 0) at = WriteSeverity(incident.severity, at);
  }
  if (incident.duplicate) at = Write(",\"duplicate\":true", at);
  if (!incident.warnings.empty()) {
    absl::string_view before = ",\"warnings\":[\"";
    for (const absl::string_view warning : incident.warnings) {
      out_->EndAt(at);
      at = out_->Room(kFrameBytes + base::MostEscapedBytes(warning.size()));
      at = WriteMember(before, warning, at);
      before = ",\"";
    }
    *at++ = ']';
  }
  *at++ = '}';
  out_->EndAt(at);
}

char* AnswerWriter::WriteTail(const IncidentMetadata& incident, char* at) {
  if (tail_.bytes != 0 && IsSamePlace(incident.occurred, tail_.occurred) &&
      IsSamePlace(incident.created, tail_.created)) {
    return Write(out_->text().substr(tail_.begin, tail_.bytes), at);
  }
  char* const begin = at;
  at = WriteMember(",\"occurred\":\"", incident.occurred, at);
  at = WriteMember(",\"created\":\"", incident.created, at);
  at = WriteMember(",\"sourceBrand\":\"", source_brand_, at);
  at = WriteMember(",\"sourceInstance\":\"", source_instance_, at);
  tail_ = {incident.occurred, incident.created, static_cast<size_t>(begin - out_->text().data()),
           static_cast<size_t>(at - begin)};
  return at;
}

void AnswerWriter::Finish() { out_->Append("]"); }

}  // namespace webhook::core
