#include "host_stub/instances/instance_manager.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "host_stub/config/external_key.h"

namespace host_stub {
namespace {

constexpr size_t kMostInstances = 10'000;
// Instances that were replaced and still have requests; then changes must wait. A plugin that never
// answers would let them pile up.
constexpr size_t kMostRetired = 64;
constexpr absl::Duration kRequestIdLifetime = absl::Hours(1);
// For those who were about to use an instance when it was replaced.
constexpr absl::Duration kMostTimeToEnd = absl::Seconds(1);
constexpr int kLongestRetryPause = 60;  // times the first

// Prefixes the message: a person wants to know of which instance it speaks.
absl::Status Of(absl::string_view instance, const absl::Status& status) {
  if (status.ok()) return status;
  return absl::Status(status.code(), absl::StrCat("instance ", instance, ": ", status.message()));
}

absl::Status BelongsToTheFile(absl::string_view name) {
  return absl::FailedPreconditionError(
      absl::StrCat("instance \"", name, "\" belongs to the configuration file: change it there, ",
                   "then send the host SIGHUP"));
}

absl::Status CheckEtag(const InstanceSettings& settings, const std::string& etag) {
  if (etag.empty() || etag == settings.etag()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("etag: instance \"", settings.name, "\" was changed meanwhile; read it again"));
}

absl::Time Now() { return absl::FromUnixMicros(absl::ToUnixMicros(absl::Now())); }

}  // namespace

absl::StatusOr<std::shared_ptr<InstanceManager>> InstanceManager::Start(
    InstanceManagerParts parts, const Configuration& configuration) {
  std::shared_ptr<InstanceManager> manager(new InstanceManager(std::move(parts)));
  manager->platform_ = configuration.platform;
  manager->server_configuration_ = configuration.server_configuration;
  manager->limits_set_ = configuration.limits_set;
  if (absl::Status status = manager->StartFileInstances(configuration); !status.ok()) {
    return status;
  }
  if (absl::Status status = manager->LoadStoredInstances(); !status.ok()) return status;
  manager->Publish();
  manager->keeper_ = std::thread([raw = manager.get()] { raw->Keep(); });
  return manager;
}

InstanceManager::~InstanceManager() { Stop(); }

void InstanceManager::Stop() {
  {
    const std::lock_guard<std::mutex> change(change_);
    const std::lock_guard<std::mutex> lock(mutex_);
    stopped_ = true;
  }
  wake_.notify_all();
  if (keeper_.joinable()) keeper_.join();
  retired_.Tidy();
}

absl::Status InstanceManager::StartFileInstances(const Configuration& configuration) {
  for (const InstanceConfiguration& one : configuration.instances) {
    Entry entry;
    entry.settings = SettingsOf(one, configuration.platform.engine);
    auto instance = parts_.plugin->CreateInstance(ToSpec(entry.settings, platform_));
    absl::Status status = instance.status();
    if (status.ok()) status = (*instance)->Start();
    if (!status.ok()) return Of(one.name, status);
    entry.instance = *std::move(instance);
    if (status = parts_.registry->Add(entry.instance); !status.ok()) return status;
    const std::lock_guard<std::mutex> lock(mutex_);
    entries_.emplace(one.name, std::move(entry));
  }
  return absl::OkStatus();
}

absl::Status InstanceManager::LoadStoredInstances() {
  const absl::StatusOr<std::vector<StoredInstance>> stored = parts_.store->ListInstances();
  if (!stored.ok()) return stored.status();
  for (const StoredInstance& one : *stored) {
    if (entries_.contains(one.name)) {
      parts_.logger->Log(Severity::kError, one.name,
                         "the store has an instance of this name too, and the configuration file's "
                         "is served; rename the file's to have the store's again");
      continue;
    }
    absl::StatusOr<InstanceSettings> settings = SettingsOf(one);
    Entry entry;
    if (settings.ok()) {
      entry.settings = *settings;
    } else {
      entry.settings.name = one.name;
      entry.settings.uid = one.uid;
    }
    entry.pause = parts_.first_retry_pause;
    if (!settings.ok()) {
      Fail(entry, settings.status());
    } else if (!entry.settings.disabled) {
      Retry(entry);
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    entries_.emplace(one.name, std::move(entry));
  }
  return absl::OkStatus();
}

// Tries to make it serve; where that fails the entry tells why and when it is tried again.
void InstanceManager::Retry(Entry& entry) {
  if (entry.instance == nullptr) {
    auto instance = parts_.plugin->CreateInstance(ToSpec(entry.settings, platform_));
    if (!instance.ok()) return Fail(entry, instance.status());
    entry.instance = *std::move(instance);
    // Found, it refuses with UNAVAILABLE, which is more than "not found".
    parts_.registry->Replace(entry.instance);
  }
  if (absl::Status status = entry.instance->Start(); !status.ok()) return Fail(entry, status);
  if (entry.trouble.has_value()) {
    parts_.logger->Log(Severity::kInfo, entry.settings.name, "serves now");
  }
  entry.trouble.reset();
  entry.retry_at = absl::InfiniteFuture();
}

void InstanceManager::Fail(Entry& entry, const absl::Status& why) {
  const absl::Time now = absl::Now();
  const std::string message(why.message());
  if (!entry.trouble.has_value() || entry.trouble->message != message) {
    parts_.logger->Log(Severity::kError, entry.settings.name,
                       absl::StrCat("does not serve: ", message, "; will be tried again"));
  }
  if (!entry.trouble.has_value()) {
    entry.trouble.emplace();
    entry.trouble->state = HealthState::kUnhealthy;
    entry.trouble->since = now;
    entry.pause = parts_.first_retry_pause;
  } else {
    entry.pause = std::min(2 * entry.pause, kLongestRetryPause * parts_.first_retry_pause);
  }
  entry.trouble->message = message;
  entry.trouble->last_fault = message;
  entry.trouble->last_fault_time = now;
  entry.retry_at = now + entry.pause;
}

void InstanceManager::Keep() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (!stopped_) {
    absl::Time next = absl::InfiniteFuture();
    for (const auto& [name, entry] : entries_) next = std::min(next, entry.retry_at);
    lock.unlock();
    const bool left = retired_.Tidy();
    lock.lock();
    if (stopped_) return;
    if (left) next = std::min(next, absl::Now() + absl::Milliseconds(100));
    if (absl::Now() < next) {
      // A bound, so that a change that came while this looked elsewhere is not missed for long.
      const absl::Duration most = left ? absl::Milliseconds(100) : absl::Seconds(1);
      wake_.wait_for(lock, absl::ToChronoMilliseconds(std::min(next - absl::Now(), most) +
                                                      absl::Milliseconds(1)));
      continue;
    }
    lock.unlock();
    {
      const std::lock_guard<std::mutex> change(change_);
      bool served = false;
      for (auto& [name, entry] : entries_) {
        if (entry.retry_at > absl::Now()) continue;
        Entry tried = entry;
        Retry(tried);
        served = served || tried.instance != entry.instance;
        const std::lock_guard<std::mutex> write(mutex_);
        if (stopped_) return;
        entry = std::move(tried);
      }
      if (served) Publish();
    }
    lock.lock();
  }
}

// With change_ held: entries do not change, so mutex_ is only for readers of other members.
void InstanceManager::Publish() {
  auto routes = std::make_shared<Routes>();
  for (const auto& [name, entry] : entries_) {
    if (entry.instance == nullptr) continue;
    const absl::Status status =
        routes->Add(entry.instance, IsExternal(server_configuration_, name));
    if (!status.ok()) parts_.logger->Log(Severity::kError, name, status.message());
  }
  parts_.publish(std::move(routes));
}

const InstanceManager::Entry* InstanceManager::FindEntry(const std::string& name) const {
  const auto found = entries_.find(name);
  return found == entries_.end() ? nullptr : &found->second;
}

ListedInstance InstanceManager::MakeListed(const Entry& entry) const {
  ListedInstance listed = ToListed(entry.settings);
  listed.external_key_set = IsExternal(server_configuration_, entry.settings.name);
  listed.product = platform_.product;
  listed.front_url = front_url_;
  listed.trouble = entry.trouble;
  return listed;
}

std::vector<ListedInstance> InstanceManager::List() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::vector<ListedInstance> list;
  list.reserve(entries_.size());
  for (const auto& [name, entry] : entries_) list.push_back(MakeListed(entry));
  return list;
}

