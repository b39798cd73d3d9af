#include "host_stub/store/deduplication.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "plugin/abi/long_running_integration.h"

namespace host_stub {
namespace {

// SQLite keeps no text of 1,000,000,000 bytes or more.
constexpr int64_t kMostTextBytes = 900'000'000;

absl::Status CheckKey(absl::string_view key, const webhook::Limits& limits) {
  const int64_t most = limits.delivery_key_bytes + LRI_DELIVERY_KEY_PREFIX;
  if (static_cast<int64_t>(key.size()) <= most) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("a delivery key of ", key.size(),
                                                 " bytes; delivery_key_bytes is ",
                                                 limits.delivery_key_bytes));
}

absl::Time Expiry(const Submission& batch, absl::Time now) {
  return batch.delivery_key_lifetime > absl::ZeroDuration() ? now + batch.delivery_key_lifetime
                                                            : absl::InfiniteFuture();
}

absl::Status RememberKey(DeliveryKey key, IncidentTables& tables, DuplicateIndex& index) {
  if (absl::Status status = tables.AddKey(key); !status.ok()) return status;
  index.Stage(std::move(key));
  return absl::OkStatus();
}

bool IsOther(absl::string_view content, const DeliveryKey& known) {
  return !content.empty() && !known.content.empty() && content != known.content;
}

// What a key keeps of an incident, so that a duplicate is told it when the incident is gone: five
// numbers in a line, then the three texts that the last of these measure. All zero: nothing.
void AppendFirst(std::string& firsts, absl::Time created, double severity, absl::string_view name,
                 absl::string_view type, absl::string_view occurred) {
  absl::StrAppend(&firsts, absl::ToUnixMicros(created), " ", severity, " ", name.size(), " ",
                  type.size(), " ", occurred.size());
  absl::StrAppend(&firsts, "\n", name, type, occurred);
}

// Takes one from the front. False: there is none, or nothing is kept of it.
bool TakeFirst(absl::string_view& firsts, CreatedIncident& duplicate) {
  const absl::string_view line = firsts.substr(0, firsts.find('\n'));
  const std::vector<absl::string_view> numbers = absl::StrSplit(line, ' ');
  int64_t created = 0;
  double severity = 0;
  size_t sizes[3] = {};
  if (numbers.size() != 5 || !absl::SimpleAtoi(numbers[0], &created) ||
      !absl::SimpleAtod(numbers[1], &severity)) {
    return false;
  }
  firsts.remove_prefix(std::min(firsts.size(), line.size() + 1));
  std::string* const texts[] = {&duplicate.first->name, &duplicate.first->type,
                                &duplicate.first->occurred};
  for (size_t i = 0; i < std::size(sizes); ++i) {
    if (!absl::SimpleAtoi(numbers[2 + i], &sizes[i]) || sizes[i] > firsts.size()) return false;
    *texts[i] = std::string(firsts.substr(0, sizes[i]));
    firsts.remove_prefix(sizes[i]);
  }
  duplicate.created = absl::FromUnixMicros(created);
  duplicate.first->severity = severity;
  return created != 0;
}

// Takes from the front of `firsts`, if that is not empty. Who has only guessed a key must not learn
// what was delivered with it.
absl::Status MakeDuplicate(int64_t id, bool other_content, absl::string_view& firsts,
                           IncidentTables& tables, CreatedIncident& result) {
  result.id = id;
  result.first = std::make_unique<FirstIncident>();
  result.other_content = other_content;
  if (other_content || TakeFirst(firsts, result)) return absl::OkStatus();
  return tables.ReadFirst(id, result);
}

absl::Status WriteIncident(const Submission& batch, int64_t instance, const NewIncident& incident,
                           absl::Time now, SharedParts& shared, IncidentTables& tables,
                           DuplicateIndex& index, CreatedIncident& result) {
  if (!incident.delivery_key.empty()) {
    const DeliveryKey* known =
        index.Find(instance, KeyScope::kIncident, incident.delivery_key, now);
    if (known != nullptr) {
      const absl::StatusOr<std::string> firsts = tables.ReadFirsts(*known);
      if (!firsts.ok()) return firsts.status();
      absl::string_view rest = *firsts;
      return MakeDuplicate(known->ids.first(), IsOther(incident.content, *known), rest, tables,
                           result);
    }
  }
  result.created = now;
  if (batch.dry_run) return absl::OkStatus();
  const absl::StatusOr<int64_t> id = tables.AddIncident(instance, now, incident, shared);
  if (!id.ok()) return id.status();
  result.id = *id;
  if (incident.delivery_key.empty()) return absl::OkStatus();
  std::string firsts;
  AppendFirst(firsts, now, incident.severity, incident.name, incident.type, incident.occurred);
  return RememberKey(
      {instance, KeyScope::kIncident, std::string(incident.delivery_key), IncidentIds(*id),
       Expiry(batch, now), 0, std::string(incident.content), std::move(firsts)},
      tables, index);
}

}  // namespace

bool SharedParts::EndsDetailsOf(const NewIncident& incident) const {
  if (end.empty() || incident.details.empty()) return false;
  const absl::string_view last = incident.details.back();
  return last.size() >= end.size() && last.data() + last.size() == end.data() + end.size();
}

SharedParts FindSharedParts(const Submission& batch) {
  constexpr size_t kLeastSavedBytes = 4096;
  SharedParts shared{.request_address = batch.request_address,
                     .request_query = batch.request_query};
  if (batch.incidents.size() < 2 || batch.incidents[0].details.empty()) return shared;
  absl::string_view end = batch.incidents[0].details.back();
  size_t sharing = 0;
  for (const NewIncident& incident : batch.incidents) {
    if (incident.details.empty()) continue;
    const absl::string_view last = incident.details.back();
    if (last.data() + last.size() != end.data() + end.size()) continue;
    if (last.size() < end.size()) end = last;
    ++sharing;
  }
  if ((sharing - 1) * end.size() >= kLeastSavedBytes) shared.end = end;
  return shared;
}

