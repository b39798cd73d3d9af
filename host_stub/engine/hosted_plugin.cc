#include "host_stub/engine/hosted_plugin.h"

#include <random>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "host_stub/engine/border.h"
#include "host_stub/engine/hosted_instance.h"
#include "host_stub/engine/instance_record.h"
#include "host_stub/engine/plugin_core.h"
#include "plugin/base/characters.h"

namespace host_stub {
namespace {

// How long plugin_destroy may take to join its threads, with nothing left to do.
constexpr absl::Duration kMostTimeToEnd = absl::Seconds(5);

// Names the plugin in an error of its own.
absl::Status OfPlugin(const PluginCore& core, const absl::Status& status) {
  return absl::Status(status.code(), absl::StrCat("plugin ", core.path(), ": ", status.message()));
}

absl::StatusOr<PluginInfo> ReadInfo(const PluginCore& core) {
  PluginInfo info;
  const auto sink = [](void* context, const lri_plugin_info* given) noexcept {
    if (given == nullptr || !LRI_HAS(given, parameters)) return;
    auto& info = *static_cast<PluginInfo*>(context);
    info.name = std::string(ToStringView(given->name));
    info.version = std::string(ToStringView(given->version));
    info.parameters = ToStrings(given->parameters);
    if (!LRI_HAS(given, limits)) return;
    ForEach<lri_parameter>(given->described_parameters, [&info](const lri_parameter& one) {
      info.described_parameters.push_back(
          {std::string(ToStringView(one.name)), one.type, one.secret != 0, one.may_be_file != 0,
           std::string(ToStringView(one.default_value)), std::string(ToStringView(one.required)),
           std::string(ToStringView(one.meaning))});
    });
    ForEach<lri_limit>(given->limits, [&info](const lri_limit& one) {
      info.limits.push_back({std::string(ToStringView(one.name)), one.default_value, one.least,
                             one.most, std::string(ToStringView(one.meaning))});
    });
    if (!LRI_HAS(given, sources)) return;
    ForEach<lri_source>(given->sources, [&info](const lri_source& one) {
      info.sources.push_back(
          {std::string(ToStringView(one.name)), std::string(ToStringView(one.title)),
           std::string(ToStringView(one.description)), std::string(ToStringView(one.profile))});
    });
  };
  core.Call("info", [&] { core.table().info(sink, &info); });
  if (info.name.empty()) {
    return OfPlugin(
        core, absl::FailedPreconditionError("does not tell its name; report it to its maker"));
  }
  info.abi_minor = core.table().abi_minor;
  return info;
}

absl::Status CreatePlugin(PluginCore& core, const PluginOptions& options) {
  const std::vector<lri_pair> limits = ToAbi(options.limits);
  lri_plugin_options abi = {};
  abi.struct_size = sizeof(abi);
  abi.io_threads = options.io_threads;
  abi.limits = PairList(limits).abi();
  ErrorText error;
  const int32_t code = core.Call("plugin_create", [&] {
    return core.table().plugin_create(core.host(), &abi, &core.plugin, error.abi());
  });
  if (code != LRI_OK) return OfPlugin(core, error.ToStatus(code, "could not be started"));
  if (core.plugin == nullptr) {
    return OfPlugin(core, absl::InternalError("plugin_create returned OK and no plugin"));
  }
  return absl::OkStatus();
}

absl::Status CheckSpec(const InstanceSpec& spec) {
  if (!base::IsName(spec.name)) {
    return absl::InvalidArgumentError(absl::StrCat("the instance name \"",
                                                   EscapeForLog(spec.name, base::kMostNameBytes),
                                                   "\" must be 1 to 64 of A-Z a-z 0-9 _ -"));
  }
  if (spec.uid.empty()) return absl::InvalidArgumentError("an instance needs a uid");
  return absl::OkStatus();
}

}  // namespace

std::string NewInstanceUid() {
  std::random_device random;
  std::string uid;
  for (int i = 0; i < 4; ++i) absl::StrAppend(&uid, absl::Hex(random(), absl::kZeroPad8));
  return uid;
}

HostedPlugin::HostedPlugin(std::unique_ptr<PluginCore> core, PluginInfo info)
    : core_(std::move(core)), info_(std::move(info)) {}

absl::StatusOr<std::shared_ptr<HostedPlugin>> HostedPlugin::Load(const std::string& path,
                                                                 const PluginOptions& options,
                                                                 HostServices services) {
  absl::StatusOr<PluginLibrary> library = PluginLibrary::Load(path);
  if (!library.ok()) return library.status();
  auto core = std::make_unique<PluginCore>(*std::move(library), std::move(services));
  absl::StatusOr<PluginInfo> info = ReadInfo(*core);
  if (!info.ok()) return info.status();
  if (absl::Status status = CreatePlugin(*core, options); !status.ok()) return status;
  return std::shared_ptr<HostedPlugin>(new HostedPlugin(std::move(core), *std::move(info)));
}

HostedPlugin::~HostedPlugin() {
  PluginCore* core = core_.get();
  if (!core->is_leaked()) {
    const auto end = [core] {
      core->Call("plugin_destroy", [core] { core->table().plugin_destroy(core->plugin); });
    };
    if (!RunUntil(absl::Now() + kMostTimeToEnd, end)) {
      core->LeakPermanently("its function plugin_destroy does not return");
    }
  }
  // Threads of the plugin may be using it.
  if (core->is_leaked()) static_cast<void>(core_.release());
}

const std::string& HostedPlugin::path() const { return core_->path(); }

absl::StatusOr<std::shared_ptr<HostedInstance>> HostedPlugin::CreateInstance(
    const InstanceSpec& spec) {
  if (absl::Status status = CheckSpec(spec); !status.ok()) return status;
  auto record = std::make_unique<InstanceRecord>(spec.uid, spec.name, info_.name, core_->logger(),
                                                 core_->traffic());
  const std::vector<lri_pair> parameters = ToAbi(spec.parameters);
  const lri_instance_options options = ToAbi(spec, parameters, record->abi());
  ErrorText error;
  const int32_t code = core_->Call("create", [&] {
    absl::MutexLock lock(&core_->control);
    return core_->table().create(core_->plugin, &options, &record->instance, error.abi());
  });
  if (code != LRI_OK) return error.ToStatus(code, "the plugin refuses this configuration");
  if (record->instance == nullptr) {
    return absl::InternalError("the plugin's function create returned OK and no instance");
  }
  return std::shared_ptr<HostedInstance>(
      new HostedInstance(shared_from_this(), *core_, std::move(record)), &HostedInstance::LetGo);
}

}  // namespace host_stub
