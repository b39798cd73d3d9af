#include "host_stub/engine/incident_bridge.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "host_stub/engine/request.h"
#include "host_stub/engine/testing/engine_test_util.h"
#include "plugin/base/clock.h"

namespace host_stub {
namespace {

using ::testing::ElementsAre;

// What `done` was given, copied.
struct Result {
  static void Done(void* context, const lri_create_result* given) {
    Result& result = *static_cast<Result*>(context);
    ++result.calls;
    result.outcome = given->outcome;
    result.code = given->code;
    result.retry_after_s = given->retry_after_s;
    result.thread = std::this_thread::get_id();
    for (size_t i = 0; i < given->count; ++i) {
      result.ids.emplace_back(ToStringView(given->incidents[i].id));
      result.created.emplace_back(ToStringView(given->incidents[i].created));
      result.duplicates.push_back(given->incidents[i].duplicate != 0);
      result.names.emplace_back(ToStringView(given->incidents[i].name));
      result.severities.push_back(given->incidents[i].severity);
    }
    result.done.Notify();
  }

  int calls = 0;
  int32_t outcome = 0;
  int32_t code = -1;
  uint32_t retry_after_s = 0;
  std::thread::id thread;
  std::vector<std::string> ids, created, names;
  std::vector<bool> duplicates;
  std::vector<double> severities;
  absl::Notification done;
};

// A store whose batches wait until the test finishes them, as one commit does.
class ManualStore : public IncidentStore {
 public:
  absl::Status Create(Submission* submission) override {
    if (full) return absl::UnavailableError("the queue is full");
    waiting.push_back(submission);
    return absl::OkStatus();
  }
  void Commit() {
    for (size_t i = 0; i + 1 < waiting.size(); ++i) waiting[i]->next = waiting[i + 1];
    Submission* list = waiting.front();
    waiting.clear();
    list->sink->Complete(list);
  }
  absl::StatusOr<StoredIncident> Get(int64_t) override { return absl::NotFoundError(""); }
  absl::StatusOr<IncidentPage> List(const IncidentQuery&) override { return IncidentPage(); }
  int64_t last_id() const override { return 0; }
  std::string identity() const override { return ""; }
  void SetRetention(const Retention&) override {}
  StoreStatistics statistics() const override { return {}; }
  std::unique_ptr<IncidentSubscription> Subscribe(std::function<void(int64_t)>) override {
    return nullptr;
  }
  absl::Status health() const override { return absl::OkStatus(); }
  void Close() override {}

  bool full = false;
  std::vector<Submission*> waiting;
};

class CountingThreads : public CompletionThreads {
 public:
  int count() const override { return thread_->count(); }
  int current() const override { return thread_->current(); }
  void Post(int thread, absl::AnyInvocable<void()> function) override {
    ++posts;
    thread_->Post(thread, std::move(function));
  }
  std::atomic<int> posts{0};

 private:
  std::unique_ptr<CompletionThreads> thread_ = NewCompletionThread();
};

// A batch of some incidents that are all alike.
class Batch {
 public:
  Batch(size_t count, Result& result) : details_{ToView("{\"a\":"), ToView("1}")}, batch_() {
    lri_incident incident = {};
    incident.name = ToView("name");
    incident.occurred = ToView("2024-05-01T10:00:00Z");
    incident.details = {details_, 2, sizeof(lri_view)};
    incidents_.assign(count, incident);
    batch_.struct_size = sizeof(batch_);
    batch_.incidents = {incidents_.data(), count, sizeof(lri_incident)};
    batch_.done = &Result::Done;
    batch_.done_context = &result;
  }
  lri_incident_batch& abi() { return batch_; }
  lri_incident& incident(size_t i) { return incidents_[i]; }

 private:
  const lri_view details_[2];
  std::vector<lri_incident> incidents_;
  lri_incident_batch batch_;
};

// Ends once the last completion has returned, as a plugin's engine does.
class BridgeUnderTest : public IncidentBridge {
 public:
  BridgeUnderTest(const HostServices& services, const InstanceRecord& record)
      : IncidentBridge(services, "plugin"), record_(record) {}
  ~BridgeUnderTest() {
    while (record_.in_flight()) std::this_thread::yield();
  }

 private:
  const InstanceRecord& record_;
};

class IncidentBridgeTest : public testing::Test {
 protected:
  IncidentBridgeTest() : record_("uid", "hook", "Generic Webhook", *test_.logger) {
    test_.services.threads = threads_;
  }

