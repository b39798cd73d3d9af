// Any parameters: a configuration that keeps its promises, or a refusal that is one line and
// quotes no secret.
//
// The input: a byte that chooses the platform, the instance's name, the platform's URL, then
// parameters: a byte that chooses the name, and the value; all texts up to a NUL.
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "plugin/base/characters.h"
#include "plugin/base/json_text.h"
#include "plugin/core/platform.h"
#include "plugin/limits/parameters.h"
#include "plugin/runtime/configuration.h"
#include "plugin/runtime/host.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/strict_json.h"

namespace {

using webhook::fuzz::IsMessage;
using webhook::fuzz::MayBeJson;
using webhook::fuzz::Require;
using webhook::runtime::Configuration;
using webhook::runtime::FromView;
using webhook::runtime::ToView;

const absl::Time kNow = absl::FromUnixSeconds(1'714'557'600);

// A secret long enough not to stand in a message by chance.
bool IsTelling(absl::string_view name, absl::string_view value) {
  return (name == "password" || name == "passwords" || name == "key") && value.size() >= 16;
}

std::string Quoted(absl::string_view text) {
  std::string json;
  base::AppendJsonString(&json, text);
  return json;
}

void CheckAccepted(const Configuration& configuration) {
  Require(configuration.ticket != 0 && configuration.platform != nullptr);
  Require(base::IsName(configuration.name));
  Require(!configuration.platform->credentials_required || configuration.credentials.required());
  Require(configuration.listen_port == 0 || configuration.platform->listen_port_shown);
  Require(configuration.tls == nullptr || configuration.platform->certificate_supported);
  Require(configuration.incident_type.empty() || MayBeJson(Quoted(configuration.incident_type)));
  for (const std::string& warning : configuration.WarningsAt(kNow)) Require(IsMessage(warning));
  // They are copied into what a program reads.
  for (const std::string& url : {configuration.webhook_url, configuration.listen_url}) {
    Require(url.empty() || IsMessage(url));
  }
  const absl::string_view members = configuration.mirror_members;
  Require(members.empty() ||
          MayBeJson("{\"a\":1" + std::string(members.data(), members.size()) + "}"));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  webhook::fuzz::Input input(data, size);
  const auto platforms = webhook::core::Platforms();
  const size_t choice = input.Byte();
  const auto& platform = platforms[choice % platforms.size()];
  lri_instance_options options{};
  options.struct_size = sizeof options;
  options.on_engine = platform.on_engine;
  options.product = ToView(platform.product_name);
  options.name = ToView(input.UpTo('\0'));
  options.platform_url = ToView(input.UpTo('\0'));

  const auto names = webhook::Parameters();
  std::vector<lri_pair> pairs;
  std::vector<size_t> secrets;  // of `pairs`
  while (!input.empty() && pairs.size() < 20) {
    const size_t index = input.Below(names.size() + 1);
    const absl::string_view name = index < names.size() ? names[index].name : input.UpTo('\0');
    const absl::string_view value = input.UpTo('\0');
    pairs.push_back({ToView(name), ToView(value)});
    if (IsTelling(name, value)) secrets.push_back(pairs.size() - 1);
  }
  options.parameters = {pairs.data(), pairs.size(), sizeof(lri_pair)};
  const auto configuration = webhook::runtime::ReadConfiguration(options, webhook::Limits(), kNow);
  if (configuration.ok()) {
    CheckAccepted(*configuration);
    return 0;
  }
  const absl::string_view message = configuration.status().message();
  Require(absl::IsInvalidArgument(configuration.status()) && IsMessage(message));
  const absl::string_view whole(reinterpret_cast<const char*>(data), size);
  for (const size_t index : secrets) {
    const absl::string_view secret = FromView(pairs[index].value);
    // What stands elsewhere too may be quoted from there.
    const bool unique = whole.find(secret) == whole.rfind(secret);
    if (!unique || !absl::StrContains(message, secret)) continue;
    // The fuzzer learns the messages' own words. Those stay when the secret is another one.
    const std::string other(secret.size(), '~');
    const lri_view kept = std::exchange(pairs[index].value, ToView(other));
    const auto again = webhook::runtime::ReadConfiguration(options, webhook::Limits(), kNow);
    Require(!again.ok() && again.status().message() == message);
    pairs[index].value = kept;
  }
  return 0;
}