std::optional<ListedInstance> InstanceManager::Find(absl::string_view name) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  const Entry* entry = FindEntry(std::string(name));
  if (entry == nullptr) return std::nullopt;
  return MakeListed(*entry);
}

void InstanceManager::SetFrontUrl(std::string url) {
  const std::lock_guard<std::mutex> lock(mutex_);
  front_url_ = std::move(url);
}

absl::Status InstanceManager::CheckOpen() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return stopped_ ? absl::UnavailableError("the host is stopping") : absl::OkStatus();
}

InstanceManager::Change InstanceManager::NewChange() const {
  Change change;
  change.platform = platform_;
  change.server_configuration = server_configuration_;
  change.save = [] { return absl::OkStatus(); };
  return change;
}

absl::StatusOr<ListedInstance> InstanceManager::Create(InstanceSettings settings,
                                                       bool validate_only) {
  const std::lock_guard<std::mutex> lock(change_);
  if (absl::Status status = CheckOpen(); !status.ok()) return status;
  settings.in_file = false;
  if (!settings.request_id.empty()) {
    for (const auto& [name, entry] : entries_) {
      const bool same = entry.settings.request_id == settings.request_id &&
                        entry.settings.created + kRequestIdLifetime > absl::Now();
      if (same) return Find(name).value();
    }
  }
  absl::Status status = CheckSettings(parts_.plugin->info().parameters, settings);
  if (!status.ok()) return status;
  if (FindEntry(settings.name) != nullptr) {
    return absl::AlreadyExistsError(
        absl::StrCat("name: an instance \"", settings.name, "\" exists already"));
  }
  if (entries_.size() >= kMostInstances) {
    return absl::FailedPreconditionError(
        absl::StrCat("there are ", entries_.size(), " instances already; delete one first"));
  }
  settings.uid = NewInstanceUid();
  settings.generation = 1;
  settings.created = settings.changed = Now();
  Change change = NewChange();
  change.steps.push_back({settings.name, settings, nullptr, nullptr, false});
  change.save = [&] { return parts_.store->SaveInstance(ToStored(settings)); };
  if (status = Run(change, validate_only); !status.ok()) return status;
  if (!validate_only) return Find(settings.name).value();
  const std::lock_guard<std::mutex> read(mutex_);
  Entry entry;
  entry.settings = std::move(settings);
  return MakeListed(entry);
}

