// Group commit over an engine that is made up: what each outcome of a transaction means for those
// who wait, what is done when the connection is lost, and that no engine is asked for more than
// transaction.h says.
#include "host_stub/store/group_commit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <latch>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "host_stub/store/testing/store_test_util.h"

namespace host_stub {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using Kind = TransactionResult::Kind;

// What a made-up engine has stored, and what it does next. Any thread.
struct FakeDisk {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::string> incidents;  // names; an id is an index plus one
  std::vector<DeliveryKey> keys;
  std::map<std::string, std::string> context;
  TransactionResult next_end;          // of the next transaction that is otherwise good
  bool keeps_what_is_unknown = false;  // an unknown transaction is there afterwards
  absl::Status open_status;            // of openings
  absl::Status maintenance;
  int openings = 0;
  int closings = 0;
  std::vector<int> transactions;  // how many incidents each added
  bool was_told_to_close = false;
  size_t deleted_keys = 0;
  std::vector<std::pair<absl::Time, int64_t>> deletions;  // what DeleteOldest was asked for
  std::deque<Transaction::Deleted> next_deleted;          // what it answers
  bool is_shared = false;
  std::optional<bool> was_committed;

  void EndNextWith(Kind kind, bool keeps = false) {
    const std::lock_guard<std::mutex> lock(mutex);
    next_end = {kind, absl::UnavailableError("the disk failed")};
    keeps_what_is_unknown = keeps;
  }
  int Openings() {
    const std::lock_guard<std::mutex> lock(mutex);
    return openings;
  }
  void AwaitDeletions(size_t count) {
    std::unique_lock<std::mutex> lock(mutex);
    changed.wait(lock, [&] { return deletions.size() >= count; });
  }
  void AwaitOpenings(int count) {
    std::unique_lock<std::mutex> lock(mutex);
    changed.wait(lock, [&] { return openings >= count; });
  }
};

class FakeTransaction : public Transaction {
 public:
  explicit FakeTransaction(FakeDisk& disk) : disk_(disk) {}

  absl::Status Begin() override {
    incidents_.clear();
    keys_.clear();
    context_.clear();
    return absl::OkStatus();
  }
  TransactionResult End(const absl::Status& written) override {
    const std::lock_guard<std::mutex> lock(disk_.mutex);
    if (!written.ok()) return {Kind::kBadBatch, written};
    const TransactionResult result = std::exchange(disk_.next_end, {});
    const bool stored =
        result.kind == Kind::kCommitted ||
        (result.kind == Kind::kUnknownConnectionLost && disk_.keeps_what_is_unknown);
    if (!stored) return result;
    disk_.transactions.push_back(static_cast<int>(incidents_.size()));
    disk_.incidents.insert(disk_.incidents.end(), incidents_.begin(), incidents_.end());
    disk_.keys.insert(disk_.keys.end(), keys_.begin(), keys_.end());
    for (const auto& [key, value] : context_) disk_.context[key] = value;
    return result;
  }
  absl::StatusOr<int64_t> InstanceNumber(const Submission&, bool) override { return 1; }
  absl::StatusOr<int64_t> AddIncident(int64_t, absl::Time, const NewIncident& incident,
                                      SharedParts&) override {
    if (incident.name == "bad") return absl::InternalError("a bad incident");
    incidents_.emplace_back(incident.name);
    const std::lock_guard<std::mutex> lock(disk_.mutex);
    return static_cast<int64_t>(disk_.incidents.size() + incidents_.size());
  }
  absl::Status AddKey(DeliveryKey& key) override {
    keys_.push_back(key);
    return absl::OkStatus();
  }
  absl::StatusOr<std::string> ReadFirsts(const DeliveryKey& key) override { return key.firsts; }
  absl::Status ReadFirst(int64_t, CreatedIncident&) override { return absl::OkStatus(); }
  absl::Status DeleteKeys(const std::deque<int64_t>&, size_t count) override {
    const std::lock_guard<std::mutex> lock(disk_.mutex);
    disk_.deleted_keys += count;
    disk_.changed.notify_all();
    return absl::OkStatus();
  }
  absl::Status DeleteOldest(absl::Time created_before, int64_t most_bytes,
                            std::chrono::steady_clock::time_point, Deleted& deleted) override {
    const std::lock_guard<std::mutex> lock(disk_.mutex);
    disk_.deletions.emplace_back(created_before, most_bytes);
    deleted = disk_.next_deleted.empty() ? Deleted() : disk_.next_deleted.front();
    if (!disk_.next_deleted.empty()) disk_.next_deleted.pop_front();
    disk_.changed.notify_all();
    return absl::OkStatus();
  }
  absl::Status ReadKeysOf(std::span<Submission* const>,
                          const std::function<void(DeliveryKey)>& take) override {
    const std::lock_guard<std::mutex> lock(disk_.mutex);
    for (const DeliveryKey& key : disk_.keys) take(key);
    return absl::OkStatus();
  }
  std::optional<bool> WasCommitted() override { return disk_.was_committed; }
  absl::StatusOr<std::string> ReadContext(const std::string&, const std::string& key) override {
    const std::lock_guard<std::mutex> lock(disk_.mutex);
    const auto found = disk_.context.find(key);
    if (found == disk_.context.end()) return absl::NotFoundError("nothing");
    return found->second;
  }
  absl::Status WriteContext(const std::string&, const std::string& key,
                            const std::string& value) override {
    context_[key] = value;
    return absl::OkStatus();
  }
  absl::StatusOr<std::vector<StoredInstance>> ReadInstances() override {
    return std::vector<StoredInstance>();
  }
  absl::Status WriteInstance(const StoredInstance&) override { return absl::OkStatus(); }
  absl::Status DeleteInstance(const std::string&) override { return absl::OkStatus(); }
  absl::Status WriteAudit(const AuditEntry&, int64_t) override { return absl::OkStatus(); }
  absl::StatusOr<std::vector<AuditEntry>> ReadAudit(int64_t, int64_t) override {
    return std::vector<AuditEntry>();
  }
  absl::StatusOr<int64_t> ReadLastId() override {
    const std::lock_guard<std::mutex> lock(disk_.mutex);
    return static_cast<int64_t>(disk_.incidents.size());
  }
  absl::StatusOr<std::string> ReadIdentity() override { return std::string("0123456789abcdef"); }
  absl::Status ReadKeys(const std::function<void(DeliveryKey)>& take) override {
    const std::lock_guard<std::mutex> lock(disk_.mutex);
    for (const DeliveryKey& key : disk_.keys) take(key);
    return absl::OkStatus();
  }
  absl::Status RunMaintenance() override {
    const std::lock_guard<std::mutex> lock(disk_.mutex);
    return std::exchange(disk_.maintenance, absl::OkStatus());
  }
  std::optional<std::chrono::steady_clock::time_point> next_maintenance() const override {
    return std::nullopt;
  }
  void PrepareToClose() override {
    const std::lock_guard<std::mutex> lock(disk_.mutex);
    disk_.was_told_to_close = true;
  }