  std::shared_ptr<ManualStore> UseManualStore() {
    auto store = std::make_shared<ManualStore>();
    test_.services.store = store;
    return store;
  }

  TestServices test_;
  std::shared_ptr<CountingThreads> threads_ = std::make_shared<CountingThreads>();
  InstanceRecord record_;
};

TEST_F(IncidentBridgeTest, FullQueueIsUnavailableAndNothingIsTold) {
  UseManualStore()->full = true;
  BridgeUnderTest bridge(test_.services, record_);
  Result result;
  EXPECT_EQ(bridge.Create(record_, &Batch(1, result).abi()), LRI_UNAVAILABLE);
  EXPECT_EQ(result.calls, 0);
  EXPECT_EQ(record_.counts().batches_in_flight, 0);
}

TEST_F(IncidentBridgeTest, BatchPastItsDeadlineIsNotBegun) {
  auto store = UseManualStore();
  BridgeUnderTest bridge(test_.services, record_);
  Result result;
  Batch batch(1, result);
  batch.abi().deadline_mono_ns = base::MonotonicNanoseconds() - 1;
  EXPECT_EQ(bridge.Create(record_, &batch.abi()), LRI_DEADLINE_EXCEEDED);
  EXPECT_TRUE(store->waiting.empty());
}

TEST_F(IncidentBridgeTest, SeverityThatThereIsNotIsRefused) {
  BridgeUnderTest bridge(test_.services, record_);
  Result result;
  Batch batch(2, result);
  for (const double severity : {-1.0, 0.4, 5.0, std::nan(""), HUGE_VAL}) {
    batch.incident(1).severity = severity;
    EXPECT_EQ(bridge.Create(record_, &batch.abi()), LRI_INVALID_ARGUMENT) << severity;
  }
  EXPECT_EQ(result.calls, 0);
}

TEST_F(IncidentBridgeTest, RequestIsStoredWhereThePluginKnowsOfItAndNotIfItIsTooLong) {
  BridgeUnderTest bridge(test_.services, record_);
  const std::string longest(LRI_STORED_REQUEST_BYTES, 'q');
  Result result, older_result;
  Batch batch(1, result), older_batch(1, older_result);
  const std::string too_long = longest + "q";
  batch.abi().request_query = ToView(too_long);
  EXPECT_EQ(bridge.Create(record_, &batch.abi()), LRI_INVALID_ARGUMENT);
  batch.abi().request_query = ToView(longest);
  batch.abi().request_address = ToView(too_long);
  EXPECT_EQ(bridge.Create(record_, &batch.abi()), LRI_INVALID_ARGUMENT);
  batch.abi().request_address = ToView("192.0.2.1");
  ASSERT_EQ(bridge.Create(record_, &batch.abi()), LRI_OK);
  result.done.WaitForNotification();
  EXPECT_EQ(test_.services.store->Get(1)->request_address, "192.0.2.1");
  EXPECT_EQ(test_.services.store->Get(1)->request_query, longest);
  older_batch.abi().request_address = ToView("not read");
  older_batch.abi().struct_size = offsetof(lri_incident_batch, request_address);
  ASSERT_EQ(bridge.Create(record_, &older_batch.abi()), LRI_OK);
  older_result.done.WaitForNotification();
  EXPECT_EQ(test_.services.store->Get(2)->request_address, "");
}

TEST_F(IncidentBridgeTest, SeverityIsStoredAndToldOfDuplicates) {
  BridgeUnderTest bridge(test_.services, record_);
  Result first, second, older;
  Batch first_batch(6, first), second_batch(6, second), older_batch(1, older);
  for (size_t i = 0; i < 6; ++i) first_batch.incident(i).severity = i == 5 ? 0.5 : double(i);
  first_batch.abi().delivery_key = second_batch.abi().delivery_key = ToView("delivery-1");
  older_batch.incident(0).severity = 4;
  older_batch.abi().incidents.stride = offsetof(lri_incident, severity);  // of minor version 2
  for (auto [batch, result] : {std::pair(&first_batch, &first), std::pair(&second_batch, &second),
                               std::pair(&older_batch, &older)}) {
    ASSERT_EQ(bridge.Create(record_, &batch->abi()), LRI_OK);
    result->done.WaitForNotification();
  }
  EXPECT_EQ(test_.services.store->Get(5)->severity, 4);
  EXPECT_THAT(first.severities, testing::Each(0));  // the plugin knows them
  EXPECT_THAT(second.severities, ElementsAre(0, 1, 2, 3, 4, 0.5));
  EXPECT_EQ(test_.services.store->Get(7)->severity, 0);
}

TEST_F(IncidentBridgeTest, KnownReplayKeyGivesTheFirstIncidentUnderAnotherName) {
  BridgeUnderTest bridge(test_.services, record_);
  Result first, second, older;
  Batch first_batch(1, first), second_batch(1, second), older_batch(1, older);
  for (Batch* batch : {&first_batch, &second_batch, &older_batch}) {
    batch->abi().replay_key = ToView("signed");
  }
  first_batch.abi().delivery_key = ToView("delivery-1");
  second_batch.abi().delivery_key = ToView("delivery-2");
  older_batch.abi().struct_size = offsetof(lri_incident_batch, replay_key);  // of minor version 2
  for (auto [batch, result] : {std::pair(&first_batch, &first), std::pair(&second_batch, &second),
                               std::pair(&older_batch, &older)}) {
    ASSERT_EQ(bridge.Create(record_, &batch->abi()), LRI_OK);
    result->done.WaitForNotification();
  }
  EXPECT_EQ(second.ids, first.ids);
  EXPECT_THAT(second.duplicates, ElementsAre(true));
  EXPECT_THAT(older.duplicates, ElementsAre(false));
}

TEST_F(IncidentBridgeTest, IncidentsAreStoredWithTheirDetailsPutTogether) {
  BridgeUnderTest bridge(test_.services, record_);
  Result result;
  Batch batch(2, result);
  ASSERT_EQ(bridge.Create(record_, &batch.abi()), LRI_OK);
  result.done.WaitForNotification();
  EXPECT_EQ(result.outcome, LRI_CREATED);
  EXPECT_EQ(result.code, LRI_OK);
  EXPECT_THAT(result.ids, ElementsAre("1", "2"));
  auto stored = test_.services.store->Get(2);
  ASSERT_TRUE(stored.ok());
  EXPECT_EQ(stored->details, "{\"a\":1}");
  EXPECT_EQ(stored->instance_uid, "uid");
  EXPECT_EQ(stored->source_brand, "Generic Webhook");
  EXPECT_EQ(result.created[1],
            absl::FormatTime("%Y-%m-%dT%H:%M:%E*SZ", stored->created, absl::UTCTimeZone()));
}

TEST_F(IncidentBridgeTest, KnownDeliveryKeyGivesTheFirstIncident) {
  BridgeUnderTest bridge(test_.services, record_);
  Result first, second;
  Batch first_batch(1, first), second_batch(1, second);
  first_batch.abi().delivery_key = second_batch.abi().delivery_key = ToView("delivery-1");
  ASSERT_EQ(bridge.Create(record_, &first_batch.abi()), LRI_OK);
  first.done.WaitForNotification();
  ASSERT_EQ(bridge.Create(record_, &second_batch.abi()), LRI_OK);
  second.done.WaitForNotification();
  EXPECT_EQ(second.ids, first.ids);
  EXPECT_THAT(second.duplicates, ElementsAre(true));
  EXPECT_THAT(second.names, ElementsAre("name"));
}

TEST_F(IncidentBridgeTest, KnownDeliveryKeyWithAnotherContentGivesTheIdAloneAndIsCounted) {
  BridgeUnderTest bridge(test_.services, record_);
  Result first, second, older;
  Batch first_batch(1, first), second_batch(1, second), older_batch(1, older);
  for (Batch* batch : {&first_batch, &second_batch, &older_batch}) {
    batch->abi().delivery_key = ToView("delivery-1");
    batch->abi().content = ToView("one");
  }
  second_batch.abi().content = ToView("other");
  older_batch.abi().struct_size = offsetof(lri_incident_batch, content);  // of minor version 1
  older_batch.abi().content = ToView("not there");
  for (auto [batch, result] : {std::pair(&first_batch, &first), std::pair(&second_batch, &second),
                               std::pair(&older_batch, &older)}) {
    ASSERT_EQ(bridge.Create(record_, &batch->abi()), LRI_OK);
    result->done.WaitForNotification();
  }
  EXPECT_EQ(second.ids, first.ids);
  EXPECT_THAT(second.duplicates, ElementsAre(true));
  EXPECT_THAT(second.names, ElementsAre(""));
  EXPECT_THAT(second.created, ElementsAre(""));
  EXPECT_THAT(older.names, ElementsAre("name"));
  EXPECT_EQ(record_.counts().incidents_hidden, 1);
}

TEST_F(IncidentBridgeTest, KeysThatAreForgottenBeforeTheirTimeAreCounted) {
  auto store = UseManualStore();
  BridgeUnderTest bridge(test_.services, record_);
  Result result;
  Batch batch(1, result);
  batch.abi().delivery_key_ttl_s = 60;
  ASSERT_EQ(bridge.Create(record_, &batch.abi()), LRI_OK);
  EXPECT_EQ(store->waiting[0]->delivery_key_lifetime, absl::Seconds(60));
  store->waiting[0]->outcome = CreationOutcome::kCreated;
  store->waiting[0]->created.resize(1);
  store->waiting[0]->keys_forgotten_early = 2;
  store->Commit();
  result.done.WaitForNotification();
  while (record_.in_flight()) std::this_thread::yield();
  EXPECT_EQ(record_.counts().keys_forgotten_early, 2);
}

TEST_F(IncidentBridgeTest, DryRunGivesNoIds) {
  BridgeUnderTest bridge(test_.services, record_);
  Result result;
  Batch batch(1, result);
  batch.abi().dry_run = 1;
  ASSERT_EQ(bridge.Create(record_, &batch.abi()), LRI_OK);
  result.done.WaitForNotification();
  EXPECT_EQ(result.outcome, LRI_CREATED);
  EXPECT_THAT(result.ids, ElementsAre(""));
  EXPECT_EQ(test_.services.store->last_id(), 0);
}

TEST_F(IncidentBridgeTest, FailureAndUnknownOutcomeAreTold) {
  auto store = UseManualStore();
  BridgeUnderTest bridge(test_.services, record_);
  Result failed, unknown;
  Batch failed_batch(1, failed), unknown_batch(1, unknown);
  ASSERT_EQ(bridge.Create(record_, &failed_batch.abi()), LRI_OK);
  ASSERT_EQ(bridge.Create(record_, &unknown_batch.abi()), LRI_OK);
  store->waiting[0]->outcome = CreationOutcome::kNotCreated;
  store->waiting[0]->status = absl::UnavailableError("disk full");
  store->waiting[0]->retry_after_seconds = 5;
  store->waiting[1]->outcome = CreationOutcome::kUnknown;
  store->waiting[1]->status = absl::UnavailableError("the disk failed");
  store->Commit();
  failed.done.WaitForNotification();
  unknown.done.WaitForNotification();
  EXPECT_EQ(failed.outcome, LRI_NOT_CREATED);
  EXPECT_EQ(failed.code, LRI_UNAVAILABLE);
  EXPECT_EQ(failed.retry_after_s, 5u);
  EXPECT_EQ(unknown.outcome, LRI_NOT_KNOWN);
}

TEST_F(IncidentBridgeTest, OneCommitIsOnePostToTheThreadThatTheBatchesCameFrom) {
  auto store = UseManualStore();
  BridgeUnderTest bridge(test_.services, record_);
  constexpr int kBatches = 5;
  std::vector<std::unique_ptr<Result>> results;
  std::vector<std::unique_ptr<Batch>> all;
  std::thread::id submitter;
  absl::Notification submitted;
  threads_->Post(0, [&] {
    submitter = std::this_thread::get_id();
    for (int i = 0; i < kBatches; ++i) {
      results.push_back(std::make_unique<Result>());
      all.push_back(std::make_unique<Batch>(1, *results.back()));
      EXPECT_EQ(bridge.Create(record_, &all.back()->abi()), LRI_OK);
    }
    submitted.Notify();
  });
  submitted.WaitForNotification();
  threads_->posts = 0;
  store->Commit();
  for (auto& result : results) {
    result->done.WaitForNotification();
    EXPECT_EQ(result->thread, submitter);
  }
  EXPECT_EQ(threads_->posts, 1);
}

TEST_F(IncidentBridgeTest, FractionOfATimeIsCutWhereItIsZeros) {
  auto store = UseManualStore();
  BridgeUnderTest bridge(test_.services, record_);
  Result result;
  Batch batch(3, result);
  ASSERT_EQ(bridge.Create(record_, &batch.abi()), LRI_OK);
  const absl::Time time = absl::FromUnixSeconds(1714557600);
  std::vector<CreatedIncident>& created = store->waiting[0]->created;
  created.resize(3);
  created[0].created = time;
  created[1].created = time + absl::Milliseconds(250);
  created[2].created = time + absl::Microseconds(1);
  store->Commit();
  result.done.WaitForNotification();
  EXPECT_THAT(result.created, ElementsAre("2024-05-01T10:00:00Z", "2024-05-01T10:00:00.25Z",
                                          "2024-05-01T10:00:00.000001Z"));
}

}  // namespace
}  // namespace host_stub
