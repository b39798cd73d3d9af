// The parameter `passwords`: several secrets that are valid at once, each with its end.
#ifndef PLUGIN_RUNTIME_SECRETS_H_
#define PLUGIN_RUNTIME_SECRETS_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace webhook::runtime {

// Owns a secret's text, and wipes it.
class ExpiringPassword {
 public:
  ExpiringPassword(absl::string_view text, absl::Time expires) : text_(text), expires_(expires) {}
  ~ExpiringPassword();
  ExpiringPassword(ExpiringPassword&&) noexcept = default;
  ExpiringPassword& operator=(ExpiringPassword&&) = delete;

  absl::string_view text() const { return text_; }
  absl::Time expires() const { return expires_; }  // InfiniteFuture: never

 private:
  std::string text_;
  const absl::Time expires_;
};

// Reads JSON text such as
//   [{"password": "new"}, {"password": "old", "expires": "2024-06-01T00:00:00Z"}]
// An empty text is an empty list. INVALID_ARGUMENT begins with `passwords` and names the entry,
// counted from 0, never quoting it.
absl::StatusOr<std::vector<ExpiringPassword>> ReadPasswords(absl::string_view json, size_t most);

}  // namespace webhook::runtime

#endif  // PLUGIN_RUNTIME_SECRETS_H_
