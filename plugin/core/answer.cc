#include "plugin/core/answer.h"

#include "plugin/core/json_text.h"

namespace webhook::core {
namespace {

void AppendMember(std::string* out, const char* key, absl::string_view value) {
  out->append(key);
  AppendJsonString(out, value);
}

}  // namespace

AnswerWriter::AnswerWriter(std::string* out, absl::string_view source_brand,
                           absl::string_view source_instance)
    : out_(out), source_brand_(source_brand), source_instance_(source_instance) {
  out_->push_back('[');
}

void AnswerWriter::Add(const IncidentMetadata& incident) {
  if (!first_) out_->push_back(',');
  first_ = false;
  AppendMember(out_, "{\"id\":", incident.id);
  AppendMember(out_, ",\"name\":", incident.name);
  AppendMember(out_, ",\"type\":", incident.type);
  AppendMember(out_, ",\"occurred\":", incident.occurred);
  AppendMember(out_, ",\"created\":", incident.created);
  AppendMember(out_, ",\"sourceBrand\":", source_brand_);
  AppendMember(out_, ",\"sourceInstance\":", source_instance_);
  if (incident.duplicate) out_->append(",\"duplicate\":true");
  if (!incident.warnings.empty()) {
    const char* before = ",\"warnings\":[";
    for (const absl::string_view warning : incident.warnings) {
      AppendMember(out_, before, warning);
      before = ",";
    }
    out_->push_back(']');
  }
  out_->push_back('}');
}

void AnswerWriter::Finish() { out_->push_back(']'); }

}  // namespace webhook::core