 private:
  FakeDisk& disk_;
  std::vector<std::string> incidents_;
  std::vector<DeliveryKey> keys_;
  std::map<std::string, std::string> context_;
};

class FakeDatabase : public Database {
 public:
  explicit FakeDatabase(FakeDisk& disk) : disk_(disk) {}

  bool is_shared() const override { return disk_.is_shared; }
  absl::StatusOr<std::unique_ptr<Transaction>> Open() override {
    const std::lock_guard<std::mutex> lock(disk_.mutex);
    ++disk_.openings;
    disk_.changed.notify_all();
    if (!disk_.open_status.ok()) return disk_.open_status;
    return std::make_unique<FakeTransaction>(disk_);
  }
  void Close() override {
    const std::lock_guard<std::mutex> lock(disk_.mutex);
    ++disk_.closings;
  }
  absl::StatusOr<StoredIncident> Get(int64_t) override { return absl::NotFoundError(""); }
  absl::StatusOr<IncidentPage> List(const IncidentQuery&) override { return IncidentPage(); }

 private:
  FakeDisk& disk_;
};

class GroupCommitTest : public ::testing::Test {
 protected:
  void Open(webhook::Limits limits = {}, absl::Duration pause = absl::Milliseconds(1)) {
    auto store = GroupCommit::Start(std::make_unique<FakeDatabase>(disk_),
                                    {.limits = limits, .first_reopen_pause = pause});
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
  }
  // Of batches that are one commit: the first holds up the writer until the others wait.
  void CreateTogether(std::vector<TestBatch*> batches) {
    WaitingSink sink;
    TestBatch first({Plain()});
    first->sink = &sink;
    sink.Hold();
    ASSERT_TRUE(store_->Create(first.get()).ok());
    sink.WaitUntilHeld();
    for (TestBatch* batch : batches) {
      (*batch)->sink = &sink;
      ASSERT_TRUE(store_->Create(batch->get()).ok());
    }
    sink.Release();
    sink.WaitFor(static_cast<int64_t>(batches.size()) + 1);
  }
  absl::Status Set(const std::string& key, const std::string& value) {
    absl::Status result;
    std::latch done{1};
    absl::Status taken = store_->SetContext("u", key, value, [&](absl::StatusOr<std::string> set) {
      result = set.status();
      done.count_down();
    });
    if (!taken.ok()) return taken;
    done.wait();
    return result;
  }
  std::vector<int> transactions() {
    const std::lock_guard<std::mutex> lock(disk_.mutex);
    return disk_.transactions;
  }

