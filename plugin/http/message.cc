#include "plugin/http/message.h"

#include "absl/strings/match.h"

namespace webhook::http {

const HeaderField* RequestHead::Find(absl::string_view name) const {
  for (const HeaderField& field : fields) {
    if (absl::EqualsIgnoreCase(field.name, name)) return &field;
  }
  return nullptr;
}

}  // namespace webhook::http
