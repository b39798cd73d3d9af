#include "host_stub/instances/instance_manager.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "plugin/base/thread.h"

namespace host_stub {
namespace {

constexpr size_t kMostInstances = 10'000;
// Instances that were replaced and still have requests; past this, changes must wait. A plugin that
// never answers would let them pile up.
constexpr size_t kMostRetired = 64;
constexpr absl::Duration kRequestIdLifetime = absl::Hours(1);
// For those who were about to use an instance when it was replaced.
constexpr absl::Duration kMostTimeToEnd = absl::Seconds(1);
constexpr int kLongestPause = 60;  // between two retries, times the first pause
constexpr size_t kMostAuditedNames = 100;

// As precise as the store keeps it.
absl::Time Now() { return absl::FromUnixMicros(absl::ToUnixMicros(absl::Now())); }

// For the audit of a change.
void AddChangedNames(const InstanceSettings& before, const InstanceSettings& after,
                     absl::string_view prefix, std::vector<std::string>& names) {
  const auto add = [&](absl::string_view name) { names.push_back(absl::StrCat(prefix, name)); };
  for (const auto& [name, value] : after.parameters) {
    const auto found = before.parameters.find(name);
    if (found == before.parameters.end() || found->second != value) add(name);
  }
  for (const auto& [name, value] : before.parameters) {
    if (after.parameters.find(name) == after.parameters.end()) add(name);
  }
  if (before.disabled != after.disabled) add("disabled");
  if (before.on_engine != after.on_engine) add("on_engine");
}

// The same of a reload, after `names`; of an instance of the file with its name in front.
std::vector<std::string> ChangedNames(const InstanceSnapshot& table, const InstanceChange& change,
                                      std::vector<std::string> names) {
  if (Differs(change.platform, table.platform)) names.push_back("platform");
  if (change.server_configuration != table.server_configuration) {
    names.push_back("serverConfiguration");
  }
  for (const ChangeStep& step : change.steps) {
    const InstanceEntry* const before = table.Find(step.name);
    if (before == nullptr || !step.after.has_value()) {
      names.push_back(step.name);
    } else {
      AddChangedNames(before->settings, *step.after, absl::StrCat(step.name, "."), names);
    }
  }
  if (names.size() > kMostAuditedNames) {
    names.resize(kMostAuditedNames);
    names.push_back("...");
  }
  return names;
}

AuditEntry Done(AuditEntry audit, std::vector<std::string> parameters) {
  audit.time = Now();
  audit.outcome = absl::StatusCodeToString(absl::StatusCode::kOk);
  audit.parameters = std::move(parameters);
  return audit;
}

}  // namespace

InstanceManager::InstanceManager(InstanceManagerParts parts)
    : parts_(std::move(parts)), retired_(parts_.logger) {}

absl::StatusOr<std::shared_ptr<InstanceManager>> InstanceManager::Start(
    InstanceManagerParts parts, const Configuration& configuration) {
  std::shared_ptr<InstanceManager> manager(new InstanceManager(std::move(parts)));
  manager->limits_set_ = configuration.limits_set;
  auto next = std::make_shared<InstanceSnapshot>();
  next->platform = configuration.platform;
  next->server_configuration = configuration.server_configuration;
  absl::Status status = manager->StartFileInstances(configuration, *next);
  if (status.ok()) status = manager->LoadStoredInstances(*next);
  if (!status.ok()) return status;
  {
    absl::MutexLock change(&manager->change_);
    manager->Publish(std::move(next));
  }
  manager->retry_thread_ =
      base::StartThread("retry", [raw = manager.get()] { raw->RetryWhenDue(); });
  return manager;
}

InstanceManager::~InstanceManager() { Stop(absl::Now()).IgnoreError(); }

absl::Status InstanceManager::Stop(absl::Time deadline) {
  {
    absl::MutexLock change(&change_);
    absl::MutexLock lock(&mutex_);
    if (std::exchange(stopped_, true)) return absl::OkStatus();
  }
  wake_.SignalAll();
  if (retry_thread_.joinable()) retry_thread_.join();
  retired_.Stop();
  absl::MutexLock change(&change_);
  absl::Status first;
  for (const auto& [name, entry] : table_->entries()) {
    if (entry->instance == nullptr) continue;
    const absl::Status status = entry->instance->Stop(deadline);
    if (status.ok()) continue;
    first.Update(
        absl::Status(status.code(), absl::StrCat("instance \"", name, "\": ", status.message())));
  }
  // The table keeps them, so that they end with the manager and not on a reader's thread.
  parts_.published->Publish(std::make_shared<InstanceSnapshot>());
  parts_.on_publish();
  return first;
}

absl::Status InstanceManager::StartFileInstances(const Configuration& configuration,
                                                 InstanceSnapshot& next) {
  for (const InstanceConfiguration& one : configuration.instances) {
    InstanceEntry entry;
    entry.settings = SettingsOf(one, configuration.platform.engine);
    auto instance = parts_.plugin->CreateInstance(ToSpec(entry.settings, next.platform));
    absl::Status status = instance.status();
    if (status.ok()) status = (*instance)->Start();
    if (!status.ok()) return OfInstance(one.name, status);
    entry.instance = *std::move(instance);
    Put(std::move(entry), next);
  }
  return absl::OkStatus();
}

absl::Status InstanceManager::LoadStoredInstances(InstanceSnapshot& next) {
  const absl::StatusOr<std::vector<StoredInstance>> stored = parts_.store->ListInstances();
  if (!stored.ok()) return stored.status();
  for (const StoredInstance& one : *stored) {
    if (next.Find(one.name) != nullptr) {
      parts_.logger->Log(Severity::kError, one.name,
                         "the store has an instance of this name too, and the configuration file's "
                         "is served; rename the file's to have the store's again");
      continue;
    }
    absl::StatusOr<InstanceSettings> settings = SettingsOf(one);
    InstanceEntry entry;
    if (settings.ok()) {
      entry.settings = *std::move(settings);
      if (!entry.settings.disabled) Try(entry, next.platform);
    } else {
      entry.settings.name = one.name;
      entry.settings.uid = one.uid;
      Fail(entry, settings.status());
    }
    Put(std::move(entry), next);
  }
  return absl::OkStatus();
}

void InstanceManager::Put(InstanceEntry entry, InstanceSnapshot& next) {
  const std::string name = entry.settings.name;
  const absl::Status status = next.Put(std::move(entry));
  if (!status.ok()) parts_.logger->Log(Severity::kError, name, status.message());
}

void InstanceManager::Publish(std::shared_ptr<InstanceSnapshot> next) {
  parts_.published->Publish(std::move(next));
  {
    absl::MutexLock lock(&mutex_);
    table_ = parts_.published->current();
  }
  wake_.SignalAll();
  parts_.on_publish();
}

// Retries.

void InstanceManager::RetryWhenDue() {
  absl::MutexLock lock(&mutex_);
  while (!stopped_) {
    absl::Time due = absl::InfiniteFuture();
    for (const auto& [name, entry] : table_->entries()) due = std::min(due, entry->retry_at);
    const absl::Time now = absl::Now();
    if (due > now) {
      // At most for an hour: the clock of the day may be set.
      wake_.WaitWithDeadline(&mutex_, std::min(due, now + absl::Hours(1)));
    } else {
      mutex_.Unlock();
      TryAgain();
      mutex_.Lock();
    }
  }
}

void InstanceManager::TryAgain() {
  absl::MutexLock change(&change_);
  if (!CheckOpen().ok()) return;
  auto next = std::make_shared<InstanceSnapshot>(*table_);
  for (const auto& [name, entry] : table_->entries()) {
    if (entry->retry_at > absl::Now()) continue;
    InstanceEntry tried = *entry;
    Try(tried, next->platform);
    Put(std::move(tried), *next);
  }
  Publish(std::move(next));
}

void InstanceManager::Try(InstanceEntry& entry, const PlatformConfiguration& platform) {
  if (entry.instance == nullptr) {
    auto instance = parts_.plugin->CreateInstance(ToSpec(entry.settings, platform));
    if (!instance.ok()) return Fail(entry, instance.status());
    entry.instance = *std::move(instance);
  }
  if (absl::Status status = entry.instance->Start(); !status.ok()) return Fail(entry, status);
  if (entry.start_error.has_value()) {
    parts_.logger->Log(Severity::kInfo, entry.settings.name, "serves now");
  }
  ForgetStartError(entry);
}

void InstanceManager::Fail(InstanceEntry& entry, const absl::Status& why) {
  const absl::Time now = absl::Now();
  const std::string message(why.message());
  if (!entry.start_error.has_value() || entry.start_error->message != message) {
    parts_.logger->Log(Severity::kError, entry.settings.name,
                       absl::StrCat("does not serve: ", message, "; will be tried again"));
  }
  if (!entry.start_error.has_value()) {
    entry.start_error.emplace();
    entry.start_error->state = HealthState::kUnhealthy;
    entry.start_error->since = now;
    entry.pause = parts_.first_retry_pause;
  } else {
    entry.pause = std::min(2 * entry.pause, kLongestPause * parts_.first_retry_pause);
  }
  entry.start_error->message = message;
  entry.start_error->last_fault = message;
  entry.start_error->last_fault_time = now;
  entry.retry_at = now + entry.pause;
}

void InstanceManager::ForgetStartError(InstanceEntry& entry) const {
  entry.start_error.reset();
  entry.retry_at = absl::InfiniteFuture();
  entry.pause = parts_.first_retry_pause;
}

// Changes.

void InstanceManager::SetFrontUrl(std::string url) {
  absl::MutexLock change(&change_);
  auto next = std::make_shared<InstanceSnapshot>(*table_);
  next->front_url = std::move(url);
  Publish(std::move(next));
}

absl::Status InstanceManager::CheckOpen() {
  absl::MutexLock lock(&mutex_);
  return stopped_ ? absl::UnavailableError("the host is stopping") : absl::OkStatus();
}

absl::StatusOr<const InstanceEntry*> InstanceManager::FindToChange(const std::string& name,
                                                                   const std::string& etag) const {
  const InstanceEntry* entry = table_->Find(name);
  if (entry == nullptr) return absl::NotFoundError(absl::StrCat("no instance \"", name, "\""));
  if (entry->settings.in_file) {
    return absl::FailedPreconditionError(
        absl::StrCat("instance \"", name, "\" belongs to the configuration file: change it there, ",
                     "then send the host SIGHUP"));
  }
  if (!etag.empty() && etag != entry->settings.etag()) {
    return absl::FailedPreconditionError(
        absl::StrCat("etag: instance \"", name, "\" was changed meanwhile; read it again"));
  }
  return entry;
}

absl::Status InstanceManager::AuditNoChange(AuditEntry audit, const absl::Status& outcome) {
  audit.time = Now();
  audit.outcome = absl::StatusCodeToString(outcome.code());
  const absl::Status kept = parts_.store->AddAudit(audit);
  if (kept.ok() || !outcome.ok()) LogAudit(audit);
  if (!kept.ok()) {
    parts_.logger->Log(Severity::kError, audit.instance,
                       absl::StrCat("audit: it could not be stored: ", kept.message()));
  }
  return kept;
}

void InstanceManager::LogAudit(const AuditEntry& audit) {
  const std::string names = absl::StrJoin(audit.parameters, ", ");
  parts_.logger->Log(Severity::kInfo, audit.instance,
                     absl::StrCat("audit: ", audit.what, " by ", audit.who, ": ", audit.outcome,
                                  names.empty() ? "" : "; changed: ", names));
}

absl::StatusOr<ListedInstance> InstanceManager::Create(InstanceSettings settings,
                                                       bool validate_only, AuditEntry audit) {
  absl::MutexLock lock(&change_);
  if (absl::Status status = CheckOpen(); !status.ok()) return status;
  settings.in_file = false;
  if (!settings.request_id.empty()) {
    for (const auto& [name, entry] : table_->entries()) {
      const bool same = entry->settings.request_id == settings.request_id &&
                        entry->settings.created + kRequestIdLifetime > absl::Now();
      if (same && name != settings.name) {
        return absl::AlreadyExistsError(absl::StrCat("request_id: it made instance \"", name,
                                                     "\"; another request needs another one"));
      }
      if (!same) continue;
      if (absl::Status kept = AuditNoChange(std::move(audit), absl::OkStatus()); !kept.ok()) {
        return kept;
      }
      return ToListed(*table_, *entry);
    }
  }
  absl::Status status = CheckSettings(parts_.plugin->info().parameters, settings);
  if (!status.ok()) return status;
  if (table_->Find(settings.name) != nullptr) {
    return absl::AlreadyExistsError(
        absl::StrCat("name: an instance \"", settings.name, "\" exists already"));
  }
  if (table_->entries().size() >= kMostInstances) {
    return absl::FailedPreconditionError(absl::StrCat("there are ", table_->entries().size(),
                                                      " instances already; delete one first"));
  }
  settings.uid = NewInstanceUid();
  settings.generation = 1;
  settings.created = settings.changed = Now();
  InstanceChange change(*table_);
  change.steps.emplace_back(settings.name, settings);
  std::vector<std::string> names;
  AddChangedNames({}, settings, "", names);
  audit = Done(std::move(audit), std::move(names));
  change.save = [&] { return parts_.store->SaveInstance(ToStored(settings), &audit); };
  if (status = Run(change, validate_only); !status.ok()) return status;
  if (!validate_only) {
    LogAudit(audit);
    return ToListed(*table_, *table_->Find(settings.name));
  }
  InstanceEntry entry;
  entry.settings = std::move(settings);
  ListedInstance listed = ToListed(*table_, entry);
  listed.uid = listed.etag = "";  // there is no such instance
  return listed;
}

absl::StatusOr<ListedInstance> InstanceManager::Update(
    const std::string& name, const std::string& etag,
    const std::function<absl::Status(InstanceSettings& settings)>& change_settings,
    bool validate_only, AuditEntry audit) {
  absl::MutexLock lock(&change_);
  if (absl::Status status = CheckOpen(); !status.ok()) return status;
  const absl::StatusOr<const InstanceEntry*> entry = FindToChange(name, etag);
  if (!entry.ok()) return entry.status();
  InstanceSettings settings = (*entry)->settings;
  absl::Status status = change_settings(settings);
  if (status.ok()) status = CheckSettings(parts_.plugin->info().parameters, settings);
  if (!status.ok()) return status;
  const InstanceSettings& before = (*entry)->settings;
  const std::string etag_before = before.etag();
  if (settings.parameters == before.parameters && settings.disabled == before.disabled &&
      settings.on_engine == before.on_engine) {
    if (!validate_only) status = AuditNoChange(std::move(audit), absl::OkStatus());
    if (!status.ok()) return status;
    return ToListed(*table_, **entry);
  }
  std::vector<std::string> names;
  AddChangedNames(before, settings, "", names);
  audit = Done(std::move(audit), std::move(names));
  ++settings.generation;
  settings.changed = Now();
  InstanceChange change(*table_);
  change.steps.emplace_back(name, settings);
  change.save = [&] { return parts_.store->SaveInstance(ToStored(settings), &audit); };
  if (status = Run(change, validate_only); !status.ok()) return status;
  if (!validate_only) LogAudit(audit);
  InstanceEntry shown = *table_->Find(name);
  shown.settings = std::move(settings);
  ListedInstance listed = ToListed(*table_, shown);
  if (validate_only) listed.etag = etag_before;
  return listed;
}

absl::Status InstanceManager::Delete(const std::string& name, const std::string& etag,
                                     AuditEntry audit) {
  absl::MutexLock lock(&change_);
  if (absl::Status status = CheckOpen(); !status.ok()) return status;
  const absl::StatusOr<const InstanceEntry*> entry = FindToChange(name, etag);
  if (!entry.ok()) return entry.status();
  const std::string uid = (*entry)->settings.uid;
  InstanceChange change(*table_);
  change.steps.emplace_back(name, std::nullopt);
  audit = Done(std::move(audit), {});
  change.save = [&] { return parts_.store->DeleteInstance(uid, &audit); };
  if (absl::Status status = Run(change, /*validate_only=*/false); !status.ok()) return status;
  LogAudit(audit);
  // What it remembered while it was drained goes too.
  return parts_.store->DeleteInstance(uid);
}

absl::Status InstanceManager::Reload(const Configuration& configuration, AuditEntry audit) {
  absl::MutexLock lock(&change_);
  if (absl::Status status = CheckOpen(); !status.ok()) return status;
  if (configuration.limits_set != limits_set_) {
    return absl::FailedPreconditionError(
        "limits are read at the start only: start the host again to change them");
  }
  absl::StatusOr<InstanceChange> change = PlanReload(*table_, configuration);
  if (!change.ok()) return change.status();
  audit = Done(audit, ChangedNames(*table_, *change, audit.parameters));
  change->save = [&] { return parts_.store->AddAudit(audit); };
  absl::Status status = Run(*change, /*validate_only=*/false);
  if (status.ok()) LogAudit(audit);
  return status;
}

absl::Status InstanceManager::Run(InstanceChange& change, bool validate_only) {
  if (retired_.size() >= kMostRetired) {
    return absl::UnavailableError(absl::StrCat(
        kMostRetired, " or more earlier instances still have requests; try again later"));
  }
  absl::Status status = PrepareChange(*parts_.plugin, *table_, change);
  if (!status.ok() || validate_only) return status;
  status = StartFresh(*table_, change);
  if (status.ok()) status = change.save();
  if (!status.ok()) {
    Retire(AbandonChange(change), absl::Now());
    return status;
  }
  Apply(change);
  return absl::OkStatus();
}

// Cannot fail. New instances take their places first, then the old ones are drained, so that nobody
// finds one that refuses.
void InstanceManager::Apply(InstanceChange& change) {
  CommitChange(*table_, change);
  auto next = std::make_shared<InstanceSnapshot>(*table_);
  next->platform = change.platform;
  next->server_configuration = change.server_configuration;
  std::vector<std::shared_ptr<HostedInstance>> old;
  for (ChangeStep& step : change.steps) old.push_back(ApplyStep(step, *next));
  Publish(std::move(next));
  Retire(std::move(old), absl::Now() + parts_.drain_time);
  next = nullptr;
  for (const ChangeStep& step : change.steps) {
    if (!step.deferred_start) continue;
    if (next == nullptr) next = std::make_shared<InstanceSnapshot>(*table_);
    InstanceEntry entry = *next->Find(step.name);
    Try(entry, next->platform);
    Put(std::move(entry), *next);
  }
  if (next != nullptr) Publish(std::move(next));
}

std::shared_ptr<HostedInstance> InstanceManager::ApplyStep(ChangeStep& step,
                                                           InstanceSnapshot& next) {
  const InstanceEntry* const before = next.Find(step.name);
  std::shared_ptr<HostedInstance> replaced;
  if (before != nullptr && !step.updated) replaced = before->instance;
  if (!step.after.has_value()) {
    next.Remove(step.name);
    return replaced;
  }
  InstanceEntry entry;
  if (before != nullptr) entry = *before;
  entry.settings = *step.after;
  if (!step.updated) {
    ForgetStartError(entry);
    entry.instance = std::move(step.fresh);
  }
  Put(std::move(entry), next);
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
