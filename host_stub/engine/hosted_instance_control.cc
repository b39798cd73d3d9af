// The part of HostedInstance that people go through: descriptions, commands, changes.
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "host_stub/engine/abi_arrays.h"
#include "host_stub/engine/guarded.h"
#include "host_stub/engine/hosted_instance.h"
#include "host_stub/engine/instance_record.h"
#include "host_stub/engine/plugin_core.h"
#include "host_stub/engine/request.h"

namespace host_stub {
namespace {

struct DescriptionSink {
  InstanceDescription description;
  bool called = false;

  static void OnDescription(void* context, const lri_description* given) {
    DescriptionSink& sink = *static_cast<DescriptionSink*>(context);
    if (given == nullptr || !LRI_HAS(given, warnings)) return;
    sink.called = true;
    InstanceDescription& description = sink.description;
    description.external_key_needed = given->external_key_needed != 0;
    description.path_prefix = std::string(ToStringView(given->path_prefix));
    description.webhook_url = std::string(ToStringView(given->webhook_url));
    description.listen_url = std::string(ToStringView(given->listen_url));
    description.record_noun = std::string(ToStringView(given->record_noun));
    description.warnings = ToStrings(given->warnings);
    if (!LRI_HAS(given, listen_failed)) return;
    description.listen_answers = {static_cast<int64_t>(given->listen_succeeded),
                                  static_cast<int64_t>(given->listen_refused),
                                  static_cast<int64_t>(given->listen_failed)};
  }
};

}  // namespace

absl::StatusOr<InstanceDescription> HostedInstance::Describe() {
  DescriptionSink sink;
  int32_t code = LRI_OK;
  std::string thrown;
  const auto call = [&] {
    return core_.table().describe(record_->instance, &DescriptionSink::OnDescription, &sink);
  };
  if (!CallGuarded("describe", call, &code, &thrown)) {
    record_->Fault(thrown, /*broken=*/true);
    return absl::InternalError(thrown);
  }
  if (code != LRI_OK) {
    return absl::Status(ToStatusCode(code), "the plugin does not describe the instance");
  }
  if (!sink.called) return absl::InternalError("the plugin described nothing");
  return std::move(sink.description);
}

absl::Status HostedInstance::RunCommand(absl::string_view name, absl::string_view arguments,
                                        CommandDone done) {
  void* const done_context = core_.commands.Begin(std::move(done));
  int32_t code = LRI_OK;
  std::string thrown;
  const auto call = [&] {
    return core_.table().command(record_->instance, ToView(name), ToView(arguments),
                                 &CommandTable::Done, done_context);
  };
  const bool returned = CallGuarded("command", call, &code, &thrown);
  if (returned && code == LRI_OK) return absl::OkStatus();
  if (!returned) record_->Fault(thrown, /*broken=*/true);
  if (!core_.commands.Withdraw(done_context)) return absl::OkStatus();  // the result counts
  if (!returned) return absl::InternalError(thrown);
  const std::string shown = EscapeForLog(name, 64);
  if (code == LRI_NOT_FOUND) return absl::NotFoundError(absl::StrCat("no command ", shown));
  if (code == LRI_UNIMPLEMENTED) {
    return absl::UnimplementedError(absl::StrCat("the plugin does not yet do ", shown));
  }
  return absl::Status(ToStatusCode(code), absl::StrCat("the plugin refused to do ", shown));
}

absl::StatusOr<std::unique_ptr<InstanceUpdate>> HostedInstance::PrepareUpdate(
    const InstanceSpec& spec) {
  if (spec.uid != record_->uid || spec.name != record_->name) {
    return absl::InvalidArgumentError("an update cannot change an instance's uid or name");
  }
  absl::MutexLock lock(&control_);
  if (update_pending_) return absl::FailedPreconditionError("another update is under way");
  const AbiInstanceOptions options(spec, record_->abi());
  lri_update* update = nullptr;
  ErrorText error;
  int32_t code = LRI_OK;
  std::string thrown;
  const auto call = [&] {
    return core_.table().update_prepare(record_->instance, options.abi(), &update, error.abi());
  };
  if (!CallGuarded("update_prepare", call, &code, &thrown)) {
    record_->Fault(thrown, /*broken=*/true);
    return absl::InternalError(thrown);
  }
  if (code != LRI_OK) return error.ToStatus(code, "the plugin refuses this configuration");
  if (update == nullptr) return absl::InternalError("update_prepare returned OK and no update");
  update_pending_ = true;
  return std::unique_ptr<InstanceUpdate>(new InstanceUpdate(shared_from_this(), update));
}

void HostedInstance::EndUpdate(lri_update* update, bool commit) {
  absl::MutexLock lock(&control_);
  update_pending_ = false;
  int32_t code = LRI_OK;
  std::string thrown;
  const auto call = [&] {
    if (commit) {
      core_.table().update_commit(update);
    } else {
      core_.table().update_abort(update);
    }
    return LRI_OK;
  };
  if (!CallGuarded(commit ? "update_commit" : "update_abort", call, &code, &thrown)) {
    return record_->Fault(thrown, /*broken=*/true);
  }
  if (commit) RememberPathPrefix();
}

void HostedInstance::RememberPathPrefix() {
  const absl::StatusOr<InstanceDescription> description = Describe();
  path_prefix_.store(
      std::make_shared<const std::string>(description.ok() ? description->path_prefix : "/"));
}

void InstanceUpdate::Commit() {
  if (update_ != nullptr) instance_->EndUpdate(std::exchange(update_, nullptr), /*commit=*/true);
}

InstanceUpdate::~InstanceUpdate() {
  if (update_ != nullptr) instance_->EndUpdate(update_, /*commit=*/false);
}

}  // namespace host_stub