absl::StatusOr<ListedInstance> InstanceManager::Update(
    const std::string& name, const std::string& etag,
    const std::function<absl::Status(InstanceSettings& settings)>& change_settings,
    bool validate_only) {
  const std::lock_guard<std::mutex> lock(change_);
  if (absl::Status status = CheckOpen(); !status.ok()) return status;
  const Entry* entry = FindEntry(name);
  if (entry == nullptr) return absl::NotFoundError(absl::StrCat("no instance \"", name, "\""));
  if (entry->settings.in_file) return BelongsToTheFile(name);
  if (absl::Status status = CheckEtag(entry->settings, etag); !status.ok()) return status;
  InstanceSettings settings = entry->settings;
  absl::Status status = change_settings(settings);
  if (status.ok()) status = CheckSettings(parts_.plugin->info().parameters, settings);
  if (!status.ok()) return status;
  ++settings.generation;
  settings.changed = Now();
  Change change = NewChange();
  change.steps.push_back({name, settings, nullptr, nullptr, false});
  change.save = [&] { return parts_.store->SaveInstance(ToStored(settings)); };
  if (status = Run(change, validate_only); !status.ok()) return status;
  if (!validate_only) return Find(name).value();
  const std::lock_guard<std::mutex> read(mutex_);
  Entry shown = *FindEntry(name);
  shown.settings = std::move(settings);
  return MakeListed(shown);
}

absl::Status InstanceManager::Delete(const std::string& name, const std::string& etag) {
  const std::lock_guard<std::mutex> lock(change_);
  if (absl::Status status = CheckOpen(); !status.ok()) return status;
  const Entry* entry = FindEntry(name);
  if (entry == nullptr) return absl::NotFoundError(absl::StrCat("no instance \"", name, "\""));
  if (entry->settings.in_file) return BelongsToTheFile(name);
  if (absl::Status status = CheckEtag(entry->settings, etag); !status.ok()) return status;
  const std::string uid = entry->settings.uid;
  Change change = NewChange();
  change.steps.push_back({name, std::nullopt, nullptr, nullptr, false});
  change.save = [&] { return parts_.store->DeleteInstance(uid); };
  if (absl::Status status = Run(change, /*validate_only=*/false); !status.ok()) return status;
  // What it remembered while it was drained goes too.
  return parts_.store->DeleteInstance(uid);
}

