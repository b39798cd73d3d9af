// The secrets of a configuration that are lists. Every copy that is made while they are read is
// wiped.
//
// INVALID_ARGUMENT begins with the parameter's name and names the entry, counted from 0. It never
// quotes anything.
#ifndef PLUGIN_RUNTIME_SECRETS_H_
#define PLUGIN_RUNTIME_SECRETS_H_

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "plugin/core/credentials.h"

namespace webhook::runtime {

using Secrets = std::vector<core::Secret>;

// The parameter passwords:
//   [{"password": "new"}, {"password": "old", "expires": "2024-06-01T00:00:00Z"}]
// An empty text is an empty list.
absl::StatusOr<Secrets> ReadPasswords(absl::string_view json, size_t most);

// The parameter signing_secrets: one secret as it stands, or
//   ["new", {"secret": "old", "expires": "2024-06-01T00:00:00Z"}]
absl::StatusOr<Secrets> ReadSigningSecrets(absl::string_view given);

// The parameter named_secrets: an object from a name to one such entry, or to a list of them.
absl::StatusOr<std::map<std::string, Secrets>> ReadNamedSecrets(absl::string_view json);

}  // namespace webhook::runtime

#endif  // PLUGIN_RUNTIME_SECRETS_H_
