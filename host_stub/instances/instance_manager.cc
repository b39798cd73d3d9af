#include "host_stub/instances/instance_manager.h"

#include <algorithm>
#include <chrono>
#include <set>

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
constexpr int kTriesOfAChange = 5;

// As precise as the store keeps it.
absl::Time Now() { return absl::FromUnixMicros(absl::ToUnixMicros(absl::Now())); }

const char* NameOf(HealthState state) {
  return state == HealthState::kHealthy    ? "healthy"
         : state == HealthState::kDegraded ? "degraded"
                                           : "unhealthy";
}

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
  const bool looks_at_store = manager->version_ != 0;
  manager->keeper_ = base::StartThread(
      "keeper", [raw = manager.get(), looks_at_store] { raw->KeepInstances(looks_at_store); });
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
  if (keeper_.joinable()) keeper_.join();
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
  const absl::StatusOr<std::vector<StoredInstance>> stored = parts_.store->ListInstances(&version_);
  if (!stored.ok()) return stored.status();
  for (const StoredInstance& one : *stored) {
    if (next.Find(one.name) != nullptr) {
      Hide(one, hidden_);
      continue;
    }
    absl::StatusOr<InstanceSettings> settings = SettingsOf(one);
    if (!settings.ok()) {
      Put(Unreadable(one, settings.status()), next);
      continue;
    }
    InstanceEntry entry;
    entry.settings = *std::move(settings);
    if (!entry.settings.disabled) Try(entry, next.platform);
    Put(std::move(entry), next);
  }
  return absl::OkStatus();
}

// What the file names is this host's, whatever the store has.
void InstanceManager::Hide(const StoredInstance& stored,
                           std::map<std::string, InstanceFacts>& hidden) const {
  const bool is_known = hidden_.contains(stored.uid);
  hidden.emplace(stored.uid, stored);
  if (is_known) return;
  parts_.logger->Log(Severity::kError, stored.name,
                     "the store has an instance of this name too, and the configuration file's "
                     "is served; rename the file's to have the store's again");
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
    told_ = false;
  }
  wake_.SignalAll();
  parts_.on_publish();
}

// What is done without being asked.

void InstanceManager::KeepInstances(bool looks_at_store) {
  using Clock = std::chrono::steady_clock;
  Clock::time_point look_at = Clock::now();
  Clock::time_point tell_at = look_at;
  absl::MutexLock lock(&mutex_);
  while (!stopped_) {
    absl::Time due = absl::InfiniteFuture();
    for (const auto& [name, entry] : table_->entries()) due = std::min(due, entry->retry_at);
    const bool retries = due <= absl::Now();
    const bool looks = looks_at_store && look_at <= Clock::now();
    if (!retries && !looks) {
      // At most for an hour: the clock of the day may be set.
      absl::Duration pause = std::min(due - absl::Now(), absl::Hours(1));
      if (looks_at_store) pause = std::min(pause, absl::FromChrono(look_at - Clock::now()));
      wake_.WaitWithTimeout(&mutex_, pause);
      continue;
    }
    mutex_.Unlock();
    if (retries) TryAgain();
    if (looks) LookAtStore();
    mutex_.Lock();
    if (!looks) continue;
    if (!std::exchange(told_, true) || tell_at <= Clock::now()) {
      mutex_.Unlock();
      TellOfHost();
      mutex_.Lock();
      tell_at = Clock::now() + absl::ToChronoMilliseconds(parts_.tell_pause);
    }
    look_at = Clock::now() + absl::ToChronoMilliseconds(parts_.look_pause);
  }
}

void InstanceManager::LookAtStore() {
  // Without the lock: it may take long.
  const absl::StatusOr<int64_t> version = parts_.store->InstancesVersion();
  if (!version.ok()) return;  // as its health tells
  absl::MutexLock change(&change_);
  if (*version != version_ && CheckOpen().ok()) TakeOver().IgnoreError();  // likewise
}

