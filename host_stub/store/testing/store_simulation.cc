#include "host_stub/store/testing/store_simulation.h"

#include <sqlite3.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <latch>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "host_stub/store/sqlite/sqlite_store.h"
#include "host_stub/store/testing/fault_vfs.h"
#include "host_stub/store/testing/other_process.h"
#include "host_stub/store/testing/store_simulation_model.h"
#include "host_stub/store/testing/store_test_util.h"

namespace host_stub {
namespace {

// What a value may be: the last acknowledged one, or a later one with an unknown outcome.
using Candidates = std::set<std::string>;

constexpr int kTriesBesideAnotherProcess = 3;

class Simulation {
 public:
  explicit Simulation(uint32_t seed)
      : random_(seed),
        disk_(absl::StrCat("simulation-", seed), seed),
        has_great_ones_(seed % 8 == 2),
        has_lifetimes_(seed % 8 == 5),
        retention_by_days_(seed % 16 == 7),
        retention_by_bytes_(seed % 16 == 8) {
    folder_ = parent_.path() + "/data";
    if (seed % 8 == 3 || seed % 8 == 6) {
      other_reader_ = std::make_unique<OtherProcess>(folder_ + "/incidents.db",
                                                     "BEGIN; SELECT count(*) FROM incidents");
    }
    disk_.RefuseOpensAfterAFault();
  }

  SimulationReport Run() {
    const int lives = 3 + static_cast<int>(Below(4));
    for (int life = 0; life < lives && ok(); ++life) Live();
    report_.trace = disk_.trace();
    report_.faults = disk_.faults();
    report_.unknown = model_.unknown();
    report_.unknown_there = model_.unknown_there();
    report_.acknowledged = model_.acknowledged();
    report_.duplicates = model_.duplicates();
    report_.replays = model_.replays();
    report_.expired = model_.expired();
    report_.deleted = model_.deleted();
    report_.duplicates_of_deleted = model_.duplicates_of_deleted();
    return report_;
  }

 private:
  uint32_t Below(uint32_t end) { return static_cast<uint32_t>(random_()) % end; }
  bool OneIn(uint32_t n) { return Below(n) == 0; }
  bool ok() const { return report_.violation.empty(); }
  void Expect(const std::string& violation) {
    if (ok() && !violation.empty()) {
      report_.violation = absl::StrCat("life ", report_.lives, ", step ", step_, ": ", violation);
    }
  }
  void Require(bool holds, const std::string& otherwise) { Expect(holds ? "" : otherwise); }

  void Live();
  bool Open();
  void OpenOnAFailingDisk();
  void Step();
  void End();

  void ArmAFault();
  // What the writer does after a completion must not overlap with the next step.
  void AwaitHousekeeping() { store_->ListInstances().status().IgnoreError(); }
  void HealAndCheck();
  bool WaitUntilHealthy();
  void CheckAll();

  SentBatch MakeBatch();
  void SignAndLimit(SentBatch& batch);
  void MakeTwins(const SentBatch& batch, SentBatch& twin);
  TestIncident MakeIncident(const std::string& uid);
  void Submit(std::vector<SentBatch> batches);
  void ExpectNothingIsAcknowledged();
  void SaveInstance();
  void SetContext();
  void CheckState();
  void Retain();

  // Another process that reads. While it is there, the part of the WAL after its snapshot cannot be
  // copied, and the database cannot be opened again.
  void OpenOrCloseOtherReader();

