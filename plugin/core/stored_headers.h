// The request headers as they are stored in incidents.
#ifndef PLUGIN_CORE_STORED_HEADERS_H_
#define PLUGIN_CORE_STORED_HEADERS_H_

#include <cstdint>
#include <span>
#include <vector>

#include "absl/strings/string_view.h"
#include "plugin/core/header_view.h"
#include "plugin/core/text_memory.h"

namespace webhook::core {

// Whether a header carries a secret and is therefore never stored. `name` is in lower case. The
// instance's own credential header is not known here.
bool IsWithheldHeader(absl::string_view name);

// Keeps its buffers from request to request. Not thread-safe.
class StoredHeaders {
 public:
  // Appends `{"host":"example.com",...}`: names in lower case, in the order in which they were
  // first seen; values of the same name are joined by ", " (RFC 9110 section 5.2). Leaves out
  // `secret_header`, given in lower case, and the headers of IsWithheldHeader. The result is valid
  // JSON whatever the headers contain.
  void Append(std::span<const HeaderView> headers, absl::string_view secret_header,
              TextBuffer* out);

 private:
  struct Entry {
    absl::string_view name;  // lower case
    absl::string_view value;
    uint32_t next;  // the next of the same name
    bool first;     // of its name
  };

  // False if no two entries can have the same name.
  bool Collect(std::span<const HeaderView> headers, absl::string_view secret_header);
  void ChainSameNames();

  std::vector<char> names_;
  std::vector<Entry> entries_;
  std::vector<uint32_t> by_name_;
};

}  // namespace webhook::core

#endif  // PLUGIN_CORE_STORED_HEADERS_H_
