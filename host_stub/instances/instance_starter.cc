#include "host_stub/instances/instance_starter.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace host_stub {
namespace {

constexpr int kLongestPause = 60;  // times the first

}  // namespace

InstanceStarter::InstanceStarter(std::shared_ptr<HostedPlugin> plugin,
                                 std::shared_ptr<InstanceRegistry> registry,
                                 std::shared_ptr<Logger> logger, absl::Duration first_pause)
    : plugin_(std::move(plugin)),
      registry_(std::move(registry)),
      logger_(std::move(logger)),
      first_pause_(first_pause) {}

void InstanceStarter::Try(InstanceEntry& entry, const PlatformConfiguration& platform) const {
  if (entry.instance == nullptr) {
    auto instance = plugin_->CreateInstance(ToSpec(entry.settings, platform));
    if (!instance.ok()) return Fail(entry, instance.status());
    entry.instance = *std::move(instance);
    registry_->Replace(entry.instance);
  }
  if (absl::Status status = entry.instance->Start(); !status.ok()) return Fail(entry, status);
  if (entry.trouble.has_value()) {
    logger_->Log(Severity::kInfo, entry.settings.name, "serves now");
  }
  Reset(entry);
}

void InstanceStarter::Fail(InstanceEntry& entry, const absl::Status& why) const {
  const absl::Time now = absl::Now();
  const std::string message(why.message());
  if (!entry.trouble.has_value() || entry.trouble->message != message) {
    logger_->Log(Severity::kError, entry.settings.name,
                 absl::StrCat("does not serve: ", message, "; will be tried again"));
  }
  if (!entry.trouble.has_value()) {
    entry.trouble.emplace();
    entry.trouble->state = HealthState::kUnhealthy;
    entry.trouble->since = now;
    entry.pause = first_pause_;
  } else {
    entry.pause = std::min(2 * entry.pause, kLongestPause * first_pause_);
  }
  entry.trouble->message = message;
  entry.trouble->last_fault = message;
  entry.trouble->last_fault_time = now;
  entry.retry_at = now + entry.pause;
}

void InstanceStarter::Reset(InstanceEntry& entry) const {
  entry.trouble.reset();
  entry.retry_at = absl::InfiniteFuture();
  entry.pause = first_pause_;
}

}  // namespace host_stub
