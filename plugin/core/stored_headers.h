// The request headers as they are stored in incidents.
#ifndef PLUGIN_CORE_STORED_HEADERS_H_
#define PLUGIN_CORE_STORED_HEADERS_H_

#include <cstdint>
#include <span>
#include <vector>

#include "absl/strings/string_view.h"
#include "plugin/core/header_view.h"
#include "plugin/core/text_buffer.h"

namespace webhook::core {

// Keeps its buffers from request to request. Not thread-safe.
class StoredHeaders {
 public:
  // Appends `{"host":"example.com",...}`: names in lower case in the order in which each was seen
  // first, values of the same name joined by ", " (RFC 9110 section 5.2). Secrets are left out:
  // `secret_header`, given in lower case, and what IsWithheldHeader names. Valid JSON whatever the
  // headers hold.
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
