// Any bytes as the parameter `passwords`: what is taken is JSON and within the limit, and what is
// refused is refused with a message that is one line.
#include <cstdint>

#include "plugin/runtime/secrets.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/strict_json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using webhook::fuzz::Require;
  constexpr size_t kMost = 3;
  const absl::string_view json(reinterpret_cast<const char*>(data), size);
  const auto passwords = webhook::runtime::ReadPasswords(json, kMost);
  if (!passwords.ok()) {
    Require(absl::IsInvalidArgument(passwords.status()));
    Require(webhook::fuzz::IsMessage(passwords.status().message()));
    return 0;
  }
  Require(passwords->size() <= kMost && passwords->empty() == json.empty());
  if (!json.empty()) {
    Require(webhook::fuzz::MayBeJson(json.substr(json.substr(0, 3) == "\xEF\xBB\xBF" ? 3 : 0)));
  }
  for (const auto& one : *passwords) Require(!one.text.empty());
  return 0;
}