absl::Status InstanceManager::Reload(const Configuration& configuration) {
  const std::lock_guard<std::mutex> lock(change_);
  if (absl::Status status = CheckOpen(); !status.ok()) return status;
  if (configuration.limits_set != limits_set_) {
    return absl::FailedPreconditionError(
        "limits are read at the start only: start the host again to change them");
  }
  Change change = NewChange();
  change.platform = configuration.platform;
  change.server_configuration = configuration.server_configuration;
  if (absl::Status status = AddReloadSteps(configuration, change); !status.ok()) return status;
  return Run(change, /*validate_only=*/false);
}

absl::Status InstanceManager::AddReloadSteps(const Configuration& configuration,
                                             Change& change) const {
  const PlatformConfiguration& platform = configuration.platform;
  const bool platform_is_new = platform.product != platform_.product ||
                               platform.url != platform_.url || platform.engine != platform_.engine;
  for (const InstanceConfiguration& one : configuration.instances) {
    InstanceSettings settings = SettingsOf(one, platform.engine);
    const Entry* entry = FindEntry(one.name);
    if (entry != nullptr && !entry->settings.in_file) {
      return absl::FailedPreconditionError(
          absl::StrCat("instance ", one.name, ": the store has an instance of this name; delete ",
                       "that one first, or choose another name"));
    }
    const bool is_new = entry == nullptr || entry->trouble.has_value() ||
                        entry->settings.parameters != settings.parameters || platform_is_new;
    if (entry != nullptr) settings.generation = entry->settings.generation + 1;
    if (is_new) change.steps.push_back({one.name, std::move(settings), nullptr, nullptr, false});
  }
  for (const auto& [name, entry] : entries_) {
    const bool named =
        std::any_of(configuration.instances.begin(), configuration.instances.end(),
                    [&name = name](const InstanceConfiguration& one) { return one.name == name; });
    if (entry.settings.in_file && !named) {
      change.steps.push_back({name, std::nullopt, nullptr, nullptr, false});
    } else if (!entry.settings.in_file && platform_is_new && entry.instance != nullptr) {
      change.steps.push_back({name, entry.settings, nullptr, nullptr, false});
    }
  }
  return absl::OkStatus();
}

absl::Status InstanceManager::Run(Change& change, bool validate_only) {
  if (retired_.size() >= kMostRetired) {
    return absl::UnavailableError(absl::StrCat(
        kMostRetired, " or more earlier instances still have requests; try again ", "later"));
  }
  const bool several = change.steps.size() > 1;
  if (absl::Status status = CheckPorts(change); !status.ok()) return status;
  for (Step& step : change.steps) {
    absl::Status status = PrepareStep(change, step);
    if (!status.ok()) return several ? Of(step.name, status) : status;
  }
  if (validate_only) return absl::OkStatus();
  absl::Status status;
  for (Step& step : change.steps) {
    status = StartStep(change, step);
    if (!status.ok() && several) status = Of(step.name, status);
    if (!status.ok()) break;
  }
  if (status.ok()) status = change.save();
  if (!status.ok()) {
    StopFresh(change);
    return status;
  }
  Apply(change);
  return absl::OkStatus();
}

absl::Status InstanceManager::CheckPorts(const Change& change) const {
  std::map<std::string, int> ports;
  for (const auto& [name, entry] : entries_) ports[name] = entry.settings.port();
  for (const Step& step : change.steps) {
    ports[step.name] = step.after.has_value() ? step.after->port() : 0;
  }
  for (const Step& step : change.steps) {
    const int port = ports[step.name];
    if (port == 0) continue;
    for (const auto& [name, other] : ports) {
      if (name == step.name || other != port) continue;
      return absl::AlreadyExistsError(absl::StrCat("longRunningPort: ", port,
                                                   " is taken by instance \"", name,
                                                   "\"; each instance needs its own"));
    }
  }
  return absl::OkStatus();
}

