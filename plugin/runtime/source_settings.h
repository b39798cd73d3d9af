// What an instance is configured with about its source: the sender, its secrets, its rules.
#ifndef PLUGIN_RUNTIME_SOURCE_SETTINGS_H_
#define PLUGIN_RUNTIME_SOURCE_SETTINGS_H_

#include <map>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "plugin/core/credentials.h"
#include "plugin/sources/evaluate.h"

namespace webhook::runtime {

// The parameters' values by their names, all of them; empty where none was given.
using Given = std::map<absl::string_view, absl::string_view>;

// Null for `generic`, the documented webhook. INVALID_ARGUMENT names the parameter and the rule; no
// message quotes a secret. A source that could not tell an authentic request from another one is
// refused, unless `unauthenticated` is true.
absl::StatusOr<std::shared_ptr<const sources::Source>> ReadSource(
    const Given& given, const core::Credentials& credentials, absl::Time now);

}  // namespace webhook::runtime

#endif  // PLUGIN_RUNTIME_SOURCE_SETTINGS_H_