void InstanceManager::TellOfHost() {
  HostReport report;
  report.program = parts_.plugin->info().version;
  const auto add = [&report](const InstanceFacts& facts) -> InstanceOnHost& {
    InstanceOnHost& one = report.instances.emplace_back();
    one.uid = facts.uid;
    one.generation = facts.generation;
    one.state = facts.disabled ? "disabled" : "unhealthy";
    return one;
  };
  {
    absl::MutexLock change(&change_);
    report.version = version_;
    for (const auto& [name, entry] : table_->entries()) {
      InstanceOnHost& one = add(entry->settings);
      if (entry->instance != nullptr) {
        const InstanceHealth health = entry->instance->health();
        const InstanceCounts counts = entry->instance->counts();
        one.state = NameOf(health.state);
        one.message = health.message;
        one.requests = counts.calls;
        one.incidents = counts.incidents_created;
      }
      if (!entry->start_error.has_value()) continue;
      one.state = NameOf(entry->start_error->state);
      one.message = entry->start_error->message;
    }
    for (const auto& [uid, facts] : hidden_) {
      add(facts).message = "the host's configuration file has an instance of this name";
    }
  }
  parts_.store->TellOfHost(report).IgnoreError();  // the store's health tells of it
}

absl::Status InstanceManager::TakeOver() {
  int64_t version = 0;
  const auto stored = parts_.store->ListInstances(&version);
  if (!stored.ok()) return stored.status();
  std::set<std::string> uids;
  for (const StoredInstance& one : *stored) uids.insert(one.uid);
  InstanceChange removal(*table_);
  std::vector<std::string> removed;
  for (const auto& [name, entry] : table_->entries()) {
    if (entry->settings.in_file || uids.contains(entry->settings.uid)) continue;
    removal.steps.emplace_back(name, std::nullopt);
    removed.push_back(entry->settings.uid);
  }
  if (!removed.empty()) Apply(removal);
  // What it remembered while it was drained here goes too.
  for (const std::string& uid : removed) parts_.store->DeleteInstance(uid).IgnoreError();
  InstanceChange change(*table_);
  std::map<std::string, InstanceFacts> hidden;
  for (const StoredInstance& one : *stored) {
    const InstanceEntry* const entry = table_->Find(one.name);
    if (entry != nullptr && entry->settings.in_file) {
      Hide(one, hidden);
      continue;
    }
    const bool is_known = entry != nullptr && entry->settings.generation == one.generation;
    if (is_known && !entry->unreadable) continue;
    absl::StatusOr<InstanceSettings> settings = SettingsOf(one);
    if (settings.ok()) {
      change.steps.emplace_back(one.name, *std::move(settings));
    } else if (!is_known) {
      Replace(Unreadable(one, settings.status()));
    }
  }
  TakeOverSteps(change);
  hidden_ = std::move(hidden);
  version_ = version;
  return absl::OkStatus();
}

// All at once, so that a port can go from one to another. Where this host cannot apply one of them,
// the others are applied nevertheless.
void InstanceManager::TakeOverSteps(InstanceChange& change) {
  for (const ChangeStep& step : change.steps) {
    parts_.logger->Log(Severity::kInfo, step.name, "another host has changed it");
  }
  if (change.steps.empty() || Run(change, /*validate_only=*/false).ok()) return;
  for (const ChangeStep& step : change.steps) {
    InstanceChange alone(*table_);
    alone.steps.emplace_back(step.name, step.after);
    const absl::Status status = Run(alone, /*validate_only=*/false);
    if (status.ok()) continue;
    // It must not go on with its old settings, which may let somebody in.
    InstanceEntry entry;
    entry.settings = *step.after;
    if (!entry.settings.disabled) Fail(entry, status);
    Replace(std::move(entry));
  }
}