  FakeDisk disk_;
  std::unique_ptr<GroupCommit> store_;
};

TEST_F(GroupCommitTest, OldIncidentsAreDeletedStepByStepAndCounted) {
  disk_.next_deleted = {{100, true}, {50, true}, {7, false}};
  const absl::Time now = absl::FromUnixSeconds(1'700'000'000);
  auto store = GroupCommit::Start(std::make_unique<FakeDatabase>(disk_),
                                  {.now = [now] { return now; },
                                   .retention = {.days = 2, .bytes = 77},
                                   .retention_pause = absl::Milliseconds(1)});
  ASSERT_TRUE(store.ok()) << store.status();
  disk_.AwaitDeletions(4);
  (*store)->Close();
  EXPECT_EQ(disk_.deletions[0], std::pair(now - absl::Hours(48), int64_t{77}));
  EXPECT_EQ((*store)->statistics().deleted_incidents, 157);
}

TEST_F(GroupCommitTest, NothingIsDeletedUnlessThatIsAskedFor) {
  Open();
  ASSERT_TRUE(Set("k", "v").ok());
  store_->Close();
  EXPECT_THAT(disk_.deletions, IsEmpty());
}

TEST_F(GroupCommitTest, DeletionThatFailedIsNotCountedAndIsTriedAgain) {
  for (const Kind kind : {Kind::kRolledBack, Kind::kUnknownConnectionLost}) {
    FakeDisk disk;
    disk.next_deleted = {{100, true}};
    disk.EndNextWith(kind);
    auto store = GroupCommit::Start(std::make_unique<FakeDatabase>(disk),
                                    {.first_reopen_pause = absl::Milliseconds(1),
                                     .retention = {.bytes = 77},
                                     .retention_pause = absl::Milliseconds(1)});
    ASSERT_TRUE(store.ok()) << store.status();
    disk.AwaitDeletions(2);
    (*store)->Close();
    EXPECT_EQ(disk.deletions[1], std::pair(absl::InfinitePast(), int64_t{77}));
    EXPECT_EQ((*store)->statistics().deleted_incidents, 0);
    EXPECT_EQ(disk.openings, kind == Kind::kRolledBack ? 1 : 2);
  }
}

TEST_F(GroupCommitTest, BatchesThatWaitAreOneTransaction) {
  Open();
  TestBatch a({Plain()}), b({Plain(), Plain()}), c({Plain()});
  CreateTogether({&a, &b, &c});
  EXPECT_THAT(transactions(), ElementsAre(1, 4));
  EXPECT_THAT(a.ids(), ElementsAre(2));
  EXPECT_THAT(b.ids(), ElementsAre(3, 4));
  EXPECT_THAT(c.ids(), ElementsAre(5));
  EXPECT_EQ(store_->last_id(), 5);
}

TEST_F(GroupCommitTest, TransactionIsBoundedAndAnOversizedBatchGetsItsOwn) {
  webhook::Limits limits;
  limits.incidents_of_a_commit = 3;
  Open(limits);
  TestBatch a({Plain()}), b({Plain(), Plain()}), great(std::vector<TestIncident>(5)), c({Plain()});
  CreateTogether({&a, &b, &great, &c});
  EXPECT_THAT(transactions(), ElementsAre(1, 3, 5, 1));
}

TEST_F(GroupCommitTest, BadBatchFailsAlone) {
  Open();
  TestBatch good({{.key = "k"}}), bad({{.name = "bad"}}), other({Plain()});
  CreateTogether({&good, &bad, &other});
  EXPECT_EQ(bad->outcome, CreationOutcome::kNotCreated);
  EXPECT_EQ(bad->retry_after_seconds, 0);
  EXPECT_TRUE(absl::IsInternal(bad->status));
  EXPECT_THAT(good.ids(), ElementsAre(2));
  EXPECT_THAT(good.duplicates(), ElementsAre(false));  // the first try left no key
  EXPECT_THAT(other.ids(), ElementsAre(3));
  EXPECT_TRUE(store_->health().ok());
}

TEST_F(GroupCommitTest, RolledBackIsNotCreatedAndTheNextIsTriedAtOnce) {
  Open();
  disk_.EndNextWith(Kind::kRolledBack);
  TestBatch refused({{.key = "k"}});
  ASSERT_TRUE(refused.CreateIn(*store_).ok());
  EXPECT_EQ(refused->outcome, CreationOutcome::kNotCreated);
  EXPECT_GT(refused->retry_after_seconds, 0);
  EXPECT_TRUE(absl::IsUnavailable(store_->health()));
  TestBatch again({{.key = "k"}});
  ASSERT_TRUE(again.CreateIn(*store_).ok());
  EXPECT_THAT(again.duplicates(), ElementsAre(false));
  EXPECT_TRUE(store_->health().ok());
  EXPECT_EQ(disk_.Openings(), 1);
}

TEST_F(GroupCommitTest, LostConnectionIsOpenedAgainAndUntilThenNothingIsCreated) {
  Open({}, absl::Hours(1));
  disk_.EndNextWith(Kind::kRolledBackConnectionLost);
  TestBatch lost({Plain()});
  ASSERT_TRUE(lost.CreateIn(*store_).ok());
  EXPECT_EQ(lost->outcome, CreationOutcome::kNotCreated);
  TestBatch next({Plain()});
  ASSERT_TRUE(next.CreateIn(*store_).ok());
  EXPECT_EQ(next->outcome, CreationOutcome::kNotCreated);
  EXPECT_TRUE(absl::IsUnavailable(Set("k", "v")));
  EXPECT_THAT(transactions(), IsEmpty());
  EXPECT_EQ(disk_.Openings(), 1);
  EXPECT_EQ(disk_.closings, 1);
}

TEST_F(GroupCommitTest, UnknownThatWasCommittedIsKnownOnceTheDatabaseIsOpenAgain) {
  Open();
  WaitingSink sink;
  std::vector<int64_t> told;
  std::latch revived{1};
  const auto subscription = store_->Subscribe([&](int64_t last_id) {
    told.push_back(last_id);
    revived.count_down();
  });
  disk_.EndNextWith(Kind::kUnknownConnectionLost, true);
  TestBatch unknown({{.key = "k"}});
  ASSERT_TRUE(unknown.CreateIn(*store_).ok());
  EXPECT_EQ(unknown->outcome, CreationOutcome::kUnknown);
  EXPECT_THAT(unknown.ids(), IsEmpty());
  revived.wait();
  EXPECT_THAT(told, ElementsAre(1));
  TestBatch again({{.key = "k"}});
  ASSERT_TRUE(again.CreateIn(*store_).ok());
  EXPECT_THAT(again.ids(), ElementsAre(1));
  EXPECT_THAT(again.duplicates(), ElementsAre(true));
}

// Another host's key is found though this one has never seen it.
TEST_F(GroupCommitTest, KeysOfASharedDatabaseAreReadAtEachCommit) {
  disk_.is_shared = true;
  Open();
  TestBatch first({{.key = "k"}});
  ASSERT_TRUE(first.CreateIn(*store_).ok());
  {
    const std::lock_guard<std::mutex> lock(disk_.mutex);
    disk_.keys[0].ids = IncidentIds(77);
  }
  TestBatch again({{.key = "k"}});
  ASSERT_TRUE(again.CreateIn(*store_).ok());
  EXPECT_THAT(again.ids(), ElementsAre(77));
}

TEST_F(GroupCommitTest, BatchThatAnotherHostWasInTheWayOfIsWrittenAgain) {
  disk_.is_shared = true;
  Open();
  disk_.EndNextWith(Kind::kConflict);
  TestBatch batch({Plain()});
  ASSERT_TRUE(batch.CreateIn(*store_).ok());
  EXPECT_EQ(batch->outcome, CreationOutcome::kCreated);
  EXPECT_EQ(disk_.Openings(), 1);
  EXPECT_EQ(store_->statistics().failed_commits, 0);
}

TEST_F(GroupCommitTest, UnknownThatASharedDatabaseKnowsIsAnsweredByWhatItKnows) {
  disk_.is_shared = true;
  Open();
  for (const bool committed : {true, false}) {
    disk_.was_committed = committed;
    disk_.EndNextWith(Kind::kUnknownConnectionLost, committed);
    TestBatch batch({Plain()});
    ASSERT_TRUE(batch.CreateIn(*store_).ok());
    EXPECT_EQ(batch->outcome, CreationOutcome::kCreated);
    EXPECT_THAT(batch.ids(), ElementsAre(committed ? 1 : 2));
    EXPECT_THAT(disk_.incidents, SizeIs(committed ? 1 : 2));
  }
  EXPECT_TRUE(store_->health().ok());
}

TEST_F(GroupCommitTest, UnknownThatNobodyCanTellIsAnsweredAsUnknown) {
  disk_.is_shared = true;
  Open();
  disk_.EndNextWith(Kind::kUnknownConnectionLost, true);
  TestBatch batch({Plain()});
  ASSERT_TRUE(batch.CreateIn(*store_).ok());
  EXPECT_EQ(batch->outcome, CreationOutcome::kUnknown);
}

TEST_F(GroupCommitTest, StateThatMayBeThereIsAnsweredAsUnknown) {
  Open();
  disk_.EndNextWith(Kind::kUnknownConnectionLost, true);
  const absl::Status unknown = Set("k", "v");
  EXPECT_EQ(unknown.code(), absl::StatusCode::kUnknown);
  EXPECT_THAT(std::string(unknown.message()), HasSubstr("it is unknown whether this was stored"));
}

TEST_F(GroupCommitTest, DatabaseThatDoesNotOpenIsTriedAgain) {
  Open();
  {
    const std::lock_guard<std::mutex> lock(disk_.mutex);
    disk_.open_status = absl::FailedPreconditionError("another process has it open");
  }
  disk_.EndNextWith(Kind::kUnknownConnectionLost);
  TestBatch unknown({Plain()});
  ASSERT_TRUE(unknown.CreateIn(*store_).ok());
  disk_.AwaitOpenings(4);
  EXPECT_TRUE(absl::IsUnavailable(store_->health()));
  {
    const std::lock_guard<std::mutex> lock(disk_.mutex);
    disk_.open_status = absl::OkStatus();
  }
  int openings = disk_.Openings();
  for (; !store_->ListInstances().ok(); openings = disk_.Openings()) {
    disk_.AwaitOpenings(openings + 1);
  }
  TestBatch batch({Plain()});
  ASSERT_TRUE(batch.CreateIn(*store_).ok());
  EXPECT_EQ(batch->outcome, CreationOutcome::kCreated);
}

TEST_F(GroupCommitTest, MaintenanceThatFailsLosesTheConnectionAndNothingThatWasTold) {
  Open();
  {
    const std::lock_guard<std::mutex> lock(disk_.mutex);
    disk_.maintenance = absl::UnavailableError("a copy failed");
  }
  TestBatch batch({Plain()});
  ASSERT_TRUE(batch.CreateIn(*store_).ok());
  EXPECT_EQ(batch->outcome, CreationOutcome::kCreated);
  disk_.AwaitOpenings(2);
}

TEST_F(GroupCommitTest, KeysThatExpireWhileNothingComesAreFreed) {
  std::atomic<int64_t> now_s{1'700'000'000};
  auto store = GroupCommit::Start(
      std::make_unique<FakeDatabase>(disk_),
      {.now = [&] { return absl::FromUnixSeconds(now_s); }, .expiry_pause = absl::Milliseconds(1)});
  ASSERT_TRUE(store.ok()) << store.status();
  std::vector<TestIncident> incidents(1'000);
  for (size_t i = 0; i < incidents.size(); ++i) incidents[i].key = std::to_string(i);
  TestBatch batch(incidents);
  batch->delivery_key_lifetime = absl::Seconds(60);
  ASSERT_TRUE(batch.CreateIn(**store).ok());
  now_s += 60;
  std::unique_lock<std::mutex> lock(disk_.mutex);
  disk_.changed.wait(lock, [this] { return disk_.deleted_keys > 0; });
  EXPECT_EQ(disk_.deleted_keys, 1'000u);
}

TEST_F(GroupCommitTest, DatabaseThatDoesNotOpenAtTheStartIsTheStartsError) {
  disk_.open_status = absl::FailedPreconditionError("a newer version");
  const auto store = GroupCommit::Start(std::make_unique<FakeDatabase>(disk_), {});
  EXPECT_TRUE(absl::IsFailedPrecondition(store.status()));
}

TEST_F(GroupCommitTest, ClosingFinishesWhatWaitsAndThenTheConnection) {
  Open();
  TestBatch batch({Plain()});
  WaitingSink sink;
  batch->sink = &sink;
  ASSERT_TRUE(store_->Create(batch.get()).ok());
  store_->Close();
  EXPECT_EQ(batch->outcome, CreationOutcome::kCreated);
  EXPECT_TRUE(disk_.was_told_to_close);
  TestBatch late({Plain()});
  EXPECT_TRUE(absl::IsUnavailable(late.CreateIn(*store_)));
}

}  // namespace
}  // namespace host_stub