size_t BytesOf(std::span<const absl::string_view> texts) {
  size_t bytes = 0;
  for (const absl::string_view text : texts) bytes += text.size();
  return bytes;
}

size_t TextBytes(const NewIncident& incident) {
  return incident.name.size() + incident.type.size() + incident.occurred.size() +
         BytesOf(incident.details) + BytesOf(incident.warnings) + incident.warnings.size();
}

absl::StatusOr<int64_t> CheckBatch(const Submission& batch, const webhook::Limits& limits) {
  if (batch.incidents.empty()) return absl::InvalidArgumentError("a batch without incidents");
  if (batch.instance_uid.empty()) return absl::InvalidArgumentError("a batch without instance");
  for (const absl::string_view key : {batch.delivery_key, batch.replay_key}) {
    if (absl::Status status = CheckKey(key, limits); !status.ok()) return status;
  }
  const SharedParts shared = FindSharedParts(batch);
  int64_t bytes = static_cast<int64_t>(sizeof(Submission) + shared.end.size() +
                                       batch.request_address.size() + batch.request_query.size());
  for (const NewIncident& incident : batch.incidents) {
    if (absl::Status status = CheckKey(incident.delivery_key, limits); !status.ok()) return status;
    const size_t own_bytes = TextBytes(incident) + incident.delivery_key.size();
    if (own_bytes > kMostTextBytes) {
      return absl::InvalidArgumentError(absl::StrCat("an incident of ", own_bytes, " bytes"));
    }
    bytes +=
        static_cast<int64_t>(own_bytes - (shared.EndsDetailsOf(incident) ? shared.end.size() : 0));
  }
  return bytes;
}

absl::Status WriteBatch(Submission& batch, absl::Time now, IncidentTables& tables,
                        DuplicateIndex& index) {
  batch.created.clear();
  batch.created.resize(batch.incidents.size());
  const absl::StatusOr<int64_t> instance = tables.InstanceNumber(batch, !batch.dry_run);
  if (!instance.ok()) return instance.status();
  batch.instance_number = *instance;
  const auto find = [&](absl::string_view key) {
    return key.empty() ? nullptr : index.Find(*instance, KeyScope::kBatch, key, now);
  };
  const DeliveryKey* const delivery = find(batch.delivery_key);
  const DeliveryKey* const replay = find(batch.replay_key);
  if (const DeliveryKey* known = delivery != nullptr ? delivery : replay; known != nullptr) {
    const bool other = IsOther(batch.content, *known);
    const size_t count = known->ids.size();
    const std::vector<int64_t> ids = known->ids.Expand(batch.created.size());
    absl::StatusOr<std::string> firsts = tables.ReadFirsts(*known);
    if (!firsts.ok()) return firsts.status();
    absl::string_view rest = *firsts;
    for (size_t i = 0; i < ids.size(); ++i) {
      absl::Status status =
          MakeDuplicate(ids[i], other || i >= count, rest, tables, batch.created[i]);
      if (!status.ok()) return status;
    }
    // What was signed anew under a known name: the replay of that must find the same incidents.
    if (batch.replay_key.empty() || replay != nullptr || batch.dry_run) return absl::OkStatus();
    return RememberKey({*instance, KeyScope::kBatch, std::string(batch.replay_key), known->ids,
                        Expiry(batch, now), 0, known->content, *std::move(firsts)},
                       tables, index);
  }
  const bool has_key = !batch.delivery_key.empty() || !batch.replay_key.empty();
  SharedParts shared = FindSharedParts(batch);
  IncidentIds ids;
  std::string firsts;
  for (size_t i = 0; i < batch.created.size(); ++i) {
    absl::Status status = WriteIncident(batch, *instance, batch.incidents[i], now, shared, tables,
                                        index, batch.created[i]);
    if (!status.ok()) return status;
    if (!has_key) continue;
    const CreatedIncident& created = batch.created[i];
    ids.Append(created.id);
    if (!created.duplicate()) {
      const NewIncident& incident = batch.incidents[i];
      AppendFirst(firsts, now, incident.severity, incident.name, incident.type, incident.occurred);
    } else {
      AppendFirst(firsts, created.created, created.first->severity, created.first->name,
                  created.first->type, created.first->occurred);
    }
  }
  if (batch.dry_run) return absl::OkStatus();
  for (const absl::string_view key : {batch.delivery_key, batch.replay_key}) {
    if (key.empty()) continue;
    absl::Status status = RememberKey({*instance, KeyScope::kBatch, std::string(key), ids,
                                       Expiry(batch, now), 0, std::string(batch.content), firsts},
                                      tables, index);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

void KeepKeys(std::span<Submission* const> batches, absl::Time now, DuplicateIndex& index) {
  index.Commit(now);
  for (Submission* const batch : batches) {
    batch->keys_forgotten_early = index.TakeForgottenEarly(batch->instance_number);
  }
}

void SetFailure(Submission& batch, CreationOutcome outcome, const absl::Status& status,
                int64_t retry_after_seconds) {
  batch.outcome = outcome;
  batch.status = status;
  batch.retry_after_seconds = retry_after_seconds;
  batch.created.clear();
}

bool FailIfPastDeadline(Submission& batch, int64_t now_mono_ns) {
  if (batch.deadline_mono_ns == 0 || now_mono_ns <= batch.deadline_mono_ns) return false;
  SetFailure(batch, CreationOutcome::kNotCreated,
             absl::DeadlineExceededError("the batch's time was over before it was begun"), 0);
  return true;
}

}  // namespace host_stub