void InstanceManager::Replace(InstanceEntry entry) {
  auto next = std::make_shared<InstanceSnapshot>(*table_);
  const InstanceEntry* const before = next->Find(entry.settings.name);
  std::vector<std::shared_ptr<HostedInstance>> old;
  if (before != nullptr) old.push_back(before->instance);
  Put(std::move(entry), *next);
  Publish(std::move(next));
  Retire(std::move(old), absl::Now() + parts_.drain_time);
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
    parts_.logger->Log(
        Severity::kError, entry.settings.name,
        absl::StrCat("does not serve: ", message, entry.unreadable ? "" : "; will be tried again"));
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

InstanceEntry InstanceManager::Unreadable(const StoredInstance& stored, const absl::Status& why) {
  InstanceEntry entry;
  entry.settings = InstanceSettings{stored};
  entry.unreadable = true;
  Fail(entry, why);
  entry.retry_at = absl::InfiniteFuture();  // without its parameters it would let anybody in
  return entry;
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

absl::Status InstanceManager::OnNewest(absl::FunctionRef<absl::Status()> change) {
  absl::Status status = CheckOpen();
  for (int tries = 0; status.ok() && tries < kTriesOfAChange; ++tries) {
    if (version_ != 0) {
      const absl::StatusOr<int64_t> version = parts_.store->InstancesVersion();
      status = version.status();
      if (version.ok() && *version != version_) status = TakeOver();
      if (!status.ok()) return status;
    }
    const absl::Status changed = change();
    if (!absl::IsAborted(changed)) return changed;
  }
  if (!status.ok()) return status;
  return absl::UnavailableError("other hosts change instances at the same time; try again");
}

absl::Status InstanceManager::Check(InstanceSettings& settings) const {
  absl::Status status = CheckSettings(parts_.plugin->info().parameters, settings);
  if (!status.ok() || ToListed(settings).secrets_set.empty()) return status;
  return parts_.store->CheckKeepsSecrets();
}

absl::Status InstanceManager::Save(const InstanceSettings& settings, const AuditEntry& audit) {
  absl::Status status = parts_.store->SaveInstance(ToStored(settings), &audit, version_);
  if (status.ok() && version_ != 0) ++version_;
  return status;
}

absl::StatusOr<ListedInstance> InstanceManager::Create(InstanceSettings settings,
                                                       bool validate_only, AuditEntry audit) {
  absl::MutexLock lock(&change_);
  absl::StatusOr<ListedInstance> result;
  absl::Status status = OnNewest([&] {
    result = CreateNow(settings, validate_only, audit);
    return result.status();
  });
  if (!status.ok()) return status;
  return result;
}

absl::StatusOr<ListedInstance> InstanceManager::CreateNow(InstanceSettings settings,
                                                          bool validate_only, AuditEntry audit) {
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
  absl::Status status = Check(settings);
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
  change.save = [&] { return Save(settings, audit); };
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
  absl::StatusOr<ListedInstance> result;
  absl::Status status = OnNewest([&] {
    result = UpdateNow(name, etag, change_settings, validate_only, audit);
    return result.status();
  });
  if (!status.ok()) return status;
  return result;
}

absl::StatusOr<ListedInstance> InstanceManager::UpdateNow(
    const std::string& name, const std::string& etag,
    const std::function<absl::Status(InstanceSettings& settings)>& change_settings,
    bool validate_only, AuditEntry audit) {
  const absl::StatusOr<const InstanceEntry*> entry = FindToChange(name, etag);
  if (!entry.ok()) return entry.status();
  if ((*entry)->unreadable) return absl::FailedPreconditionError((*entry)->start_error->message);
  InstanceSettings settings = (*entry)->settings;
  absl::Status status = change_settings(settings);
  if (status.ok()) status = Check(settings);
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
  change.save = [&] { return Save(settings, audit); };
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
  return OnNewest([&] { return DeleteNow(name, etag, audit); });
}

absl::Status InstanceManager::DeleteNow(const std::string& name, const std::string& etag,
                                        AuditEntry audit) {
  const absl::StatusOr<const InstanceEntry*> entry = FindToChange(name, etag);
  if (!entry.ok()) return entry.status();
  const std::string uid = (*entry)->settings.uid;
  InstanceChange change(*table_);
  change.steps.emplace_back(name, std::nullopt);
  audit = Done(std::move(audit), {});
  change.save = [&] {
    absl::Status status = parts_.store->DeleteInstance(uid, &audit, version_);
    if (status.ok() && version_ != 0) ++version_;
    return status;
  };
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
  if (!status.ok()) return status;
  LogAudit(audit);
  // The store may have one of a name that the file has had.
  if (version_ != 0) version_ = -1;
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
