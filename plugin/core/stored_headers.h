// The request headers as they are stored in incidents.
#ifndef PLUGIN_CORE_STORED_HEADERS_H_
#define PLUGIN_CORE_STORED_HEADERS_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "plugin/core/header_view.h"
#include "plugin/core/text_memory.h"

namespace webhook::core {

// The headers of an instance that look like secrets and are stored all the same; in lower case.
using KeptHeaders = std::vector<std::string>;

// Whether a header carries a secret and is therefore never stored, by its name (base::LooksSecret).
// `name` is in lower case. The instance's own credential header is not known here.
bool IsWithheldHeader(absl::string_view name, const KeptHeaders& kept = {});

// Reads the parameter kept_headers, a comma list of names. INVALID_ARGUMENT, with the parameter's
// name in front: a name is malformed, is that of the credential header (in lower case), or is one
// that is nothing but a secret, such as authorization or cookie.
absl::StatusOr<KeptHeaders> ReadKeptHeaders(absl::string_view parameter,
                                            absl::string_view secret_header);

// Keeps its buffers from request to request. Not thread-safe.
class StoredHeaders {
 public:
  // Appends `{"host":"example.com",...}`: names in lower case, in the order in which they were
  // first seen; values of the same name are joined by ", " (RFC 9110 section 5.2). Leaves out
  // `secret_header` and `secret_headers`, given in lower case (in one that ends in #, that stands
  // for a number), and the headers of IsWithheldHeader. The result is valid JSON whatever the
  // headers contain.
  void Append(std::span<const HeaderView> headers, absl::string_view secret_header,
              std::span<const std::string> secret_headers, const KeptHeaders& kept,
              TextBuffer* out);

  // Whether any of those that were appended last is not ASCII.
  bool beyond_ascii() const { return beyond_ascii_; }

 private:
  struct Entry {
    absl::string_view name;  // lower case
    absl::string_view value;
    uint32_t next;  // the next of the same name
    bool first;     // of its name
  };

  // False if no two entries can have the same name.
  bool Collect(std::span<const HeaderView> headers, absl::string_view secret_header,
               std::span<const std::string> secret_headers, const KeptHeaders& kept);
  void ChainSameNames();

  std::vector<char> names_;
  std::vector<Entry> entries_;
  std::vector<uint32_t> by_name_;
  bool beyond_ascii_ = false;
};

}  // namespace webhook::core

#endif  // PLUGIN_CORE_STORED_HEADERS_H_
