#include "host_stub/observe/refusals.h"

#include <algorithm>
#include <optional>
#include <random>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "host_stub/observe/traffic.h"
#include "plugin/http/address.h"

namespace host_stub {
namespace {

constexpr size_t kMostDetailBytes = 512;
constexpr absl::Duration kPauseOfLines = absl::Minutes(1);
// Networks of one instance and reason that have a line of their own each minute; the others share
// one.
constexpr size_t kMostNetworks = 64;

std::string Copy(lri_view view, size_t most = 256) {
  return view.size == 0 ? "" : std::string(view.data, std::min(view.size, most));
}

std::string NewEpoch() {
  std::random_device random;
  return absl::StrCat(absl::Hex(random(), absl::kZeroPad8));
}

Refusal MakeRefusal(absl::string_view instance, const lri_answered& answered, absl::Time now) {
  Refusal refusal;
  refusal.time = now;
  refusal.instance = std::string(instance);
  refusal.door = answered.door;
  refusal.request_id = Copy(answered.request_id);
  refusal.peer = Copy(answered.peer_address);
  refusal.method = Copy(answered.method, 32);
  refusal.path = Copy(answered.path);
  const size_t names = std::min<size_t>(answered.header_names.count, 32);
  refusal.header_names.reserve(names);
  for (size_t i = 0; i < names; ++i) {
    const auto* name = reinterpret_cast<const lri_view*>(
        reinterpret_cast<const char*>(answered.header_names.data) +
        i * answered.header_names.stride);
    refusal.header_names.push_back(Copy(*name, 64));
  }
  if (LRI_HAS(&answered, trace_id)) refusal.trace_id = Copy(answered.trace_id, 32);
  refusal.status = answered.status;
  refusal.reason = answered.reason;
  refusal.detail = Copy(answered.detail, kMostDetailBytes);
  refusal.bytes_received = answered.bytes_received;
  refusal.bytes_sent = answered.bytes_sent;
  refusal.duration = absl::Nanoseconds(answered.duration_ns);
  return refusal;
}

// "a request from 192.0.2.7 was refused: no password matches (401 credentials, http-1-7)". Neither
// method nor path is in it: who sends a secret in a wrong place may put it there, and a log goes
// farther than this memory.
std::string MakeLine(const Refusal& refusal) {
  const bool is_request = !refusal.method.empty() || !refusal.request_id.empty();
  std::string line =
      absl::StrCat("a ", is_request ? "request" : "connection", " from ",
                   refusal.peer.empty() ? "an unknown address" : refusal.peer,
                   refusal.reason == LRI_REASON_PEER_GONE ? " was given up by it" : " was refused");
  if (!refusal.detail.empty()) absl::StrAppend(&line, ": ", refusal.detail);
  absl::StrAppend(&line, " (");
  if (refusal.status != 0) absl::StrAppend(&line, refusal.status, " ");
  absl::StrAppend(&line, lri_reason_name(refusal.reason));
  if (!refusal.request_id.empty()) absl::StrAppend(&line, ", ", refusal.request_id);
  if (!refusal.trace_id.empty()) absl::StrAppend(&line, ", trace ", refusal.trace_id);
  return absl::StrCat(line, ")");
}

std::string NetworkOf(absl::string_view peer) {
  const absl::StatusOr<webhook::http::Address> address = webhook::http::Address::Parse(peer);
  return address.ok() ? address->Network().ToString() : std::string(peer);
}

std::string PositionText(absl::string_view epoch, int64_t number) {
  return absl::StrCat("refusals:", epoch, ":", number);
}

}  // namespace

Refusals::Refusals(int64_t most_kept, std::shared_ptr<Logger> logger)
    : most_kept_(static_cast<size_t>(most_kept)), logger_(std::move(logger)), epoch_(NewEpoch()) {}

void Refusals::Add(absl::string_view instance, const lri_answered& answered, absl::Time now) {
  Refusal refusal = MakeRefusal(instance, answered, now);
  std::optional<int64_t> left_out;  // set where there is a line
  {
    absl::MutexLock lock(&mutex_);
    refusal.number = ++last_number_;
    Kind& kind = kinds_[{refusal.instance, refusal.reason}];
    left_out = LinesOf(kind, refusal.peer, now).Admit(now);
    kind.kept.push_back(left_out.has_value() ? refusal : std::move(refusal));
    ++kept_;
    MakeRoom(kind);
  }
  if (!left_out.has_value()) return;
  logger_->LogRequest(Severity::kWarning, instance,
                      absl::StrCat(MakeLine(refusal), base::LeftOut(*left_out)),
                      {.request_id = refusal.request_id,
                       .trace_id = refusal.trace_id,
                       .peer = refusal.peer,
                       .via = DoorName(refusal.door),
                       .status = refusal.status == 0 ? -1 : refusal.status,
                       .reason = lri_reason_name(refusal.reason),
                       .bytes = static_cast<int64_t>(refusal.bytes_received),
                       .bytes_sent = static_cast<int64_t>(refusal.bytes_sent),
                       .duration = refusal.duration});
}

void Refusals::MakeRoom(Kind& added) {
  if (kept_ <= most_kept_) return;
  // A flood finds its own kind to be the largest without looking at the others. Of equal ones, the
  // one whose oldest is older makes room.
  Kind* largest = &added;
  auto place = kinds_.end();
  if (added.kept.size() <= most_kept_ / 2) {
    const auto rank = [](const Kind& one) {
      return std::pair(one.kept.size(), -one.kept.front().number);
    };
    for (auto kind = kinds_.begin(); kind != kinds_.end(); ++kind) {
      if (rank(kind->second) < rank(*largest)) continue;
      largest = &kind->second;
      place = kind;
    }
  }
  largest->last_lost = largest->kept.front().number;
  largest->kept.pop_front();
  --kept_;
  if (!largest->kept.empty()) return;
  last_lost_ = std::max(last_lost_, largest->last_lost);
  kinds_.erase(place);
}

base::LineLimiter& Refusals::LinesOf(Kind& kind, absl::string_view peer, absl::Time now) {
  const auto of = [&kind](std::string network) -> base::LineLimiter& {
    return kind.lines.try_emplace(std::move(network), kPauseOfLines).first->second;
  };
  std::string network = NetworkOf(peer);
  if (const auto found = kind.lines.find(network); found != kind.lines.end()) return found->second;
  if (kind.lines.size() >= kMostNetworks) {
    int64_t left_out = 0;
    std::erase_if(kind.lines, [&](const auto& lines) {
      if (!lines.second.is_due(now)) return false;
      left_out += lines.second.left_out();
      return true;
    });
    if (left_out > 0) of("").LeaveOut(left_out);
  }
  return of(kind.lines.size() >= kMostNetworks ? "" : std::move(network));
}

absl::StatusOr<RefusalPage> Refusals::List(const RefusalQuery& query) const {
  RefusalPage page;
  int64_t after = 0;
  if (!query.position.empty()) {
    absl::string_view text = query.position;
    const size_t colon = text.rfind(':');
    if (!absl::ConsumePrefix(&text, "refusals:") || colon == absl::string_view::npos ||
        !absl::SimpleAtoi(query.position.substr(colon + 1), &after) || after < 0) {
      return absl::InvalidArgumentError("position: was not issued by this method");
    }
    if (text.substr(0, text.rfind(':')) != epoch_) {
      page.gap = true;
      after = 0;
    }
  }
  absl::MutexLock lock(&mutex_);
  if (!query.position.empty() && last_lost_ > after) page.gap = true;
  std::vector<const Refusal*> found;
  for (const auto& [key, kind] : kinds_) {
    if (!query.instance.empty() && key.first != query.instance) continue;
    if (query.reason != 0 && key.second != query.reason) continue;
    if (!query.position.empty() && kind.last_lost > after) page.gap = true;
    const auto first =
        std::partition_point(kind.kept.begin(), kind.kept.end(),
                             [after](const Refusal& refusal) { return refusal.number <= after; });
    for (auto refusal = first; refusal != kind.kept.end(); ++refusal) found.push_back(&*refusal);
  }
  std::sort(found.begin(), found.end(),
            [](const Refusal* left, const Refusal* right) { return left->number < right->number; });
  int64_t last = last_number_;
  if (found.size() > query.limit) {
    if (query.position.empty()) {
      found.erase(found.begin(), found.end() - static_cast<ptrdiff_t>(query.limit));
    } else {
      found.resize(query.limit);
      last = found.empty() ? after : found.back()->number;
    }
  }
  for (const Refusal* refusal : found) page.refusals.push_back(*refusal);
  page.position = PositionText(epoch_, last);
  return page;
}

}  // namespace host_stub
