#include "host_stub/store/postgres/writer.h"

#include <openssl/evp.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "host_stub/store/postgres/incident_order.h"
#include "host_stub/store/postgres/schema.h"
#include "host_stub/store/rows.h"

namespace host_stub {
namespace {

using Kind = TransactionResult::Kind;
using Array = PostgresValues::Array;

constexpr size_t kCachedInstances = 10'000;
constexpr int64_t kPartitionsAhead = 7;  // days
constexpr int kTriesToTakeALane = 20;
constexpr std::chrono::seconds kRenewal(5);  // of a lease of 15 seconds
constexpr std::chrono::seconds kExpiry(20);
constexpr int64_t kKeysOfAStep = 5'000;
constexpr int64_t kRunsOfAStep = 5'000;
// Of keys whose submission asks for no lifetime.
constexpr absl::Duration kLifetimeOfKeys = absl::Hours(24 * 7);

// A guard fails with an error, which undoes the transaction, where the lane has another owner.
constexpr char kGuard[] =
    "UPDATE lane SET head = $1, expires = now() + interval '15 s', "
    "batch = CASE WHEN epoch = $2 AND batch = $3 THEN batch + 1 END WHERE lane = $4";
constexpr char kAddIncidents[] =
    "INSERT INTO incident (lane, id, sender, shared, created, severity, name, type, occurred, "
    "warnings, details) SELECT $1, * FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], "
    "$5::bigint[], $6::float8[], $7::bytea[], $8::bytea[], $9::bytea[], $10::bytea[], "
    "$11::bytea[])";
constexpr char kAddParts[] =
    "INSERT INTO shared_part (lane, id, details_end, address, query) "
    "SELECT $1, * FROM unnest($2::bigint[], $3::bytea[], $4::bytea[], $5::bytea[])";
// A key that lives fails the transaction: another host has stored it since it was looked for.
constexpr char kAddKeys[] =
    "INSERT INTO delivery_key AS known (sender, scope, key, expires, ids, content, firsts) "
    "SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bytea[], $4::bigint[], $5::text[], "
    "$6::bytea[], $7::bytea[]) ON CONFLICT (sender, scope, key) DO UPDATE SET "
    "expires = CASE WHEN known.expires <= $8 THEN excluded.expires END, ids = excluded.ids, "
    "content = excluded.content, firsts = excluded.firsts";
// LIMIT keeps the server from reading the whole table, which it takes for small until it is
// analyzed.
constexpr char kReadKeys[] =
    "SELECT wanted.number, expires, ids, content, firsts FROM "
    "unnest($1::bigint[], $2::bigint[], $3::bytea[]) WITH ORDINALITY "
    "AS wanted (sender, scope, key, number) CROSS JOIN LATERAL ("
    "SELECT expires, ids, content, firsts FROM delivery_key AS known "
    "WHERE known.sender = wanted.sender AND known.scope = wanted.scope AND known.key = wanted.key "
    "LIMIT 1) AS found";

std::string HashOf(absl::string_view key) {
  unsigned char hash[EVP_MAX_MD_SIZE];
  unsigned length = 0;
  EVP_Digest(key.data(), key.size(), hash, &length, EVP_sha256(), nullptr);
  return {reinterpret_cast<const char*>(hash), length};
}

constexpr absl::string_view kNullCode = "23502";  // of a guard, or of a key that lives
constexpr absl::string_view kNoPartitionCode = "23514";

bool IsOneOf(absl::string_view code, std::initializer_list<absl::string_view> codes) {
  return std::find(codes.begin(), codes.end(), code) != codes.end();
}

// What an error means for the transaction that it has undone.
Kind KindOf(absl::string_view code) {
  if (IsOneOf(code, {"40001", "40P01", "55P03", kNoPartitionCode, kNullCode})) {
    return Kind::kConflict;
  }
  const absl::string_view kind = code.substr(0, 2);
  if (IsOneOf(kind, {"21", "22", "23", "54"})) return Kind::kBadBatch;
  if (IsOneOf(kind, {"53"}) || code == "57014") return Kind::kRolledBack;
  return Kind::kRolledBackConnectionLost;  // a server that stops, or that is read-only now
}

}  // namespace

absl::StatusOr<std::unique_ptr<PostgresWriter>> PostgresWriter::Open(
    std::unique_ptr<PostgresConnection> connection, const Options& options, PostgresLane& lane,
    const std::function<void(std::string)>& tell_of_loss) {
  std::unique_ptr<PostgresWriter> writer(new PostgresWriter(std::move(connection), options, lane));
  const auto clock =
      writer->connection_->Run("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint");
  if (!clock.ok()) return clock.status();
  writer->clock_offset_ = absl::FromUnixMicros(clock->Integer(0, 0)) - options.now();
  if (absl::Status status = writer->MakePartitions(); !status.ok()) return status;
  if (absl::Status status = writer->TakeLane(tell_of_loss); !status.ok()) return status;
  writer->renew_at_ = writer->expire_at_ = Clock::now() + kRenewal;
  return writer;
}

absl::Status PostgresWriter::MakePartitions() {
  const int64_t today = IncidentId::DayOf(Now());
  return connection_
      ->Run("SELECT make_partitions($1, $2)",
            PostgresValues().Add(today).Add(today + kPartitionsAhead))
      .status();
}

// It is a write, which is committed as the batches are: a commit that this connection can see, but
// that a standby has not confirmed, is confirmed by it.
absl::Status PostgresWriter::TakeLane(const std::function<void(std::string)>& tell_of_loss) {
  if (lane_.number == 0) return TakeFreeLane();
  // What still runs for a connection of ours that was lost would hold the lane.
  const auto ended = connection_->Run(
      "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
      "WHERE application_name = $1 AND pid <> pg_backend_pid() AND usename = current_user",
      PostgresValues().Add(options_.owner));
  if (!ended.ok()) return ended.status();
  connection_->TakeWarning();
  const auto lane = connection_->Run(
      "UPDATE lane SET epoch = epoch + 1, expires = now() + interval '15 s' "
      "WHERE lane = $1 AND owner = $2 RETURNING epoch, batch, head",
      PostgresValues().Add(lane_.number).Add(options_.owner));
  if (!lane.ok()) return lane.status();
  // The wait for a standby was broken off: this confirms nothing.
  if (const std::string warning = connection_->TakeWarning(); !warning.empty()) {
    return absl::UnavailableError(absl::StrCat("PostgreSQL: ", warning));
  }
  if (lane->size() == 0) {  // another host has it: it cannot be told what that has changed
    lane_ = {};
    return TakeFreeLane();
  }
  const int64_t batch = lane->Integer(0, 1);
  if (batch < lane_.batch) {
    tell_of_loss(absl::StrCat(
        "the database server has lost commits that it had acknowledged: this host's last one was ",
        lane_.batch, ", and the server knows ", batch,
        "; a standby that had not received them was promoted, or an old backup restored"));
  }
  was_committed_ = batch > lane_.batch;
  lane_ = {lane_.number, lane->Integer(0, 0), batch, lane->Integer(0, 2)};
  return absl::OkStatus();
}

absl::Status PostgresWriter::TakeFreeLane() {
  const auto take = [this](const PostgresRows& row) {
    lane_ = {row.Integer(0, 0), row.Integer(0, 1), row.Integer(0, 2), row.Integer(0, 3)};
    return absl::OkStatus();
  };
  for (int i = 0; i < kTriesToTakeALane; ++i) {
    const auto expired = connection_->Run(
        "UPDATE lane SET epoch = epoch + 1, owner = $1, expires = now() + interval '15 s' "
        "WHERE lane = (SELECT lane FROM lane WHERE expires < now() AND lane > 0 ORDER BY lane "
        "LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING lane, epoch, batch, head",
        PostgresValues().Add(options_.owner));
    if (!expired.ok()) return expired.status();
    if (expired->size() == 1) return take(*expired);
    const auto added = connection_->Run(
        "INSERT INTO lane SELECT coalesce(max(lane), 0) + 1, 1, 0, 0, $1, now() + interval '15 s' "
        "FROM lane HAVING coalesce(max(lane), 0) < $2 "
        "ON CONFLICT (lane) DO NOTHING RETURNING lane, epoch, batch, head",
        PostgresValues().Add(options_.owner).Add(IncidentId::kLanes - 1));
    if (!added.ok()) return added.status();
    if (added->size() == 1) return take(*added);  // else another host was faster
  }
  return absl::UnavailableError(absl::StrCat(
      "PostgreSQL: there is no free lane: at most ", IncidentId::kLanes - 1,
      " hosts write one database, and a lane is free 15 seconds after its host has ended"));
}

absl::Status PostgresWriter::Begin() {
  begun_ = false;
  must_commit_ = false;
  now_ = Now();
  head_ = lane_.head;
  incidents_.clear();
  parts_.clear();
  keys_.clear();
  return absl::OkStatus();
}

absl::Status PostgresWriter::ReadKeysOf(std::span<Submission* const> batches,
                                        const std::function<void(DeliveryKey)>& take) {
  struct Wanted {
    int64_t instance;
    KeyScope scope;
    absl::string_view key;
  };
  std::vector<Wanted> wanted;
  for (Submission* const batch : batches) {
    const absl::StatusOr<int64_t> instance = InstanceNumber(*batch, !batch->dry_run);
    if (!instance.ok()) return instance.status();
    const auto want = [&](KeyScope scope, absl::string_view key) {
      if (!key.empty()) wanted.push_back({*instance, scope, key});
    };
    want(KeyScope::kBatch, batch->delivery_key);
    want(KeyScope::kBatch, batch->replay_key);
    for (const NewIncident& incident : batch->incidents) {
      want(KeyScope::kIncident, incident.delivery_key);
    }
  }
  if (wanted.empty()) return absl::OkStatus();
  const auto as_tuple = [](const Wanted& key) {
    return std::make_tuple(key.instance, key.scope, key.key);
  };
  std::sort(wanted.begin(), wanted.end(), [&](const Wanted& one, const Wanted& other) {
    return as_tuple(one) < as_tuple(other);
  });
  wanted.erase(std::unique(wanted.begin(), wanted.end(),
                           [&](const Wanted& one, const Wanted& other) {
                             return as_tuple(one) == as_tuple(other);
                           }),
               wanted.end());
  values_.Clear();
  values_.AddArray(Array::kIntegers, wanted, &Wanted::instance)
      .AddArray(Array::kIntegers, wanted,
                [](const Wanted& key) { return static_cast<int64_t>(key.scope); })
      .AddArray(Array::kBytes, wanted, [](const Wanted& key) { return HashOf(key.key); });
  const absl::StatusOr<PostgresRows> rows = connection_->Run(kReadKeys, values_);
  if (!rows.ok()) return rows.status();
  for (int row = 0; row < rows->size(); ++row) {
    const Wanted& key = wanted[static_cast<size_t>(rows->Integer(row, 0) - 1)];
    absl::StatusOr<IncidentIds> ids = IncidentIds::FromText(rows->Text(row, 2));
    if (!ids.ok()) return ids.status();
    take({key.instance, key.scope, std::string(key.key), *std::move(ids),
          absl::FromUnixMicros(rows->Integer(row, 1)) - clock_offset_, 0,
          std::string(rows->Text(row, 3)), std::string(rows->Text(row, 4))});
  }
  // What was found may be another host's commit that a standby has not confirmed yet.
  must_commit_ = rows->size() > 0;
  return absl::OkStatus();
}

absl::StatusOr<int64_t> PostgresWriter::InstanceNumber(const Submission& batch, bool may_add) {
  auto cached = instances_.find(batch.instance_uid);
  if (cached != instances_.end() && (!may_add || (cached->second.name == batch.instance_name &&
                                                  cached->second.brand == batch.source_brand))) {
    return cached->second.number;
  }
  // Outside the transaction: the row of a sender is no lock that others wait for.
  PostgresValues values;
  values.Add(batch.instance_uid);
  if (may_add) values.Add(batch.instance_name).Add(batch.source_brand);
  const absl::StatusOr<PostgresRows> rows =
      may_add ? connection_->Run(
                    "INSERT INTO sender (uid, name, brand) VALUES ($1, $2, $3) "
                    "ON CONFLICT (uid) DO UPDATE SET name = excluded.name, "
                    "brand = excluded.brand RETURNING number, name, brand",
                    values)
              : connection_->Run("SELECT number, name, brand FROM sender WHERE uid = $1", values);
  if (!rows.ok()) return rows.status();
  if (rows->size() == 0) return 0;
  if (instances_.size() >= kCachedInstances) instances_.clear();
  instances_.insert_or_assign(
      std::string(batch.instance_uid),
      Instance{rows->Integer(0, 0), std::string(rows->Text(0, 1)), std::string(rows->Text(0, 2))});
  return rows->Integer(0, 0);
}

absl::StatusOr<int64_t> PostgresWriter::AddIncident(int64_t instance, absl::Time created,
                                                    const NewIncident& incident,
                                                    SharedParts& shared) {
  head_ = IncidentId::After(head_, lane_.number, now_);
  const bool shares_end = shared.EndsDetailsOf(incident);
  int64_t& number = shares_end ? shared.number : shared.request_number;
  if (number == 0 && (shares_end || shared.has_request())) {
    number = head_;
    parts_.push_back(
        {number, shares_end ? shared.end : "", shared.request_address, shared.request_query});
  }
  incidents_.push_back({head_, instance, number, absl::ToUnixMicros(created), &incident,
                        shares_end ? shared.end.size() : 0});
  return head_;
}

absl::Status PostgresWriter::AddKey(DeliveryKey& key) {
  const absl::Time expires =
      key.expires == absl::InfiniteFuture() ? options_.now() + kLifetimeOfKeys : key.expires;
  // By the server's clock, which all hosts share.
  keys_.push_back({key.instance, key.scope, HashOf(key.key),
                   absl::ToUnixMicros(expires + clock_offset_), key.ids.ToText(), key.content,
                   key.firsts});
  return absl::OkStatus();
}

absl::Status PostgresWriter::ReadFirst(int64_t id, CreatedIncident& duplicate) {
  const auto rows = connection_->Run(
      "SELECT created, name, type, occurred, severity FROM incident WHERE lane = $1 AND id = $2",
      PostgresValues().Add(IncidentId::LaneOf(id)).Add(id));
  if (!rows.ok() || rows->size() == 0) return rows.status();
  ReadFirstIncident((*rows)[0], duplicate);
  return absl::OkStatus();
}

void PostgresWriter::PushIncidents() {
  if (!parts_.empty()) {
    values_.Clear();
    values_.Add(lane_.number).AddArray(Array::kIntegers, parts_, &PartRow::id);
    for (const auto member : {&PartRow::end, &PartRow::address, &PartRow::query}) {
      values_.AddArray(Array::kBytes, parts_, member);
    }
    connection_->Push(kAddParts, values_);
  }
  if (incidents_.empty()) return;
  values_.Clear();
  values_.Add(lane_.number);
  for (const auto member :
       {&IncidentRow::id, &IncidentRow::instance, &IncidentRow::shared, &IncidentRow::created}) {
    values_.AddArray(Array::kIntegers, incidents_, member);
  }
  const auto of = [](auto member) {
    return [member](const IncidentRow& row) { return row.incident->*member; };
  };
  values_.AddArray(Array::kReals, incidents_, of(&NewIncident::severity));
  for (const auto member : {&NewIncident::name, &NewIncident::type, &NewIncident::occurred}) {
    values_.AddArray(Array::kBytes, incidents_, of(member));
  }
  std::string lines;
  values_.AddArray(Array::kBytes, incidents_, [&lines](const IncidentRow& row) {
    return AsLines(row.incident->warnings, lines);
  });
  values_.BeginArray(Array::kBytes);
  std::vector<absl::string_view> pieces;
  for (const IncidentRow& row : incidents_) {
    pieces.assign(row.incident->details.begin(), row.incident->details.end());
    if (row.shared_bytes > 0) pieces.back().remove_suffix(row.shared_bytes);
    values_.AppendPieces(pieces);
  }
  connection_->Push(kAddIncidents, values_);
}

// In one order at all hosts, so that two of them never wait for each other.
void PostgresWriter::PushKeys() {
  if (keys_.empty()) return;
  std::sort(keys_.begin(), keys_.end(), [](const KeyRow& one, const KeyRow& other) {
    return std::tie(one.instance, one.scope, one.hash) <
           std::tie(other.instance, other.scope, other.hash);
  });
  values_.Clear();
  values_.AddArray(Array::kIntegers, keys_, &KeyRow::instance)
      .AddArray(Array::kIntegers, keys_,
                [](const KeyRow& row) { return static_cast<int64_t>(row.scope); })
      .AddArray(Array::kBytes, keys_, &KeyRow::hash)
      .AddArray(Array::kIntegers, keys_, &KeyRow::expires)
      .AddArray(Array::kTexts, keys_, &KeyRow::ids)
      .AddArray(Array::kBytes, keys_, &KeyRow::content)
      .AddArray(Array::kBytes, keys_, &KeyRow::firsts)
      .Add(absl::ToUnixMicros(now_));
  connection_->Push(kAddKeys, values_);
}

TransactionResult PostgresWriter::End(const absl::Status& written) {
  if (!written.ok()) return RollBack(written);
  const bool has_rows = !incidents_.empty() || !keys_.empty();
  if (!has_rows && !must_commit_ && !begun_) return {};
  return Commit();
}

TransactionResult PostgresWriter::Commit() {
  connection_->TakeWarning();
  if (!begun_) connection_->Push("BEGIN ISOLATION LEVEL READ COMMITTED");
  connection_->Push(
      kGuard, PostgresValues().Add(head_).Add(lane_.epoch).Add(lane_.batch).Add(lane_.number));
  const size_t guard = begun_ ? 0 : 1;
  const size_t last = guard + 1 + !parts_.empty() + !incidents_.empty() + !keys_.empty();
  PushIncidents();
  PushKeys();
  connection_->Push("COMMIT");
  const PostgresConnection::Pipeline pipeline = connection_->Flush();
  if (connection_->is_lost()) return {Kind::kUnknownConnectionLost, pipeline.status};
  if (!pipeline.status.ok()) {
    const std::string code = PostgresCodeOf(pipeline.status);
    if (pipeline.rows.size() == guard && code == kNullCode) {
      RollBack(pipeline.status);
      return {Kind::kRolledBackConnectionLost,
              absl::UnavailableError(
                  "PostgreSQL: another host has taken over the lane of this one, which had not "
                  "been heard of for 15 seconds; it goes on with another")};
    }
    // Also where the server was told to stop after it had committed.
    const bool may_be_there =
        pipeline.rows.size() > last ||
        (pipeline.rows.size() == last && KindOf(code) == Kind::kRolledBackConnectionLost);
    if (may_be_there) return {Kind::kUnknownConnectionLost, pipeline.status};
    return RollBack(pipeline.status);
  }
  // Where somebody breaks off the wait for a standby, COMMIT succeeds with a warning.
  if (const std::string warning = connection_->TakeWarning(); !warning.empty()) {
    return {Kind::kUnknownConnectionLost,
            absl::UnavailableError(absl::StrCat("PostgreSQL: ", warning))};
  }
  if (pipeline.rows.back().command() != "COMMIT") {
    return {Kind::kRolledBackConnectionLost,
            absl::UnavailableError("PostgreSQL: the transaction was rolled back")};
  }
  if (pipeline.rows[guard].changed() != 1) {
    return {Kind::kUnknownConnectionLost,
            absl::UnavailableError("PostgreSQL: the lane of this host is no longer there")};
  }
  begun_ = false;
  ++lane_.batch;
  lane_.head = head_;
  renew_at_ = Clock::now() + kRenewal;
  return {};
}

TransactionResult PostgresWriter::RollBack(const absl::Status& why) {
  instances_.clear();
  renew_at_ = Clock::now();  // which shows whether the server can be written
  if (connection_->is_lost()) return {Kind::kRolledBackConnectionLost, why};
  const std::string code = PostgresCodeOf(why);
  TransactionResult result{code.empty() ? Kind::kBadBatch : KindOf(code), why};
  absl::Status status;
  if (connection_->in_transaction()) status = connection_->RunScript("ROLLBACK");
  if (status.ok() && code == kNoPartitionCode) status = MakePartitions();
  if (!status.ok()) result.kind = Kind::kRolledBackConnectionLost;
  // That another host came first is no fault of ours, whatever the code says.
  if (result.kind != Kind::kBadBatch && absl::IsInternal(why)) {
    result.status = absl::UnavailableError(why.message());
  }
  begun_ = false;
  return result;
}

// Statements of a state's change run one by one.
absl::StatusOr<PostgresRows> PostgresWriter::RunState(const char* sql,
                                                      const PostgresValues& values) {
  if (!begun_) {
    const auto begun = connection_->Run("BEGIN ISOLATION LEVEL READ COMMITTED");
    if (!begun.ok()) return begun.status();
    begun_ = true;
  }
  return connection_->Run(sql, values);
}

absl::StatusOr<std::string> PostgresWriter::ReadContext(const std::string& uid,
                                                        const std::string& key) {
  const auto rows = RunState("SELECT value FROM context WHERE uid = $1 AND key = $2",
                             PostgresValues().Add(uid).Add(key));
  if (!rows.ok()) return rows.status();
  if (rows->size() == 0) return absl::NotFoundError("nothing is set under this key");
  return std::string(rows->Text(0, 0));
}

absl::Status PostgresWriter::WriteContext(const std::string& uid, const std::string& key,
                                          const std::string& value) {
  return RunState(
             "INSERT INTO context (uid, key, value) VALUES ($1, $2, $3) "
             "ON CONFLICT (uid, key) DO UPDATE SET value = excluded.value",
             PostgresValues().Add(uid).Add(key).AddBytes(value))
      .status();
}

absl::StatusOr<std::vector<StoredInstance>> PostgresWriter::ReadInstances() {
  const auto rows = RunState(
      "SELECT uid, name, configuration, disabled, on_engine, generation, request_id, created, "
      "changed, key_id FROM configured_instance ORDER BY name COLLATE \"C\"");
  if (!rows.ok()) return rows.status();
  std::vector<StoredInstance> list;
  for (int row = 0; row < rows->size(); ++row) {
    StoredInstance& instance = list.emplace_back(ReadInstance((*rows)[row]));
    absl::StatusOr<std::string> opened = options_.sealing->Open(
        {std::exchange(instance.configuration, ""), std::string(rows->Text(row, 9))},
        {options_.store, instance.uid, instance.generation});
    instance.fault = opened.status();
    if (opened.ok()) instance.configuration = *std::move(opened);
  }
  return list;
}

absl::StatusOr<int64_t> PostgresWriter::ReadVersion() {
  const auto rows = RunState("SELECT configured FROM meta");
  if (!rows.ok()) return rows.status();
  return rows->Integer(0, 0);
}

// Holds up other hosts' changes of instances until the end of the transaction.
absl::Status PostgresWriter::AdvanceVersion(int64_t version) {
  const auto advanced =
      RunState("UPDATE meta SET configured = configured + 1 WHERE configured = $1",
               PostgresValues().Add(version));
  if (!advanced.ok()) return advanced.status();
  if (advanced->changed() == 1) return absl::OkStatus();
  return absl::AbortedError("another host has changed an instance");
}

absl::Status PostgresWriter::WriteInstance(const StoredInstance& instance) {
  const auto named = RunState("SELECT 1 FROM configured_instance WHERE name = $1 AND uid <> $2",
                              PostgresValues().Add(instance.name).Add(instance.uid));
  if (!named.ok()) return named.status();
  if (named->size() > 0) {
    return absl::AlreadyExistsError(
        absl::StrCat("an instance \"", instance.name, "\" exists already"));
  }
  const absl::StatusOr<Sealing::Sealed> sealed = options_.sealing->Seal(
      instance.configuration, {options_.store, instance.uid, instance.generation});
  if (!sealed.ok()) return sealed.status();
  return RunState(
             "INSERT INTO configured_instance (uid, name, configuration, key_id, disabled, "
             "on_engine, generation, request_id, created, changed) VALUES ($1, $2, $3, $4, $5, "
             "$6, $7, $8, $9, $10) ON CONFLICT (uid) DO UPDATE SET name = excluded.name, "
             "configuration = excluded.configuration, key_id = excluded.key_id, disabled = "
             "excluded.disabled, on_engine = excluded.on_engine, generation = "
             "excluded.generation, request_id = excluded.request_id, created = "
             "excluded.created, changed = excluded.changed",
             PostgresValues()
                 .Add(instance.uid)
                 .Add(instance.name)
                 .AddBytes(sealed->bytes)
                 .Add(sealed->key_id)
                 .Add(int64_t{instance.disabled})
                 .Add(int64_t{instance.on_engine})
                 .Add(instance.generation)
                 .Add(instance.request_id)
                 .Add(absl::ToUnixMicros(instance.created))
                 .Add(absl::ToUnixMicros(instance.changed)))
      .status();
}

absl::Status PostgresWriter::DeleteInstance(const std::string& uid) {
  auto deleted =
      RunState("DELETE FROM configured_instance WHERE uid = $1", PostgresValues().Add(uid));
  if (deleted.ok()) {
    deleted = RunState("DELETE FROM context WHERE uid = $1", PostgresValues().Add(uid));
  }
  return deleted.status();
}

absl::Status PostgresWriter::WriteAudit(const AuditEntry& entry, int64_t most_kept) {
  std::string parameters;
  const auto written = RunState(
      "INSERT INTO audit (time, who, what, instance, outcome, parameters) "
      "VALUES ($1, $2, $3, $4, $5, $6) RETURNING number",
      PostgresValues()
          .Add(absl::ToUnixMicros(entry.time))
          .Add(entry.who)
          .Add(entry.what)
          .Add(entry.instance)
          .Add(entry.outcome)
          .Add(AsLines(entry.parameters, parameters)));
  if (!written.ok()) return written.status();
  return RunState("DELETE FROM audit WHERE number <= $1",
                  PostgresValues().Add(written->Integer(0, 0) - most_kept))
      .status();
}

absl::StatusOr<std::vector<AuditEntry>> PostgresWriter::ReadAudit(int64_t before, int64_t most) {
  const auto rows = RunState(
      "SELECT number, time, who, what, instance, outcome, parameters FROM audit "
      "WHERE number < $1 ORDER BY number DESC LIMIT $2",
      PostgresValues().Add(before > 0 ? before : INT64_MAX).Add(most));
  if (!rows.ok()) return rows.status();
  std::vector<AuditEntry> entries;
  for (int row = 0; row < rows->size(); ++row) entries.push_back(ReadAuditEntry((*rows)[row]));
  return entries;
}

// Whole days: their partitions are dropped.
absl::Status PostgresWriter::DeleteOldest(absl::Time created_before, int64_t most_bytes,
                                          Clock::time_point, Deleted& deleted) {
  int64_t before = created_before == absl::InfinitePast()
                       ? 0
                       : IncidentId::DayOf(created_before + clock_offset_);
  if (most_bytes > 0) {
    const auto sizes = connection_->Run(
        "SELECT substring(child.relname FROM '_([0-9]+)$')::bigint AS day, "
        "sum(pg_total_relation_size(child.oid))::bigint FROM pg_inherits JOIN pg_class child "
        "ON child.oid = inhrelid "
        "WHERE inhparent IN ('incident'::regclass, 'shared_part'::regclass) AND child.relkind = "
        "'r' AND child.relname ~ '_[0-9]+$' GROUP BY day ORDER BY day DESC");
    if (!sizes.ok()) return sizes.status();
    const int64_t today = IncidentId::DayOf(Now());
    int64_t bytes = 0;
    for (int row = 0; row < sizes->size(); ++row) {
      const int64_t day = sizes->Integer(row, 0);
      bytes += sizes->Integer(row, 1);
      if (bytes <= most_bytes || day >= today) continue;
      before = std::max(before, day + 1);
      break;
    }
  }
  if (before <= 0) return absl::OkStatus();
  const absl::StatusOr<bool> leads = Leads("retention");
  if (!leads.ok() || !*leads) return leads.status();
  // What is deleted has its place in the order, so that a reader who has missed it can be told.
  const absl::StatusOr<LastOrdered> ordered = OrderIncidents(*connection_);
  if (!ordered.ok()) return ordered.status();
  const auto dropped = connection_->Run("SELECT drop_oldest($1)", PostgresValues().Add(before));
  if (!dropped.ok()) return dropped.status();
  const int64_t incidents = dropped->Integer(0, 0);
  deleted.incidents = std::max<int64_t>(incidents, 0);
  // Of the order, one day more is kept, so that a reader who has missed nothing is not told so.
  const auto runs = connection_->Run(
      "DELETE FROM run WHERE position IN (SELECT position FROM run ORDER BY position LIMIT $1) "
      "AND lane > 0 AND last_id < (SELECT deleted_before FROM meta) - $2 "
      "AND position < (SELECT position FROM run_head)",
      PostgresValues().Add(kRunsOfAStep).Add(IncidentId::FirstOf(1)));
  if (!runs.ok()) return runs.status();
  deleted.more = incidents >= 0 || runs->changed() == kRunsOfAStep;
  return absl::OkStatus();
}

absl::StatusOr<bool> PostgresWriter::Leads(absl::string_view role) {
  const auto taken = connection_->Run(
      "INSERT INTO leader AS now VALUES ($1, $2, now() + interval '60 s') ON CONFLICT (role) DO "
      "UPDATE SET owner = excluded.owner, until = excluded.until "
      "WHERE now.owner = excluded.owner OR now.until < now()",
      PostgresValues().Add(role).Add(options_.owner));
  if (!taken.ok()) return taken.status();
  return taken->changed() == 1;
}

absl::Status PostgresWriter::DeleteExpiredKeys() {
  const absl::StatusOr<bool> leads = Leads("keys");
  if (!leads.ok() || !*leads) return leads.status();
  const auto deleted = connection_->Run(
      "DELETE FROM delivery_key WHERE expires <= $1 AND ctid = ANY (ARRAY(SELECT ctid FROM "
      "delivery_key WHERE expires <= $1 ORDER BY expires LIMIT $2))",
      PostgresValues().Add(absl::ToUnixMicros(Now())).Add(kKeysOfAStep));
  if (!deleted.ok()) return deleted.status();
  if (deleted->changed() == kKeysOfAStep) expire_at_ = Clock::now();
  return absl::OkStatus();
}

std::optional<std::chrono::steady_clock::time_point> PostgresWriter::next_maintenance() const {
  return std::min(renew_at_, expire_at_);
}

absl::Status PostgresWriter::RunMaintenance() {
  if (Clock::now() >= renew_at_) {
    renew_at_ = Clock::now() + kRenewal;
    if (absl::Status status = RenewLane(); !status.ok()) return status;
  }
  if (Clock::now() < expire_at_) return absl::OkStatus();
  expire_at_ = Clock::now() + kExpiry;
  const absl::Status status = CleanUp();
  return connection_->is_lost() ? status : absl::OkStatus();  // else it is tried again
}

absl::Status PostgresWriter::RenewLane() {
  const auto renewed = connection_->Run(
      "UPDATE lane SET expires = now() + interval '15 s' WHERE lane = $1 AND epoch = $2",
      PostgresValues().Add(lane_.number).Add(lane_.epoch));
  if (!renewed.ok()) return renewed.status();
  if (renewed->changed() == 1) return absl::OkStatus();
  return absl::UnavailableError("PostgreSQL: another host has taken over the lane of this one");
}

// What has expired goes, and partitions are there before they are needed.
absl::Status PostgresWriter::CleanUp() {
  // What another host has left at the server, and would keep keys locked.
  const auto ended = connection_->Run(
      "SELECT count(pg_terminate_backend(pid)) FROM lane JOIN pg_stat_activity ON "
      "application_name = owner WHERE expires < now() AND state <> 'idle' AND "
      "usename = current_user");
  if (!ended.ok()) return ended.status();
  if (absl::Status status = MakePartitions(); !status.ok()) return status;
  return DeleteExpiredKeys();
}

void PostgresWriter::PrepareToClose() {
  connection_
      ->Run("UPDATE lane SET expires = now() WHERE lane = $1 AND epoch = $2",
            PostgresValues().Add(lane_.number).Add(lane_.epoch))
      .IgnoreError();
  connection_->Run("DELETE FROM host WHERE name = $1", PostgresValues().Add(options_.owner))
      .IgnoreError();
}

}  // namespace host_stub