  std::mt19937 random_;
  TemporaryFolder parent_;
  std::string folder_;
  FaultVfs disk_;
  // Only some histories have these, so that older seeds give the same histories as before.
  const bool has_great_ones_;
  const bool has_lifetimes_;  // of keys; and replay keys
  const bool retention_by_days_;
  const bool retention_by_bytes_;
  // May be null. It is made before the store, which has threads.
  std::unique_ptr<OtherProcess> other_reader_;
  std::unique_ptr<Store> store_;
  SimulationModel model_;
  std::map<std::string, Candidates> instances_;  // configurations by uid; "": none
  std::map<std::string, Candidates> contexts_;   // by key
  absl::Status opening_;
  SimulationReport report_;
  int64_t made_ = 0;  // a number for everything that is made, so that no two are equal
  std::atomic<int64_t> now_us_{1'700'000'000'000'000};
  int step_ = 0;
  bool armed_ = false;
};

bool Simulation::Open() {
  SqliteStoreOptions options;
  options.data_dir = folder_;
  options.vfs = disk_.name();
  options.disk_calls = disk_.disk_calls();
  options.now = [this] { return absl::FromUnixMicros(now_us_ += 1000); };
  options.wal_pages_between_copies = 20;
  options.first_reopen_pause = absl::Milliseconds(1);
  options.copies_on_a_thread = false;
  // Incidents are deleted in one step, and only when it is asked for. The database can shrink.
  options.retention_step = options.retention_pause = absl::Hours(1'000);
  if (retention_by_days_ || retention_by_bytes_) options.retention.days = 100'000;
  auto store = OpenSqliteStore(std::move(options));
  opening_ = store.status();
  if (!store.ok()) return false;
  store_ = *std::move(store);
  return true;
}

// An opening that fails, or is cut off, must leave a folder that opens the next time.
void Simulation::OpenOnAFailingDisk() {
  ArmAFault();
  if (OneIn(2)) disk_.CutPowerAt(Below(25));
  if (Open() && !disk_.power_is_cut()) return;
  store_.reset();
  disk_.Heal();
  armed_ = false;
  if (!disk_.power_is_cut()) return disk_.KeepCache();
  disk_.RestoreDisk(random_() | 1u);
  ++report_.power_cuts;
}

void Simulation::Live() {
  ++report_.lives;
  step_ = 0;
  if (OneIn(4)) OpenOnAFailingDisk();
  if (store_ == nullptr) {
    const bool opened = Open();
    Require(opened, absl::StrCat("a healthy disk, but ", opening_.ToString()));
  }
  if (!ok()) return;
  if (!armed_ && !disk_.power_is_cut()) CheckAll();
  if (OneIn(2)) disk_.CutPowerAt(Below(150));
  const int steps = 4 + static_cast<int>(Below(16));
  for (step_ = 1; step_ <= steps && ok() && !disk_.power_is_cut(); ++step_) Step();
  if (ok()) End();
}

void Simulation::OpenOrCloseOtherReader() {
  if (other_reader_->is_open()) return other_reader_->Close();
  Require(other_reader_->Open(), "another process cannot read");
}

void Simulation::Step() {
  if (other_reader_ != nullptr && OneIn(3)) OpenOrCloseOtherReader();
  if ((retention_by_days_ || retention_by_bytes_) && !armed_ && OneIn(3)) Retain();
  if (!armed_ && OneIn(4)) ArmAFault();
  const int64_t faults = disk_.faults();
  const int64_t failed_syncs = disk_.failed_wal_syncs();
  switch (Below(8)) {
    case 0:
      SaveInstance();
      break;
    case 1:
      SetContext();
      break;
    case 2:
    case 3: {
      std::vector<SentBatch> several(2 + Below(5));
      for (SentBatch& batch : several) batch = MakeBatch();
      if (has_lifetimes_ && several.size() > 2) MakeTwins(several[1], several[2]);
      Submit(std::move(several));
      break;
    }
    default: {
      std::vector<SentBatch> one;
      one.push_back(MakeBatch());
      Submit(std::move(one));
    }
  }
  AwaitHousekeeping();
  if (disk_.failed_wal_syncs() > failed_syncs) ExpectNothingIsAcknowledged();
  // Also without an armed fault: a sync that failed on one handle is reported to the others later.
  if (disk_.faults() > faults || (armed_ && OneIn(3))) HealAndCheck();
}

void Simulation::ArmAFault() {
  armed_ = true;
  const int64_t nth = Below(12);
  const int64_t times = OneIn(2) ? 1 : FaultDisk::kForEver;
  switch (Below(8)) {
    case 0:
    case 1:
      return disk_.FailWrites(SQLITE_FULL, nth, times);
    case 2:
      return disk_.FailWrites(SQLITE_IOERR_WRITE, nth, times);
    case 3:
      return disk_.FailReads(SQLITE_IOERR_READ, nth, times);
    case 4:
      return disk_.FailOpens(SQLITE_CANTOPEN);
    default:
      return disk_.FailSyncs(SQLITE_IOERR_FSYNC, Below(4), times);
  }
}

// A question that is asked while the store is opening is answered when it is open. It is asked
// twice, because the writer does its maintenance in between, and may learn of a failed sync only
// then. False: the power is cut.
bool Simulation::WaitUntilHealthy() {
  const auto healthy = [this] {
    return store_->ListInstances().ok() && store_->ListInstances().ok();
  };
  // Without a WAL nothing can be lost.
  std::error_code ignored;
  const bool has_wal = std::filesystem::file_size(folder_ + "/incidents.db-wal", ignored) > 0;
  const bool another_has_it = has_wal && other_reader_ != nullptr && other_reader_->is_open();
  int tries = 0;
  for (int64_t opens = disk_.opens(); !healthy(); opens = disk_.opens()) {
    if (disk_.power_is_cut()) return false;
    disk_.AwaitOpensPast(opens);
    if (another_has_it && ++tries == kTriesBesideAnotherProcess) other_reader_->Close();
  }
  // If it were opened beside another process, SQLite's index would count as copied what a failed
  // sync has lost.
  Require(tries == 0 || !another_has_it || tries >= kTriesBesideAnotherProcess,
          "opened again while another process had the database open");
  return true;
}

void Simulation::HealAndCheck() {
  disk_.Heal();
  armed_ = false;
  if (WaitUntilHealthy() && OneIn(2)) CheckAll();
}

void Simulation::CheckAll() {
  std::vector<StoredIncident> all;
  IncidentQuery query;
  query.limit = 7;  // small, so that paging is checked too
  for (bool more = true; more;) {
    auto page = store_->List(query);
    if (!page.ok() && disk_.power_is_cut()) return;
    if (!page.ok()) return Expect(absl::StrCat("reading: ", page.status().ToString()));
    for (StoredIncident& incident : page->incidents) all.push_back(std::move(incident));
    more = page->more;
    query.after_id = page->resume_id;
  }
  Expect(model_.Check(all));
  CheckState();
}

TestIncident Simulation::MakeIncident(const std::string& uid) {
  TestIncident incident;
  size_t filler = OneIn(12) ? Below(60'000) : Below(900);
  // Large enough to be written in pieces. No random number is drawn, so that older seeds give the
  // same histories as before.
  if (has_great_ones_ && made_ % 50 == 0) filler = 1'100'000;
  incident.details = {absl::StrCat("{\"number\":", ++made_, ",\"filler\":\""),
                      std::string(filler, static_cast<char>('a' + made_ % 26)), "\"}"};
  if (OneIn(2)) return incident;
  incident.key = absl::StrCat("key-", made_);
  if (const auto known = model_.KnownKey(random_()); OneIn(3) && known && known->first == uid) {
    incident.key = known->second;
  }
  return incident;
}

SentBatch Simulation::MakeBatch() {
  SentBatch batch;
  batch.uid = absl::StrCat("uid-", Below(3));
  const uint32_t size = OneIn(3) ? 1 : 1 + Below(OneIn(6) ? 120 : 8);
  for (uint32_t i = 0; i < size; ++i) batch.incidents.push_back(MakeIncident(batch.uid));
  if (size > 1 && OneIn(4)) batch.incidents.back().key = batch.incidents.front().key;  // twins
  if (has_lifetimes_) {
    SignAndLimit(batch);
    return batch;
  }
  if (!OneIn(3)) return batch;
  batch.key = absl::StrCat("batch-", made_);
  if (const auto known = model_.KnownBatchKey(random_()); OneIn(2) && known) {
    std::tie(batch.uid, batch.key) = *known;
    for (TestIncident& incident : batch.incidents) incident.key.clear();
  }
  return batch;
}

// A batch with new keys, or sent again: what was signed under a new name, or the name with what was
// signed anew. Each look at the clock takes a millisecond.
void Simulation::SignAndLimit(SentBatch& batch) {
  if (!OneIn(4)) batch.lifetime = OneIn(2) ? absl::Milliseconds(12) : absl::Hours(1);
  if (OneIn(4)) return;
  if (!OneIn(3)) batch.key = absl::StrCat("batch-", made_);
  if (!OneIn(3)) batch.replay_key = absl::StrCat("signed-", made_);
  const auto known = model_.KnownBatchKey(random_());
  if (!OneIn(2) || !known) return;
  batch.uid = known->first;
  (absl::StartsWith(known->second, "signed-") ? batch.replay_key : batch.key) = known->second;
  for (TestIncident& incident : batch.incidents) incident.key.clear();
}

void Simulation::MakeTwins(const SentBatch& batch, SentBatch& twin) {
  twin.uid = batch.uid;
  twin.key = batch.key;
  twin.replay_key = batch.replay_key;
  twin.lifetime = batch.lifetime;
  for (TestIncident& incident : twin.incidents) incident.key.clear();
}

// If there are several, the first one holds up the writer, so that the others form one commit.
void Simulation::Submit(std::vector<SentBatch> batches) {
  std::vector<std::unique_ptr<TestBatch>> sent;
  WaitingSink sink;
  const bool several = batches.size() > 1;
  if (several) sink.Hold();
  const absl::Time begun = absl::FromUnixMicros(now_us_);
  for (const SentBatch& batch : batches) {
    sent.push_back(
        std::make_unique<TestBatch>(batch.incidents, batch.key, batch.uid, batch.replay_key));
    TestBatch& submission = *sent.back();
    submission->delivery_key_lifetime = batch.lifetime;
    submission->sink = &sink;
    const absl::Status taken = store_->Create(submission.get());
    if (!taken.ok()) return Expect(absl::StrCat("not taken: ", taken.ToString()));
    if (several && sent.size() == 1) sink.WaitUntilHeld();
  }
  if (several) sink.Release();
  sink.WaitFor(static_cast<int64_t>(sent.size()));
  AwaitHousekeeping();
  bool unknown = false;
  for (size_t i = 0; i < sent.size(); ++i) {
    batches[i].begun = begun;
    batches[i].ended = absl::FromUnixMicros(now_us_);
    Expect(model_.Finished(batches[i], **sent[i]));
    unknown = unknown || (*sent[i])->outcome == CreationOutcome::kUnknown;
  }
  if (!unknown || disk_.power_is_cut()) return;
  ExpectNothingIsAcknowledged();
  disk_.Heal();
  armed_ = false;
  if (WaitUntilHealthy()) CheckAll();
}

// A sync of the WAL has failed, and no file can be opened any more.
void Simulation::ExpectNothingIsAcknowledged() {
  if (disk_.power_is_cut() || store_->health().ok()) return;
  SentBatch batch;
  batch.uid = "uid-0";
  batch.incidents.push_back(MakeIncident(batch.uid));
  batch.incidents.back().key.clear();
  TestBatch sent(batch.incidents, "", batch.uid);
  if (!sent.CreateIn(*store_).ok()) return Expect("not taken after a failed sync");
  Expect(model_.Finished(batch, *sent));
  Require(sent->outcome != CreationOutcome::kCreated, "acknowledged after a failed sync");
  ++report_.refused_after_failed_sync;
  AwaitHousekeeping();
}

void Simulation::SaveInstance() {
  StoredInstance instance;
  instance.uid = absl::StrCat("made-", Below(4));
  instance.name = "name-" + instance.uid;
  instance.configuration = absl::StrCat("{\"n\":", ++made_, "}");
  const bool remove = OneIn(4);
  const absl::Status status =
      remove ? store_->DeleteInstance(instance.uid) : store_->SaveInstance(instance);
  Candidates& values = instances_[instance.uid];
  if (values.empty()) values.insert("");
  if (status.ok()) values.clear();
  values.insert(remove ? "" : instance.configuration);
}

void Simulation::SetContext() {
  const std::string key = absl::StrCat("key-", Below(3));
  const std::string value(Below(3000), static_cast<char>('a' + ++made_ % 26));
  std::latch done{1};
  absl::StatusOr<std::string> result;
  const absl::Status taken =
      store_->SetContext("uid", key, value, [&](absl::StatusOr<std::string> written) {
        result = std::move(written);
        done.count_down();
      });
  if (!taken.ok()) return Expect(absl::StrCat("not taken: ", taken.ToString()));
  done.wait();
  Candidates& values = contexts_[key];
  if (values.empty()) values.insert("");
  if (result.ok()) values.clear();
  values.insert(value);
}

// First all that is uncertain is settled: a batch of which the beginning is deleted does not tell
// any more whether it was created.
void Simulation::Retain() {
  if (WaitUntilHealthy()) CheckAll();
  if (!ok() || disk_.power_is_cut()) return;
  if (OneIn(3)) ArmAFault();
  const int64_t faults = disk_.faults();
  constexpr int64_t kHourUs = int64_t{3'600} * 1'000'000;
  if (retention_by_days_) now_us_ += kHourUs * Below(30);
  store_->SetRetention(retention_by_days_
                           ? Retention{.days = 1}
                           : Retention{.bytes = int64_t{1'024} * (100 + Below(300))});
  AwaitHousekeeping();
  model_.MayBeDeleted(retention_by_days_ ? absl::FromUnixMicros(now_us_) - absl::Hours(24)
                                         : absl::InfiniteFuture());
  if (disk_.faults() > faults) HealAndCheck();
}

// What is read here must stay.
void Simulation::CheckState() {
  const auto list = store_->ListInstances();
  if (!list.ok() && disk_.power_is_cut()) return;
  if (!list.ok()) return Expect(absl::StrCat("reading: ", list.status().ToString()));
  std::map<std::string, std::string> there;
  for (const StoredInstance& instance : *list) there[instance.uid] = instance.configuration;
  for (auto& [uid, values] : instances_) {
    Require(values.contains(there[uid]), absl::StrCat("instance ", uid, " is ", there[uid]));
    values = {there[uid]};
    there.erase(uid);
  }
  Require(there.empty(), "an instance is there that was never made");
  for (auto& [key, values] : contexts_) {
    std::latch done{1};
    absl::StatusOr<std::string> value;
    const absl::Status taken =
        store_->GetContext("uid", key, [&](absl::StatusOr<std::string> read) {
          value = std::move(read);
          done.count_down();
        });
    if (!taken.ok()) return Expect("a context cannot be read");
    done.wait();
    if (absl::IsNotFound(value.status())) value = "";
    if (!value.ok() && disk_.power_is_cut()) return;
    if (!value.ok()) return Expect(absl::StrCat("reading: ", value.status().ToString()));
    Require(values.contains(*value), absl::StrCat("context ", key, " has a value never written"));
    values = {*value};
  }
}

void Simulation::End() {
  if (other_reader_ != nullptr) other_reader_->Close();
  const uint32_t how = Below(3);
  if (how == 0 && !disk_.power_is_cut()) {
    disk_.Heal();
    store_->Close();
    store_.reset();
  } else {
    disk_.CutPower();
    store_.reset();
  }
  disk_.Heal();
  armed_ = false;
  // The machine may lose its power after a close too.
  if (how == 1) return disk_.KeepCache();
  disk_.RestoreDisk(OneIn(4) ? 0 : random_() | 1u);
  ++report_.power_cuts;
}

}  // namespace

void SimulationReport::Add(const SimulationReport& other) {
  lives += other.lives;
  power_cuts += other.power_cuts;
  faults += other.faults;
  unknown += other.unknown;
  unknown_there += other.unknown_there;
  acknowledged += other.acknowledged;
  duplicates += other.duplicates;
  replays += other.replays;
  expired += other.expired;
  deleted += other.deleted;
  duplicates_of_deleted += other.duplicates_of_deleted;
  refused_after_failed_sync += other.refused_after_failed_sync;
}

SimulationReport RunSimulation(uint32_t seed) { return Simulation(seed).Run(); }

}  // namespace host_stub
