#include "host_stub/instances/instance_manager.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "host_stub/config/external_key.h"
#include "host_stub/instances/reload.h"

namespace host_stub {
namespace {

constexpr size_t kMostInstances = 10'000;
// Instances that were replaced and still have requests; then changes must wait. A plugin that never
// answers would let them pile up.
constexpr size_t kMostRetired = 64;
constexpr absl::Duration kRequestIdLifetime = absl::Hours(1);
// For those who were about to use an instance when it was replaced.
constexpr absl::Duration kMostTimeToEnd = absl::Seconds(1);
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

InstanceManager::InstanceManager(InstanceManagerParts parts)
    : parts_(std::move(parts)),
      starter_(parts_.plugin, parts_.registry, parts_.logger, parts_.first_retry_pause),
      retired_(parts_.logger) {}

absl::StatusOr<std::shared_ptr<InstanceManager>> InstanceManager::Start(
    InstanceManagerParts parts, const Configuration& configuration) {
  std::shared_ptr<InstanceManager> manager(new InstanceManager(std::move(parts)));
  manager->table_.platform = configuration.platform;
  manager->table_.server_configuration = configuration.server_configuration;
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
  retired_.Stop();
}

absl::Status InstanceManager::StartFileInstances(const Configuration& configuration) {
  for (const InstanceConfiguration& one : configuration.instances) {
    InstanceEntry entry;
    entry.settings = SettingsOf(one, configuration.platform.engine);
    auto instance = parts_.plugin->CreateInstance(ToSpec(entry.settings, table_.platform));
    absl::Status status = instance.status();
    if (status.ok()) status = (*instance)->Start();
    if (!status.ok()) return OfInstance(one.name, status);
    entry.instance = *std::move(instance);
    if (status = parts_.registry->Add(entry.instance); !status.ok()) return status;
    const std::lock_guard<std::mutex> lock(mutex_);
    table_.entries.emplace(one.name, std::move(entry));
  }
  return absl::OkStatus();
}

absl::Status InstanceManager::LoadStoredInstances() {
  const absl::StatusOr<std::vector<StoredInstance>> stored = parts_.store->ListInstances();
  if (!stored.ok()) return stored.status();
  for (const StoredInstance& one : *stored) {
    if (table_.Find(one.name) != nullptr) {
      parts_.logger->Log(Severity::kError, one.name,
                         "the store has an instance of this name too, and the configuration file's "
                         "is served; rename the file's to have the store's again");
      continue;
    }
    absl::StatusOr<InstanceSettings> settings = SettingsOf(one);
    InstanceEntry entry;
    if (settings.ok()) {
      entry.settings = *settings;
    } else {
      entry.settings.name = one.name;
      entry.settings.uid = one.uid;
    }
    if (!settings.ok()) {
      starter_.Fail(entry, settings.status());
    } else if (!entry.settings.disabled) {
      starter_.Try(entry, table_.platform);
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    table_.entries.emplace(one.name, std::move(entry));
  }
  return absl::OkStatus();
}

void InstanceManager::Keep() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (!stopped_) {
    absl::Time next = absl::InfiniteFuture();
    for (const auto& [name, entry] : table_.entries) next = std::min(next, entry.retry_at);
    if (next == absl::InfiniteFuture()) {
      wake_.wait(lock);
    } else if (absl::Now() < next) {
      // At most for an hour: the clock of the day may be set.
      const absl::Duration wait = std::min(next - absl::Now(), absl::Hours(1));
      wake_.wait_for(lock, absl::ToChronoMilliseconds(wait + absl::Milliseconds(1)));
    } else {
      lock.unlock();
      TryAgain();
      lock.lock();
    }
  }
}

void InstanceManager::TryAgain() {
  const std::lock_guard<std::mutex> change(change_);
  bool is_new = false;
  for (auto& [name, entry] : table_.entries) {
    if (entry.retry_at > absl::Now()) continue;
    InstanceEntry tried = entry;
    starter_.Try(tried, table_.platform);
    is_new = is_new || tried.instance != entry.instance;
    const std::lock_guard<std::mutex> lock(mutex_);
    if (stopped_) return;
    entry = std::move(tried);
  }
  if (is_new) Publish();
}

// With change_ held: entries do not change, so mutex_ is only for readers of other members.
void InstanceManager::Publish() {
  auto routes = std::make_shared<Routes>();
  for (const auto& [name, entry] : table_.entries) {
    if (entry.instance == nullptr) continue;
    const absl::Status status =
        routes->Add(entry.instance, IsExternal(table_.server_configuration, name));
    if (!status.ok()) parts_.logger->Log(Severity::kError, name, status.message());
  }
  parts_.publish(std::move(routes));
}

ListedInstance InstanceManager::MakeListed(const InstanceEntry& entry) const {
  ListedInstance listed = ToListed(entry.settings);
  listed.external_key_set = IsExternal(table_.server_configuration, entry.settings.name);
  listed.product = table_.platform.product;
  listed.front_url = front_url_;
  listed.trouble = entry.trouble;
  return listed;
}

std::vector<ListedInstance> InstanceManager::List() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::vector<ListedInstance> list;
  list.reserve(table_.entries.size());
  for (const auto& [name, entry] : table_.entries) list.push_back(MakeListed(entry));
  return list;
}

std::optional<ListedInstance> InstanceManager::Find(absl::string_view name) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  const InstanceEntry* entry = table_.Find(std::string(name));
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

absl::StatusOr<const InstanceEntry*> InstanceManager::FindToChange(const std::string& name,
                                                                   const std::string& etag) const {
  const InstanceEntry* entry = table_.Find(name);
  if (entry == nullptr) return absl::NotFoundError(absl::StrCat("no instance \"", name, "\""));
  if (entry->settings.in_file) return BelongsToTheFile(name);
  if (absl::Status status = CheckEtag(entry->settings, etag); !status.ok()) return status;
  return entry;
}

absl::StatusOr<ListedInstance> InstanceManager::Create(InstanceSettings settings,
                                                       bool validate_only) {
  const std::lock_guard<std::mutex> lock(change_);
  if (absl::Status status = CheckOpen(); !status.ok()) return status;
  settings.in_file = false;
  if (!settings.request_id.empty()) {
    for (const auto& [name, entry] : table_.entries) {
      const bool same = entry.settings.request_id == settings.request_id &&
                        entry.settings.created + kRequestIdLifetime > absl::Now();
      if (same && name != settings.name) {
        return absl::AlreadyExistsError(absl::StrCat("request_id: it made instance \"", name,
                                                     "\"; another request needs another one"));
      }
      if (same) return Find(name).value();
    }
  }
  absl::Status status = CheckSettings(parts_.plugin->info().parameters, settings);
  if (!status.ok()) return status;
  if (table_.Find(settings.name) != nullptr) {
    return absl::AlreadyExistsError(
        absl::StrCat("name: an instance \"", settings.name, "\" exists already"));
  }
  if (table_.entries.size() >= kMostInstances) {
    return absl::FailedPreconditionError(
        absl::StrCat("there are ", table_.entries.size(), " instances already; delete one first"));
  }
  settings.uid = NewInstanceUid();
  settings.generation = 1;
  settings.created = settings.changed = Now();
  InstanceChange change(table_);
  change.steps.emplace_back(settings.name, settings);
  change.save = [&] { return parts_.store->SaveInstance(ToStored(settings)); };
  if (status = Run(change, validate_only); !status.ok()) return status;
  if (!validate_only) return Find(settings.name).value();
  const std::lock_guard<std::mutex> read(mutex_);
  InstanceEntry entry;
  entry.settings = std::move(settings);
  return MakeListed(entry);
}

absl::StatusOr<ListedInstance> InstanceManager::Update(
    const std::string& name, const std::string& etag,
    const std::function<absl::Status(InstanceSettings& settings)>& change_settings,
    bool validate_only) {
  const std::lock_guard<std::mutex> lock(change_);
  if (absl::Status status = CheckOpen(); !status.ok()) return status;
  const absl::StatusOr<const InstanceEntry*> entry = FindToChange(name, etag);
  if (!entry.ok()) return entry.status();
  InstanceSettings settings = (*entry)->settings;
  absl::Status status = change_settings(settings);
  if (status.ok()) status = CheckSettings(parts_.plugin->info().parameters, settings);
  if (!status.ok()) return status;
  ++settings.generation;
  settings.changed = Now();
  InstanceChange change(table_);
  change.steps.emplace_back(name, settings);
  change.save = [&] { return parts_.store->SaveInstance(ToStored(settings)); };
  if (status = Run(change, validate_only); !status.ok()) return status;
  if (!validate_only) return Find(name).value();
  const std::lock_guard<std::mutex> read(mutex_);
  InstanceEntry shown = *table_.Find(name);
  shown.settings = std::move(settings);
  return MakeListed(shown);
}

absl::Status InstanceManager::Delete(const std::string& name, const std::string& etag) {
  const std::lock_guard<std::mutex> lock(change_);
  if (absl::Status status = CheckOpen(); !status.ok()) return status;
  const absl::StatusOr<const InstanceEntry*> entry = FindToChange(name, etag);
  if (!entry.ok()) return entry.status();
  const std::string uid = (*entry)->settings.uid;
  InstanceChange change(table_);
  change.steps.emplace_back(name, std::nullopt);
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
  absl::StatusOr<InstanceChange> change = PlanReload(table_, configuration);
  if (!change.ok()) return change.status();
  return Run(*change, /*validate_only=*/false);
}

absl::Status InstanceManager::Run(InstanceChange& change, bool validate_only) {
  if (retired_.size() >= kMostRetired) {
    return absl::UnavailableError(absl::StrCat(
        kMostRetired, " or more earlier instances still have requests; try again later"));
  }
  if (absl::Status status = CheckPorts(table_, change); !status.ok()) return status;
  absl::Status status = PrepareChange(*parts_.plugin, table_, change);
  if (!status.ok() || validate_only) return status;
  if (status = StartAndSave(change); !status.ok()) {
    Retire(AbandonChange(change), absl::Now());
    return status;
  }
  Apply(change);
  return absl::OkStatus();
}

absl::Status InstanceManager::StartAndSave(InstanceChange& change) {
  absl::Status status = StartFresh(table_, change);
  return status.ok() ? change.save() : status;
}

// Cannot fail. New instances take their places first, then the old ones are drained: nobody finds
// one that refuses.
void InstanceManager::Apply(InstanceChange& change) {
  CommitChange(table_, change);
  std::vector<std::shared_ptr<HostedInstance>> old;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    table_.platform = change.platform;
    table_.server_configuration = change.server_configuration;
    for (ChangeStep& step : change.steps) old.push_back(ApplyStep(step));
  }
  Publish();
  Retire(std::move(old), absl::Now() + parts_.drain_time);
  for (const ChangeStep& step : change.steps) {
    if (!step.starts_late) continue;
    InstanceEntry entry = *table_.Find(step.name);
    starter_.Try(entry, table_.platform);
    const std::lock_guard<std::mutex> lock(mutex_);
    table_.entries[step.name] = std::move(entry);
  }
  wake_.notify_all();
}

// The instance whose place was taken, if any.
std::shared_ptr<HostedInstance> InstanceManager::ApplyStep(ChangeStep& step) {
  if (!step.after.has_value()) {
    std::shared_ptr<HostedInstance> removed = std::move(table_.entries[step.name].instance);
    table_.entries.erase(step.name);
    parts_.registry->Remove(step.name);
    return removed;
  }
  InstanceEntry& entry = table_.entries[step.name];
  entry.settings = *step.after;
  if (step.updated) return nullptr;
  starter_.Reset(entry);
  std::shared_ptr<HostedInstance> replaced = std::exchange(entry.instance, std::move(step.fresh));
  if (entry.instance != nullptr) {
    parts_.registry->Replace(entry.instance);
  } else {
    parts_.registry->Remove(step.name);
  }
  return replaced;
}

void InstanceManager::Retire(std::vector<std::shared_ptr<HostedInstance>> instances,
                             absl::Time deadline) {
  for (std::shared_ptr<HostedInstance>& instance : instances) {
    retired_.Retire(std::move(instance), deadline);
  }
  retired_.AwaitEnd(absl::Now() + kMostTimeToEnd);
}

}  // namespace host_stub
