// The part of HostedInstance that requests go through.
#include <string>

#include "absl/strings/str_cat.h"
#include "host_stub/engine/abi_answer.h"
#include "host_stub/engine/abi_arrays.h"
#include "host_stub/engine/guarded.h"
#include "host_stub/engine/hosted_instance.h"
#include "host_stub/engine/instance_record.h"
#include "host_stub/engine/plugin_core.h"

namespace host_stub {
namespace {

absl::Status NotTaken(int32_t code) noexcept try {
  if (code == LRI_UNAVAILABLE) {
    return absl::UnavailableError("the instance is stopping, or too much is in flight");
  }
  return absl::Status(ToStatusCode(code), "the instance did not take the request");
} catch (const std::exception&) {
  return absl::Status(ToStatusCode(code), "");
}

absl::Status Thrown(const std::string& what) noexcept try {
  return absl::InternalError(what);
} catch (const std::exception&) {
  return absl::Status(absl::StatusCode::kInternal, "");
}

// Who waits within check_head for its answer.
struct HeadSink {
  HeadAnswerReceiver* receiver;
  InstanceRecord* record;
  bool called = false;

  static void OnAnswer(void* context, const lri_answer* given) {
    HeadSink& sink = *static_cast<HeadSink*>(context);
    if (sink.called) {
      return sink.record->Fault("the plugin gave two answers to one head", /*broken=*/false);
    }
    sink.called = true;
    sink.record->heads_answered.fetch_add(1, std::memory_order_relaxed);
    Answer answer;
    const char* fault = JudgeAnswer(given, &answer);
    sink.record->CountAnswer(fault == nullptr ? answer.status : 500);
    if (fault == nullptr) return sink.receiver->OnHeadAnswer(answer);
    sink.record->Fault(absl::StrCat("the plugin's answer is not usable: ", fault),
                       /*broken=*/false);
    const PlainAnswer replacement(500, "The webhook's answer was not usable.\n");
    sink.receiver->OnHeadAnswer(replacement.answer());
  }
};

}  // namespace

absl::Status HostedInstance::CheckHead(const RequestHead& head, HeadAnswerReceiver* receiver,
                                       HeadVerdict* verdict) {
  lri_request_head abi_head;
  ToAbi(head, &abi_head);
  lri_head_verdict abi_verdict = {};
  abi_verdict.struct_size = sizeof(abi_verdict);
  HeadSink sink{receiver, record_.get()};
  int32_t code = LRI_OK;
  std::string thrown;
  const auto call = [&] {
    return core_.table().check_head(record_->instance, &abi_head, &HeadSink::OnAnswer, &sink,
                                    &abi_verdict);
  };
  const bool returned = CallGuarded("check_head", call, &code, &thrown);
  if (!returned) record_->Fault(thrown, /*broken=*/true);
  // Whatever else it says: who was answered once is not answered again.
  if (sink.called) {
    verdict->refused = true;
    return absl::OkStatus();
  }
  if (!returned) return absl::InternalError(thrown);
  if (code != LRI_OK) return NotTaken(code);
  if (abi_verdict.refused != 0) {
    record_->Fault("the plugin refused a head without an answer", /*broken=*/false);
    return absl::InternalError("the plugin refused a head without an answer");
  }
  verdict->refused = false;
  verdict->body_limit_bytes = abi_verdict.body_limit_bytes;
  verdict->ticket = abi_verdict.ticket;
  return absl::OkStatus();
}

absl::Status HostedInstance::Execute(const Request& request, AnswerReceiver* receiver,
                                     CallHandle* call_handle) {
  CallTable& calls = core_.host.calls();
  const lri_request* abi_request = calls.Begin(request, *record_, receiver);
  if (abi_request == nullptr) return absl::UnavailableError("too many calls are in flight");
  // From the moment that execute is called the slot may be another call's.
  const CallHandle call = CallTable::FromAbi(abi_request->call);
  *call_handle = call;
  int32_t code = LRI_OK;
  std::string thrown;
  const bool returned = CallGuarded(
      "execute", [&] { return core_.table().execute(record_->instance, abi_request); }, &code,
      &thrown);
  if (returned && code == LRI_OK) return absl::OkStatus();
  if (!returned) record_->Fault(thrown, /*broken=*/true);
  if (!calls.Withdraw(call)) {
    if (returned) {
      record_->Fault("the plugin answered a call and then refused it", /*broken=*/false);
    }
    return absl::OkStatus();  // the answer counts
  }
  return returned ? NotTaken(code) : Thrown(thrown);
}

bool HostedInstance::Abandon(CallHandle call) {
  if (!core_.host.calls().Abandon(call)) return false;
  record_->abandoned.fetch_add(1, std::memory_order_relaxed);
  int32_t code = LRI_OK;
  std::string thrown;
  const auto cancel = [&] {
    core_.table().cancel(record_->instance, CallTable::ToAbi(call));
    return LRI_OK;
  };
  if (!CallGuarded("cancel", cancel, &code, &thrown)) record_->Fault(thrown, /*broken=*/true);
  return true;
}

}  // namespace host_stub
