#include "plugin/runtime/instance.h"

#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "plugin/runtime/call.h"
#include "plugin/runtime/head_check.h"
#include "plugin/runtime/sample_commands.h"

namespace webhook::runtime {

Instance::Instance(Plugin& plugin, Configuration configuration, lri_host_instance* host_instance)
    : plugin_(plugin),
      configuration_(std::move(configuration)),
      host_instance_(host_instance),
      samples_(plugin.host(), host_instance, plugin.limits(), plugin.tasks()) {}

absl::Status Instance::Start() {
  if (!gate_.Open()) {
    return absl::FailedPreconditionError(
        absl::StrCat("instance ", configuration_.name, " serves already"));
  }
  samples_.Start(configuration_.store_samples);
  for (const std::string& warning : configuration_.warnings) {
    plugin_.host().Log(host_instance_, LRI_WARNING, warning);
  }
  plugin_.host().SetHealth(host_instance_, LRI_HEALTHY, "serves");
  return absl::OkStatus();
}

absl::Status Instance::Stop(absl::Time deadline) {
  gate_.Close();
  if (gate_.WaitUntilEmpty(deadline)) {
    if (samples_.Stop(deadline)) return absl::OkStatus();
    return absl::DeadlineExceededError(
        absl::StrCat("instance ", configuration_.name, " waits for the host to keep its samples"));
  }
  return absl::DeadlineExceededError(absl::StrCat("instance ", configuration_.name, " still has ",
                                                  gate_.entered(), " calls in flight"));
}

int32_t Instance::CheckHead(const lri_request_head& head, lri_answer_sink sink, void* sink_context,
                            lri_head_verdict& verdict) {
  if (!gate_.is_open()) return LRI_UNAVAILABLE;
  const HeadRefusal refusal =
      runtime::CheckHead(head, ToHeaderViews(head.headers), configuration_, plugin_.limits());
  verdict.refused = refusal != HeadRefusal::kNone;
  verdict.body_limit_bytes = static_cast<uint64_t>(plugin_.limits().body_bytes);
  verdict.ticket = configuration_.ticket;
  AnswerRefusal(refusal, configuration_, sink, sink_context);
  return LRI_OK;
}

int32_t Instance::Execute(const lri_request& request) {
  if (!gate_.Enter()) return LRI_UNAVAILABLE;
  FreeList<Call>::Lease lease{};
  try {
    lease = plugin_.calls().Take([] { return std::make_unique<Call>(); });
  } catch (const std::bad_alloc&) {
  }
  if (lease.object == nullptr) {
    gate_.Leave();
    return LRI_UNAVAILABLE;
  }
  Samples* const samples = configuration_.store_samples ? &samples_ : nullptr;
  Call::Run(lease, {&plugin_, &configuration_, host_instance_, &gate_, samples}, request);
  return LRI_OK;
}

void Instance::Describe(lri_description_sink sink, void* sink_context) const {
  std::vector<lri_view> warnings;
  for (const std::string& warning : configuration_.warnings) warnings.push_back(ToView(warning));
  const core::Platform& platform = *configuration_.platform;
  const lri_description description{
      .struct_size = sizeof(lri_description),
      .external_key_needed = platform.external_key_needed,
      .path_prefix = ToView(platform.path_prefix),
      .webhook_url = ToView(configuration_.webhook_url),
      .listen_url = ToView(configuration_.listen_url),
      .record_noun = ToView(platform.record),
      .warnings = {warnings.data(), warnings.size(), sizeof(lri_view)},
  };
  sink(sink_context, &description);
}

int32_t Instance::Command(absl::string_view name, absl::string_view arguments,
                          lri_command_done done, void* done_context) {
  if (name == "test") {
    if (!gate_.is_open()) {
      done(done_context, LRI_FAILED_PRECONDITION, ToView("the instance does not serve"));
    } else {
      done(done_context, LRI_OK, ToView("\"ok\""));
    }
    return LRI_OK;
  }
  if (IsSampleCommand(name)) return samples_.Command(name, arguments, done, done_context);
  return name == "try" ? LRI_UNIMPLEMENTED : LRI_NOT_FOUND;
}

}  // namespace webhook::runtime