// Everything that the plugin can refuse without a port being taken twice.
absl::Status InstanceManager::PrepareStep(const Change& change, Step& step) {
  if (!step.after.has_value()) return absl::OkStatus();
  const InstanceSpec spec = ToSpec(*step.after, change.platform);
  const Entry* entry = FindEntry(step.name);
  if (entry != nullptr && entry->instance != nullptr) {
    const InstanceSettings& before = entry->settings;
    const bool same =
        before.parameters == step.after->parameters && before.on_engine == step.after->on_engine;
    if (step.after->disabled && same) return absl::OkStatus();
    auto update = entry->instance->PrepareUpdate(spec);
    // One that will be disabled is only judged.
    if (update.ok() && !step.after->disabled) step.update = *std::move(update);
    if (!absl::IsUnimplemented(update.status())) return update.status();
  }
  auto fresh = parts_.plugin->CreateInstance(spec);
  if (!fresh.ok()) return fresh.status();
  // A disabled one was only made to be judged.
  if (!step.after->disabled) step.fresh = *std::move(fresh);
  return absl::OkStatus();
}

absl::Status InstanceManager::StartStep(const Change& change, Step& step) {
  if (step.fresh == nullptr) return absl::OkStatus();
  const absl::Status status = step.fresh->Start();
  if (!absl::IsAlreadyExists(status) || !PortComesFree(change, step)) return status;
  step.starts_late = true;
  return absl::OkStatus();
}

// Whether this change stops an instance that has the step's port now.
bool InstanceManager::PortComesFree(const Change& change, const Step& step) const {
  return std::any_of(change.steps.begin(), change.steps.end(), [&](const Step& other) {
    const Entry* entry = FindEntry(other.name);
    return entry != nullptr && other.update == nullptr &&
           entry->settings.port() == step.after->port() && step.after->port() != 0;
  });
}

void InstanceManager::StopFresh(Change& change) {
  for (Step& step : change.steps) {
    step.update.reset();
    retired_.Retire(std::move(step.fresh), absl::Now(), *parts_.logger);
  }
  retired_.AwaitEnd(absl::Now() + kMostTimeToEnd);
}

// Cannot fail. New instances take their places first, then the old ones are drained: nobody finds
// one that refuses.
void InstanceManager::Apply(Change& change) {
  std::vector<std::shared_ptr<HostedInstance>> old;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    platform_ = change.platform;
    server_configuration_ = change.server_configuration;
    for (Step& step : change.steps) old.push_back(ApplyStep(step));
  }
  Publish();
  const absl::Time deadline = absl::Now() + parts_.drain_time;
  for (std::shared_ptr<HostedInstance>& instance : old) {
    retired_.Retire(std::move(instance), deadline, *parts_.logger);
  }
  retired_.AwaitEnd(absl::Now() + kMostTimeToEnd);
  for (Step& step : change.steps) {
    if (!step.starts_late) continue;
    Entry entry = *FindEntry(step.name);
    Retry(entry);
    const std::lock_guard<std::mutex> lock(mutex_);
    entries_[step.name] = std::move(entry);
  }
  wake_.notify_all();
}

// The instance whose place was taken, if any.
std::shared_ptr<HostedInstance> InstanceManager::ApplyStep(Step& step) {
  if (!step.after.has_value()) {
    std::shared_ptr<HostedInstance> removed = std::move(entries_[step.name].instance);
    entries_.erase(step.name);
    parts_.registry->Remove(step.name);
    return removed;
  }
  Entry& entry = entries_[step.name];
  entry.settings = *std::move(step.after);
  if (step.update != nullptr) {
    step.update->Commit();
    step.update.reset();
    step.starts_late = entry.trouble.has_value();
    return nullptr;
  }
  entry.trouble.reset();
  entry.retry_at = absl::InfiniteFuture();
  entry.pause = parts_.first_retry_pause;
  std::shared_ptr<HostedInstance> replaced = std::exchange(entry.instance, std::move(step.fresh));
  if (entry.instance != nullptr) {
    parts_.registry->Replace(entry.instance);
  } else {
    parts_.registry->Remove(step.name);
  }
  return replaced;
}

}  // namespace host_stub
