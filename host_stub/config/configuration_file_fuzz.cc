// Takes any bytes as the configuration file. It is refused in one line that names the file; or it
// is JSON, and its names and ports are unique.
#include <cstdint>
#include <set>
#include <string>

#include "absl/strings/match.h"
#include "host_stub/config/configuration.h"
#include "plugin/base/characters.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/strict_json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using webhook::fuzz::Require;
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  const auto configuration = host_stub::ParseConfiguration(text, "host.json", "/nonexistent");
  const absl::string_view json = text.substr(text.substr(0, 3) == "\xEF\xBB\xBF" ? 3 : 0);
  if (!configuration.ok()) {
    const absl::string_view message = configuration.status().message();
    Require(absl::IsInvalidArgument(configuration.status()));
    Require(webhook::fuzz::IsMessage(message) && absl::StartsWith(message, "host.json: "));
    // A message about JSON names a place.
    if (absl::StrContains(message, "not valid JSON") && !webhook::fuzz::MayBeJson(json)) {
      Require(absl::StrContains(message, "line ") && absl::StrContains(message, ", column "));
    }
    return 0;
  }
  Require(webhook::fuzz::MayBeJson(json));
  std::set<std::string> names;
  for (const host_stub::InstanceConfiguration& instance : configuration->instances) {
    Require(base::IsName(instance.name) && names.insert(instance.name).second);
    std::set<std::string> parameters;
    for (const auto& [name, value] : instance.parameters) {
      Require(parameters.insert(name).second);
    }
  }
  return 0;
}
