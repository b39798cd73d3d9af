// What every store promises.
#include "host_stub/store/incident_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "host_stub/store/incident_filter.h"
#include "host_stub/store/memory_store.h"
#include "host_stub/store/position.h"
#include "host_stub/store/postgres/postgres_store.h"
#include "host_stub/store/sqlite/sqlite_store.h"
#include "host_stub/store/testing/numbered_store.h"
#include "host_stub/store/testing/postgres_server.h"
#include "host_stub/store/testing/store_test_util.h"
#include "plugin/abi/long_running_integration.h"

namespace host_stub {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class IncidentStoreTest : public ::testing::TestWithParam<const char*> {
 protected:
  void Open(webhook::Limits limits = {}) {
    const auto now = [this] { return now_; };
    if (std::string(GetParam()) == "memory") {
      store_ = NewMemoryStore({.limits = limits, .now = now});
      return;
    }
    if (is_shared()) {
      auto store = OpenPostgresStore({.url = PostgresServer::Shared().NewDatabase(),
                                      .limits = limits,
                                      .now = now,
                                      .retention_pause = absl::Milliseconds(10)});
      ASSERT_TRUE(store.ok()) << store.status();
      store_ = std::make_unique<NumberedStore>(*std::move(store));
      return;
    }
    auto store = OpenSqliteStore({folder_.path(), "", limits, now});
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = std::move(*store);
  }
  void SetUp() override { Open(); }
  bool is_shared() const { return std::string(GetParam()) == "postgresql"; }

  void Create(TestBatch& batch) {
    ASSERT_TRUE(batch.CreateIn(*store_).ok());
    ASSERT_EQ(batch->outcome, CreationOutcome::kCreated) << batch->status;
  }

  // The writer deletes when it has time; a store in memory when it is used.
  void AwaitDeleted(int64_t incidents) {
    const absl::Time give_up = absl::Now() + absl::Seconds(60);
    while (store_->statistics().deleted_incidents < incidents && absl::Now() < give_up) {
      ASSERT_TRUE(store_->List({.limit = 1}).ok());
    }
    ASSERT_GE(store_->statistics().deleted_incidents, incidents);
  }

  TemporaryFolder folder_;
  absl::Time now_ = absl::FromUnixMicros(1'700'000'000'123'456);
  std::unique_ptr<IncidentStore> store_;
};

// What only a store can promise that one host has to itself.
class OwnStoreTest : public IncidentStoreTest {};

TEST_P(IncidentStoreTest, BatchWithoutIncidentsIsRefused) {
  TestBatch batch({});
  EXPECT_TRUE(absl::IsInvalidArgument(batch.CreateIn(*store_)));
}

TEST_P(IncidentStoreTest, BatchWithoutInstanceIsRefused) {
  TestBatch batch({Plain()}, "", "");
  EXPECT_TRUE(absl::IsInvalidArgument(batch.CreateIn(*store_)));
}

TEST_P(IncidentStoreTest, KeyBeyondItsLimitIsRefused) {
  const std::string key(webhook::Limits().delivery_key_bytes + LRI_DELIVERY_KEY_PREFIX + 1, 'k');
  TestBatch batch({Plain()}, key);
  EXPECT_TRUE(absl::IsInvalidArgument(batch.CreateIn(*store_)));
  TestBatch replay({Plain()}, "", "uid-1", key);
  EXPECT_TRUE(absl::IsInvalidArgument(replay.CreateIn(*store_)));
  TestBatch second({{.key = key}});
  const absl::Status status = second.CreateIn(*store_);
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("delivery_key_bytes"));
  EXPECT_EQ(store_->last_id(), 0);
}

TEST_P(IncidentStoreTest, BatchPastItsDeadlineIsNotCreated) {
  TestBatch batch({{.key = "a"}});
  batch->deadline_mono_ns = 1;
  ASSERT_TRUE(batch.CreateIn(*store_).ok());
  EXPECT_EQ(batch->outcome, CreationOutcome::kNotCreated);
  EXPECT_TRUE(absl::IsDeadlineExceeded(batch->status));
  EXPECT_EQ(store_->last_id(), 0);
  TestBatch again({{.key = "a"}});
  Create(again);
  EXPECT_THAT(again.duplicates(), ElementsAre(false));  // what failed is not remembered
}

TEST_P(IncidentStoreTest, ClosedStoreTakesNothingAndStillReads) {
  TestBatch batch({Plain()});
  Create(batch);
  store_->Close();
  store_->Close();
  TestBatch late({Plain()});
  EXPECT_TRUE(absl::IsUnavailable(late.CreateIn(*store_)));
  EXPECT_TRUE(store_->Get(1).ok());
}

TEST_P(IncidentStoreTest, UnknownIdIsNotFound) {
  EXPECT_TRUE(absl::IsNotFound(store_->Get(1).status()));
  EXPECT_TRUE(absl::IsNotFound(store_->Get(-1).status()));
}

TEST_P(IncidentStoreTest, IncidentComesBackAsItWasGiven) {
  const std::string bytes("{\"n\":1E400,\"s\":\"\\u0000 \xc3\xa4\",\"z\":\"a\0b\"}", 33);
  TestBatch batch({{.name = "N\"ame",
                    .details = {bytes.substr(0, 5), "", bytes.substr(5)},
                    .warnings = {"first", "sec\nond"},
                    .type = "",
                    .occurred = "2024-05-01T10:00:00.5Z",
                    .severity = 0.5}});
  Create(batch);
  ASSERT_THAT(batch.ids(), ElementsAre(1));
  EXPECT_EQ(batch->created[0].created, now_);
  const auto stored = store_->Get(1);
  ASSERT_TRUE(stored.ok()) << stored.status();
  EXPECT_EQ(stored->id, 1);
  EXPECT_EQ(stored->instance_uid, "uid-1");
  EXPECT_EQ(stored->instance_name, "webhook");
  EXPECT_EQ(stored->source_brand, "Generic Webhook");
  EXPECT_EQ(stored->name, "N\"ame");
  EXPECT_EQ(stored->type, "");
  EXPECT_EQ(stored->occurred, "2024-05-01T10:00:00.5Z");
  EXPECT_EQ(stored->created, now_);
  EXPECT_EQ(stored->details, bytes);
  EXPECT_THAT(stored->warnings, ElementsAre("first", "sec ond"));
  EXPECT_EQ(stored->severity, 0.5);
  EXPECT_EQ(store_->List({})->incidents[0].severity, 0.5);
}

TEST_P(IncidentStoreTest, RequestIsStoredWithEachIncidentOfItsBatchAndNoOther) {
  const std::string headers(5000, 'h');  // that the first two share
  const std::string query(LRI_STORED_REQUEST_BYTES, 'q');
  TestBatch batch({{.name = "a"}, {.name = "b"}, {.name = "c", .details = {"{}"}}});
  const std::vector<absl::string_view> details = {"{", headers};
  std::vector<NewIncident> incidents(batch->incidents.begin(), batch->incidents.end());
  incidents[0].details = incidents[1].details = details;
  batch->incidents = incidents;
  batch->request_address = "192.0.2.1";
  batch->request_query = query;
  TestBatch other({Plain()});
  TestBatch no_query({Plain()});
  no_query->request_address = "unix";
  for (TestBatch* one : {&batch, &other, &no_query}) Create(*one);
  const auto page = store_->List({});
  ASSERT_TRUE(page.ok()) << page.status();
  ASSERT_EQ(page->incidents.size(), 5u);
  for (size_t i = 0; i < 5; ++i) {
    const StoredIncident& listed = page->incidents[i];
    EXPECT_EQ(listed.request_address, i < 3 ? "192.0.2.1" : i == 3 ? "" : "unix") << i;
    EXPECT_EQ(listed.request_query, i < 3 ? query : "") << i;
    EXPECT_EQ(store_->Get(listed.id)->request_query, listed.request_query);
  }
  EXPECT_EQ(page->incidents[1].details, "{" + headers);
  EXPECT_EQ(page->incidents[2].details, "{}");
}

TEST_P(IncidentStoreTest, PageCountsWhatItsIncidentsShare) {
  const std::string query(LRI_STORED_REQUEST_BYTES, 'q');
  TestBatch batch({Plain(), Plain(), Plain()});
  batch->request_query = query;
  Create(batch);
  const auto page = store_->List({.limit_bytes = LRI_STORED_REQUEST_BYTES});
  ASSERT_TRUE(page.ok()) << page.status();
  EXPECT_EQ(page->incidents.size(), 1u);
  EXPECT_TRUE(page->more);
}

TEST_P(IncidentStoreTest, IdsGrowInTheOrderOfABatch) {
  TestBatch first({{.name = "a"}, {.name = "b"}, {.name = "c"}});
  TestBatch second({{.name = "d"}});
  Create(first);
  Create(second);
  EXPECT_THAT(first.ids(), ElementsAre(1, 2, 3));
  EXPECT_THAT(second.ids(), ElementsAre(4));
  EXPECT_EQ(store_->Get(2)->name, "b");
  EXPECT_EQ(store_->last_id(), 4);
  EXPECT_TRUE(store_->health().ok());
}

TEST_P(IncidentStoreTest, KnownBatchKeyAnswersTheFirstBatchsIds) {
  TestBatch first({{.name = "a", .severity = 3}, {.name = "b"}}, "delivery");
  Create(first);
  const absl::Time created = now_;
  now_ += absl::Seconds(5);
  TestBatch again({{.name = "x"}, {.name = "y"}, {.name = "z"}}, "delivery");
  Create(again);
  EXPECT_THAT(again.ids(), ElementsAre(1, 2, 2));
  EXPECT_THAT(again.duplicates(), Each(true));
  EXPECT_EQ(again->created[0].first->name, "a");
  EXPECT_EQ(again->created[0].first->type, "Hardware");
  EXPECT_EQ(again->created[0].first->occurred, "2024-05-01T10:00:00Z");
  EXPECT_EQ(again->created[0].first->severity, 3);
  EXPECT_EQ(again->created[1].first->severity, 0);
  EXPECT_EQ(again->created[1].created, created);
  EXPECT_EQ(store_->last_id(), 2);
}

TEST_P(IncidentStoreTest, BatchWhoseReplayKeyIsKnownIsADuplicateUnderAnyName) {
  TestBatch first({{.name = "a"}}, "delivery-1", "uid-1", "signed");
  Create(first);
  for (const char* key : {"delivery-1", "delivery-2", ""}) {
    TestBatch again({{.name = "x"}}, key, "uid-1", "signed");
    Create(again);
    EXPECT_THAT(again.ids(), ElementsAre(1)) << key;
    EXPECT_EQ(again->created[0].first->name, "a");
  }
  TestBatch other_instance({Plain()}, "delivery-1", "uid-2", "signed");
  Create(other_instance);
  EXPECT_THAT(other_instance.duplicates(), ElementsAre(false));
}

// Who has captured a request could make up a name for each repetition, and drive out other keys.
TEST_P(IncidentStoreTest, NameThatCameWithAKnownReplayKeyIsNotRemembered) {
  TestBatch first({Plain()}, "delivery-1", "uid-1", "signed");
  Create(first);
  TestBatch replay({Plain()}, "delivery-2", "uid-1", "signed");
  Create(replay);
  TestBatch honest({Plain()}, "delivery-2", "uid-1", "signed otherwise");
  Create(honest);
  EXPECT_THAT(honest.ids(), ElementsAre(2));
  EXPECT_THAT(honest.duplicates(), ElementsAre(false));
}

// A sender that signs its repetition anew: that one can be captured too.
TEST_P(IncidentStoreTest, ReplayKeyThatCameWithAKnownNameIsRemembered) {
  TestBatch first({{.name = "a"}, {.name = "b"}}, "delivery-1", "uid-1", "signed");
  Create(first);
  TestBatch repeated({Plain(), Plain()}, "delivery-1", "uid-1", "signed anew");
  Create(repeated);
  EXPECT_THAT(repeated.ids(), ElementsAre(1, 2));
  TestBatch replay({Plain(), Plain()}, "delivery-2", "uid-1", "signed anew");
  Create(replay);
  EXPECT_THAT(replay.ids(), ElementsAre(1, 2));
  EXPECT_THAT(replay.duplicates(), Each(true));
}

TEST_P(IncidentStoreTest, ReplayKeyOfADryRunIsNotRemembered) {
  TestBatch first({Plain()}, "delivery-1", "uid-1", "signed");
  Create(first);
  TestBatch dry({Plain()}, "delivery-1", "uid-1", "signed anew");
  dry->dry_run = true;
  Create(dry);
  TestBatch fresh({Plain()}, "delivery-2", "uid-1", "signed anew");
  Create(fresh);
  EXPECT_THAT(fresh.duplicates(), ElementsAre(false));
}

TEST_P(IncidentStoreTest, BothKeysOfABatchLiveEquallyLong) {
  TestBatch first({Plain()}, "delivery", "uid-1", "signed");
  first->delivery_key_lifetime = absl::Seconds(60);
  Create(first);
  now_ += absl::Seconds(59);
  TestBatch by_name({Plain()}, "delivery");
  TestBatch by_replay({Plain()}, "", "uid-1", "signed");
  for (TestBatch* batch : {&by_name, &by_replay}) {
    Create(*batch);
    EXPECT_THAT(batch->duplicates(), ElementsAre(true));
  }
  now_ += absl::Seconds(1);
  TestBatch late_name({Plain()}, "delivery");
  TestBatch late_replay({Plain()}, "", "uid-1", "signed");
  for (TestBatch* batch : {&late_name, &late_replay}) {
    Create(*batch);
    EXPECT_THAT(batch->duplicates(), ElementsAre(false));
  }
}

TEST_P(IncidentStoreTest, TwinsInOneBatchKeepTheFirst) {
  TestBatch batch({{.name = "a", .key = "k"}, {.name = "b"}, {.name = "c", .key = "k"}}, "batch");
  Create(batch);
  EXPECT_THAT(batch.ids(), ElementsAre(1, 2, 1));
  EXPECT_THAT(batch.duplicates(), ElementsAre(false, false, true));
  EXPECT_EQ(batch->created[2].first->name, "a");
  TestBatch again({Plain(), Plain(), Plain()}, "batch");
  Create(again);
  EXPECT_THAT(again.ids(), ElementsAre(1, 2, 1));
}

TEST_P(IncidentStoreTest, KnownKeyWithAnotherContentGivesTheIdAndNothingElse) {
  TestBatch first({{.name = "a", .key = "k", .content = "1"}, {.key = "k", .content = "2"}});
  Create(first);
  EXPECT_THAT(first.ids(), ElementsAre(1, 1));
  for (const char* content : {"2", "1", ""}) {
    TestBatch again(std::vector<TestIncident>{{.key = "k", .content = content}});
    Create(again);
    const CreatedIncident& known = again->created[0];
    EXPECT_EQ(known.id, 1);
    EXPECT_TRUE(known.duplicate());
    EXPECT_EQ(known.other_content, content[0] == '2') << content;
    EXPECT_EQ(known.first->name, known.other_content ? "" : "a");
    EXPECT_EQ(known.created, known.other_content ? absl::Time() : now_);
  }
  EXPECT_TRUE(first->created[1].other_content);
}

TEST_P(IncidentStoreTest, KnownBatchKeyWithAnotherContentGivesTheIdsAndNothingElse) {
  TestBatch first({{.name = "a"}, {.name = "b"}}, "batch");
  first->content = "1";
  Create(first);
  TestBatch same({Plain(), Plain()}, "batch");
  same->content = "1";
  Create(same);
  EXPECT_EQ(same->created[1].first->name, "b");
  TestBatch other({Plain(), Plain()}, "batch");
  other->content = "2";
  Create(other);
  EXPECT_TRUE(other->created[1].other_content);
  EXPECT_EQ(other->created[1].id, 2);
  EXPECT_EQ(other->created[1].first->name, "");
  // What the first batch did not have is hidden by the key, whatever is known of the content.
  TestBatch longer({Plain(), Plain(), Plain()}, "batch");
  Create(longer);
  EXPECT_FALSE(longer->created[1].other_content);
  EXPECT_TRUE(longer->created[2].other_content);
}

// The incidents of a request end with the same slice, its headers, of which one may lack the comma.
TEST_P(IncidentStoreTest, EndThatTheDetailsOfABatchShareIsJoinedWhenTheyAreRead) {
  const std::string headers = ",\"headers\":{\"x\":\"" + std::string(10'000, 'h') + "\"}}";
  const absl::string_view end = headers;
  const std::vector<absl::string_view> details[] = {
      {"{\"n\":1", end}, {"{", end.substr(1)}, {"{\"other\":true}"}, {"{", "\"n\":4", end}};
  std::vector<NewIncident> incidents;
  for (const auto& slices : details) {
    incidents.push_back({.name = "n", .occurred = "2024-05-01T10:00:00Z", .details = slices});
  }
  TestBatch batch({Plain()});
  batch->incidents = incidents;
  Create(batch);
  EXPECT_EQ(store_->Get(1)->details, "{\"n\":1" + headers);
  EXPECT_EQ(store_->Get(2)->details, "{" + headers.substr(1));
  EXPECT_EQ(store_->Get(3)->details, "{\"other\":true}");
  const auto page = store_->List({});
  ASSERT_TRUE(page.ok());
  EXPECT_EQ(page->incidents[3].details, "{\"n\":4" + headers);
}

TEST_P(IncidentStoreTest, SameKeyOfAnotherInstanceIsNew) {
  TestBatch first({{.key = "k"}}, "b");
  TestBatch other({{.key = "k"}}, "b", "uid-2");
  Create(first);
  Create(other);
  EXPECT_THAT(other.duplicates(), ElementsAre(false));
  EXPECT_EQ(store_->last_id(), 2);
}

TEST_P(IncidentStoreTest, RenamedInstanceKeepsItsKeysAndShowsItsNewName) {
  TestBatch first({{.key = "k"}});
  Create(first);
  TestBatch renamed({{.key = "k"}, Plain()});
  renamed->instance_name = "renamed";
  Create(renamed);
  EXPECT_THAT(renamed.ids(), ElementsAre(1, 2));
  EXPECT_THAT(renamed.duplicates(), ElementsAre(true, false));
  EXPECT_EQ(store_->Get(1)->instance_name, "renamed");
  EXPECT_EQ(store_->Get(1)->instance_uid, "uid-1");
}

TEST_P(IncidentStoreTest, KeyIsForgottenAfterItsLifetime) {
  TestBatch first({{.key = "k"}});
  first->delivery_key_lifetime = absl::Seconds(60);
  Create(first);
  now_ += absl::Seconds(59);
  TestBatch early({{.key = "k"}});
  Create(early);
  EXPECT_THAT(early.duplicates(), ElementsAre(true));
  now_ += absl::Seconds(1);
  TestBatch late({{.key = "k"}});
  Create(late);
  EXPECT_THAT(late.duplicates(), ElementsAre(false));
}

TEST_P(OwnStoreTest, KeysThatAreForgottenBeforeTheirTimeAreToldToTheBatchThatTookTheirRoom) {
  store_.reset();
  webhook::Limits limits;
  limits.remembered_delivery_keys = 3;
  Open(limits);
  TestBatch first({Plain()}, "delivery-1", "uid-1", "signed");
  first->delivery_key_lifetime = absl::Seconds(60);
  Create(first);
  TestBatch lasting({{.key = "a"}, {.key = "b"}});
  Create(lasting);
  EXPECT_EQ(lasting->keys_forgotten_early, 1);
  TestBatch other_instance({Plain()}, "delivery-1", "uid-2");
  Create(other_instance);
  EXPECT_EQ(other_instance->keys_forgotten_early, 0);
  now_ += absl::Seconds(60);
  TestBatch late({{.key = "c"}, {.key = "d"}});
  Create(late);
  EXPECT_EQ(late->keys_forgotten_early, 0);
}

TEST_P(OwnStoreTest, BatchLargerThanTheMemoryIsStillCheckedWhole) {
  store_.reset();
  webhook::Limits limits;
  limits.remembered_delivery_keys = 3;
  Open(limits);
  std::vector<TestIncident> incidents;
  for (int i = 0; i < 10; ++i) incidents.push_back({.key = "k" + std::to_string(i)});
  incidents.push_back({.key = "k0"});
  TestBatch batch(incidents);
  Create(batch);
  EXPECT_EQ(batch.ids().back(), 1);
  EXPECT_TRUE(batch->created.back().duplicate());
  TestBatch newest({{.key = "k9"}, {.key = "k8"}, {.key = "k7"}, {.key = "k0"}});
  Create(newest);
  EXPECT_THAT(newest.duplicates(), ElementsAre(true, true, true, false));
}

TEST_P(IncidentStoreTest, DryRunWritesAndRemembersNothing) {
  TestBatch first({{.key = "old"}});
  Create(first);
  TestBatch dry({{.key = "new"}, {.key = "old"}}, "batch");
  dry->dry_run = true;
  Create(dry);
  EXPECT_THAT(dry.ids(), ElementsAre(0, 1));
  EXPECT_THAT(dry.duplicates(), ElementsAre(false, true));
  EXPECT_EQ(store_->last_id(), 1);
  TestBatch real({{.key = "new"}}, "batch");
  Create(real);
  EXPECT_THAT(real.duplicates(), ElementsAre(false));
}

std::vector<int64_t> Ids(const IncidentPage& page) {
  std::vector<int64_t> ids;
  for (const StoredIncident& incident : page.incidents) ids.push_back(incident.id);
  return ids;
}

TEST_P(IncidentStoreTest, ListGoesBothWaysInPages) {
  TestBatch batch({Plain(), Plain(), Plain(), Plain(), Plain()});
  Create(batch);
  auto page = store_->List({.limit = 2});
  ASSERT_TRUE(page.ok()) << page.status();
  EXPECT_THAT(Ids(*page), ElementsAre(1, 2));
  EXPECT_TRUE(page->more);
  page = store_->List({.after_id = page->resume_id, .limit = 3});
  EXPECT_THAT(Ids(*page), ElementsAre(3, 4, 5));
  EXPECT_FALSE(page->more);
  page = store_->List({.newest_first = true, .limit = 2});
  EXPECT_THAT(Ids(*page), ElementsAre(5, 4));
  page = store_->List({.newest_first = true, .after_id = 1, .before_id = page->resume_id});
  EXPECT_THAT(Ids(*page), ElementsAre(3, 2));
  EXPECT_FALSE(page->more);
  EXPECT_THAT(store_->List({.after_id = 5})->incidents, IsEmpty());
}

TEST_P(IncidentStoreTest, ListEndsAPageByItsBytes) {
  TestBatch batch({Plain(), Plain(), Plain()});
  Create(batch);
  const auto page = store_->List({.limit_bytes = 1});
  EXPECT_THAT(Ids(*page), ElementsAre(1));
  EXPECT_TRUE(page->more);
  EXPECT_EQ(page->resume_id, 1);
}

TEST_P(IncidentStoreTest, ListOfAnInstanceShowsNoOthers) {
  TestBatch one({Plain(), Plain()}, "", "uid-1");
  TestBatch two({Plain()}, "", "uid-2");
  TestBatch three({Plain()}, "", "uid-1");
  Create(one);
  Create(two);
  Create(three);
  EXPECT_THAT(Ids(*store_->List({.filter = {.instance_uid = "uid-1"}})), ElementsAre(1, 2, 4));
  EXPECT_THAT(Ids(*store_->List({.newest_first = true, .filter = {.instance_uid = "uid-2"}})),
              ElementsAre(3));
  EXPECT_THAT(store_->List({.filter = {.instance_uid = "uid-3"}})->incidents, IsEmpty());
}

// As a reader does that continues until it has seen all.
std::vector<int64_t> Find(IncidentStore& store, IncidentQuery query, int* pages = nullptr) {
  std::vector<int64_t> ids;
  for (bool more = true; more;) {
    const auto page = store.List(query);
    if (!page.ok()) {
      ADD_FAILURE() << page.status();
      break;
    }
    for (const int64_t id : Ids(*page)) ids.push_back(id);
    more = page->more;
    (query.newest_first ? query.before_id : query.after_id) = page->resume_id;
    if (pages != nullptr) ++*pages;
  }
  return ids;
}

std::vector<int64_t> FindWhere(IncidentStore& store, absl::string_view condition) {
  auto read = ReadCondition(condition);
  EXPECT_TRUE(read.ok()) << read.status();
  return Find(store, {.filter = {.where = {*read}}});
}

TEST(IncidentFilterTest, MalformedConditionIsRefusedWithItsPlace) {
  for (const auto& [text, why] :
       {std::pair("", "character 1: expected a name"),
        std::pair("=x", "character 1: expected a name"), std::pair("a.b", "a = behind it"),
        std::pair("a,b=x", "one path"), std::pair("a[x]=y", "character 3: in brackets"),
        std::pair("/a/b=x", "write event.id")}) {
    const absl::Status status = ReadCondition(text).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << text;
    EXPECT_THAT(std::string(status.message()), HasSubstr(why)) << text;
  }
}

TEST_P(IncidentStoreTest, ListWithAFilterShowsNothingElse) {
  TestBatch one(std::vector<TestIncident>{{.name = "Disk FULL on db1", .type = "Disk"},
                                          {.name = "Login", .type = "Auth"}});
  Create(one);
  const absl::Time first = now_;
  now_ += absl::Seconds(10);
  TestBatch two(std::vector<TestIncident>{{.name = "disk full", .type = "Disk"},
                                          {.name = "logout", .type = "auth"}});
  Create(two);
  EXPECT_THAT(Find(*store_, {.filter = {.type = "Auth"}}), ElementsAre(2));
  EXPECT_THAT(Find(*store_, {.newest_first = true, .filter = {.name_part = "K full"}}),
              ElementsAre(3, 1));
  EXPECT_THAT(Find(*store_, {.filter = {.name_part = "disk", .created_since = now_}}),
              ElementsAre(3));
  EXPECT_THAT(Find(*store_, {.filter = {.created_before = now_}}), ElementsAre(1, 2));
  EXPECT_THAT(Find(*store_, {.filter = {.created_since = first}}), ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(Find(*store_, {.filter = {.created_before = first}}), IsEmpty());
  EXPECT_THAT(Find(*store_, {.filter = {.type = "Disk", .name_part = "log"}}), IsEmpty());
}

TEST_P(IncidentStoreTest, ListFindsValuesByTheirPath) {
  const char* const details[] = {
      R"({"alerts":[{"labels":{"severity":"critical","n":5}},{"labels":{"severity":"low"}}]})",
      R"({"alerts":[{"labels":{"severity":"low"}},{"labels":{"severity":"cr\u0069tical"}}]})",
      R"({"a.b":true,"n":1.0,"x":null,"a=b":"=","headers":{"x-id":"7"},"text":"\ud800"})",
      R"({"n":"1.0","object":{"a":1},"empty":""})"};
  std::vector<TestIncident> incidents;
  for (const char* const text : details) incidents.push_back({.details = {text}});
  TestBatch batch(incidents);
  Create(batch);
  EXPECT_THAT(FindWhere(*store_, "alerts[0].labels.severity=critical"), ElementsAre(1));
  EXPECT_THAT(FindWhere(*store_, "alerts[].labels.severity=critical"), ElementsAre(1, 2));
  EXPECT_THAT(FindWhere(*store_, "alerts[0].labels.n=5"), ElementsAre(1));
  EXPECT_THAT(FindWhere(*store_, "alerts[0].labels.n=5.0"), IsEmpty());
  EXPECT_THAT(FindWhere(*store_, "a.b=true"), ElementsAre(3));
  EXPECT_THAT(FindWhere(*store_, "n=1.0"), ElementsAre(3, 4));
  EXPECT_THAT(FindWhere(*store_, "x=null"), ElementsAre(3));
  EXPECT_THAT(FindWhere(*store_, "headers.X-Id=7"), ElementsAre(3));
  EXPECT_THAT(FindWhere(*store_, R"(["a=b"]==)"), ElementsAre(3));
  EXPECT_THAT(FindWhere(*store_, "empty="), ElementsAre(4));
  EXPECT_THAT(FindWhere(*store_, "nothing="), IsEmpty());
  EXPECT_THAT(FindWhere(*store_, "object=[object]"), IsEmpty());
  IncidentQuery both = {.filter = {.where = {*ReadCondition("n=1.0"), *ReadCondition("x=null")}}};
  EXPECT_THAT(Find(*store_, both), ElementsAre(3));
}

TEST_P(IncidentStoreTest, PageEndsWhereMuchWasLeftOut) {
  std::vector<TestIncident> incidents(
      40, {.details = {R"({"a":")" + std::string(100'000, 'x') + R"("})"}});
  incidents.front().type = incidents.back().type = "rare";
  TestBatch batch(incidents);
  Create(batch);
  for (const bool newest_first : {false, true}) {
    int pages = 0;
    const auto ids =
        Find(*store_, {.newest_first = newest_first, .filter = {.name_part = "x"}}, &pages);
    EXPECT_THAT(ids, IsEmpty());
    EXPECT_GT(pages, 2);
    EXPECT_LT(pages, 10);
  }
  EXPECT_THAT(Find(*store_, {.newest_first = true, .filter = {.type = "rare"}}),
              ElementsAre(40, 1));
}

TEST_P(IncidentStoreTest, PageLooksAtALimitedNumberOfIncidents) {
  TestBatch batch(std::vector<TestIncident>(20'001));
  Create(batch);
  const auto page = store_->List({.filter = {.type = "other"}});
  ASSERT_TRUE(page.ok());
  EXPECT_TRUE(page->more);
  EXPECT_THAT(page->incidents, IsEmpty());
  EXPECT_THAT(Find(*store_, {.newest_first = true, .filter = {.type = "other"}}), IsEmpty());
}

TEST_P(IncidentStoreTest, PositionOfAnotherStoreOrNoneAtAllIsRefused) {
  TestBatch batch({Plain(), Plain()});
  Create(batch);
  const std::string good = PositionAfter(*store_, 2);
  const auto other = NewMemoryStore({});
  EXPECT_NE(other->identity(), store_->identity());
  for (const std::string& bad :
       {std::string(), std::string("2"), PositionAfter(*other, 1), good + "0x", good + " ",
        good.substr(0, good.size() - 1), good.substr(0, good.size() - 1) + "-1",
        good.substr(0, good.size() - 1) + "02", good + std::string(200, '0'), "2" + good}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ReadPosition(*store_, bad).status())) << bad;
  }
  EXPECT_TRUE(absl::IsOutOfRange(store_->List({.after_id = 3, .complete = true}).status()));
  EXPECT_EQ(*ReadPosition(*store_, good), 2);
  EXPECT_LE(PositionAfter(*store_, INT64_MAX).size(), 128u);
}

TEST_P(IncidentStoreTest, IncidentsOlderThanTheDaysOfRetentionAreDeletedAndNoOthers) {
  TestBatch old(std::vector<TestIncident>(3));
  Create(old);
  now_ += absl::Hours(71);  // a shared store deletes whole days
  TestBatch young({Plain(), Plain()});
  Create(young);
  now_ += absl::Hours(1) + absl::Microseconds(1);
  EXPECT_THAT(Find(*store_, {}), ElementsAre(1, 2, 3, 4, 5));
  store_->SetRetention({.days = 2});
  AwaitDeleted(3);
  EXPECT_THAT(Find(*store_, {}), ElementsAre(4, 5));
  EXPECT_TRUE(absl::IsNotFound(store_->Get(3).status()));
  EXPECT_EQ(store_->statistics().deleted_incidents, 3);
}

TEST_P(IncidentStoreTest, ReaderWhoMissedWhatWasDeletedIsTold) {
  TestBatch old(std::vector<TestIncident>(3));
  Create(old);
  now_ += absl::Hours(49);
  TestBatch young({Plain()});
  Create(young);
  store_->SetRetention({.days = 1});
  AwaitDeleted(3);
  for (const int64_t id : {0, 1, 2}) {
    EXPECT_TRUE(absl::IsOutOfRange(store_->List({.after_id = id, .complete = true}).status()));
  }
  EXPECT_THAT(Ids(*store_->List({.after_id = 3, .complete = true})), ElementsAre(4));
  EXPECT_THAT(Ids(*store_->List({.after_id = 4, .complete = true})), IsEmpty());
  EXPECT_THAT(Ids(*store_->List({.after_id = 0})), ElementsAre(4));
}

TEST_P(IncidentStoreTest, IdsAreNotGivenAgainWhereEverythingWasDeleted) {
  TestBatch old({Plain(), Plain()});
  Create(old);
  now_ += absl::Hours(49);
  store_->SetRetention({.days = 1});
  AwaitDeleted(2);
  EXPECT_THAT(Find(*store_, {}), IsEmpty());
  EXPECT_EQ(store_->last_id(), 2);
  EXPECT_TRUE(ReadPosition(*store_, PositionAfter(*store_, 2)).ok());
  EXPECT_TRUE(absl::IsOutOfRange(store_->List({.after_id = 1, .complete = true}).status()));
  EXPECT_TRUE(store_->List({.after_id = 2, .complete = true}).ok());
  TestBatch fresh({Plain()});
  Create(fresh);
  EXPECT_THAT(fresh.ids(), ElementsAre(3));
}

TEST_P(OwnStoreTest, OldestAreDeletedWhileTheStoreHasMoreThanTheBytesOfRetention) {
  const std::string end = R"(,"headers":{"x":")" + std::string(10'000, 'h') + "\"}}";
  for (int i = 0; i < 2; ++i) {
    std::vector<NewIncident> incidents;
    const std::string fill = R"({"a":")" + std::string(100'000, 'x') + "\"";
    const absl::string_view details[] = {fill, end};
    for (int n = 0; n < 15; ++n) {
      incidents.push_back({.name = "n", .occurred = "2024-05-01T10:00:00Z", .details = details});
    }
    TestBatch batch({Plain()});
    batch->incidents = incidents;
    Create(batch);
  }
  store_->SetRetention({.bytes = 1'900'000});
  AwaitDeleted(12);
  store_->SetRetention({});
  const std::vector<int64_t> left = Find(*store_, {});
  EXPECT_GT(left.size(), 15u);  // so some are of the first batch
  EXPECT_LT(left.size(), 19u);
  EXPECT_EQ(left.back(), 30);
  EXPECT_THAT(store_->Get(left.front())->details, EndsWith(end));
  EXPECT_THAT(store_->Get(30)->details, EndsWith(end));
}

TEST_P(IncidentStoreTest, DuplicateOfADeletedIncidentIsAnsweredAsBefore) {
  TestBatch first({{.name = "a b\n7", .key = "k", .severity = 0.5}, {.name = "second"}}, "batch",
                  "uid-1", "signed");
  Create(first);
  const absl::Time created = now_;
  now_ += absl::Hours(49);
  const auto expect_first = [&](const CreatedIncident& known, const char* name, int64_t id) {
    EXPECT_EQ(known.id, id);
    ASSERT_TRUE(known.duplicate());
    EXPECT_EQ(known.created, created);
    EXPECT_EQ(known.first->name, name);
    EXPECT_EQ(known.first->type, "Hardware");
    EXPECT_EQ(known.first->occurred, "2024-05-01T10:00:00Z");
    EXPECT_EQ(known.first->severity, id == 1 ? 0.5 : 0);
  };
  const auto expect_duplicates = [&](const char* signed_anew) {
    TestBatch one(std::vector<TestIncident>{{.name = "x", .key = "k"}});
    Create(one);
    expect_first(one->created[0], "a b\n7", 1);
    // By its name, with a replay key that is remembered from now on; then by that one.
    TestBatch named({Plain(), Plain()}, "batch", "uid-1", signed_anew);
    TestBatch replayed({Plain(), Plain()}, "other", "uid-1", signed_anew);
    for (TestBatch* batch : {&named, &replayed}) {
      Create(*batch);
      expect_first((*batch)->created[0], "a b\n7", 1);
      expect_first((*batch)->created[1], "second", 2);
    }
    // An incident that was a duplicate itself.
    TestBatch mixed({{.key = "k"}, Plain()}, std::string("mixed ") + signed_anew);
    Create(mixed);
    TestBatch again({Plain(), Plain()}, std::string("mixed ") + signed_anew);
    Create(again);
    expect_first(again->created[0], "a b\n7", 1);
  };
  expect_duplicates("before");
  store_->SetRetention({.days = 1});
  AwaitDeleted(2);
  EXPECT_TRUE(absl::IsNotFound(store_->Get(1).status()));
  expect_duplicates("after");
}

// The ids that a subscription was told of.
class ToldIds {
 public:
  void Add(int64_t id) {
    const std::lock_guard<std::mutex> lock(mutex_);
    ids_.push_back(id);
    added_.notify_all();
  }
  std::vector<int64_t> AwaitLast(int64_t id) {
    std::unique_lock<std::mutex> lock(mutex_);
    added_.wait_for(lock, std::chrono::seconds(60),
                    [&] { return !ids_.empty() && ids_.back() == id; });
    return ids_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable added_;
  std::vector<int64_t> ids_;
};

TEST_P(IncidentStoreTest, FollowerIsToldOfEachCommitThatItCanRead) {
  ToldIds told;
  std::atomic<bool> readable = true;
  auto subscription = store_->Subscribe([&](int64_t last_id) {
    readable = readable && store_->Get(last_id).ok();
    told.Add(last_id);
  });
  TestBatch first({{.key = "k"}, Plain()});
  TestBatch duplicate({{.key = "k"}});
  TestBatch second({Plain()});
  Create(first);
  EXPECT_THAT(told.AwaitLast(2), ElementsAre(2));
  Create(duplicate);
  Create(second);
  EXPECT_THAT(told.AwaitLast(3), ElementsAre(2, 3));
  EXPECT_TRUE(readable);
  subscription.reset();
}

TEST_P(IncidentStoreTest, EndedSubscriptionIsToldNothingMore) {
  ToldIds told, others;
  std::unique_ptr<IncidentSubscription> own;
  own = store_->Subscribe([&](int64_t last_id) {
    told.Add(last_id);
    own.reset();
  });
  auto ended = store_->Subscribe([&](int64_t) { told.Add(-1); });
  const auto other = store_->Subscribe([&](int64_t last_id) { others.Add(last_id); });
  ended.reset();
  TestBatch first({Plain()});
  TestBatch second({Plain()});
  Create(first);
  others.AwaitLast(1);
  Create(second);
  EXPECT_THAT(others.AwaitLast(2), ElementsAre(1, 2));
  EXPECT_THAT(told.AwaitLast(1), ElementsAre(1));
}

TEST_P(IncidentStoreTest, SubscriptionMayOutliveItsStore) {
  auto subscription = store_->Subscribe([](int64_t) {});
  store_.reset();
  subscription.reset();
}

TEST_P(IncidentStoreTest, TwinsOfManyThreadsAreCreatedOnce) {
  constexpr int kThreads = 4;
  constexpr int kBatches = 50;
  std::vector<std::vector<int64_t>> ids(kThreads);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([this, &own = ids[t]] {
      for (int i = 0; i < kBatches; ++i) {
        // Twins by the keys of their incidents, by their own names, or by what was signed.
        const std::string name = std::to_string(i);
        TestBatch batch({{.key = i % 3 == 0 ? name : ""}}, i % 3 == 1 ? name : "", "uid-1",
                        i % 3 == 2 ? name : "");
        if (batch.CreateIn(*store_).ok() && batch->status.ok()) own.push_back(batch.ids()[0]);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  ASSERT_THAT(ids[0], SizeIs(kBatches));
  for (const std::vector<int64_t>& other : ids) EXPECT_EQ(other, ids[0]);
  EXPECT_EQ(store_->last_id(), kBatches);
}

TEST(MemoryStoreTest, OldestIncidentsAreDroppedBeyondItsBounds) {
  const auto store = NewMemoryStore({.kept_incidents = 2});
  TestBatch batch({{.key = "a"}, Plain(), Plain()});
  ASSERT_TRUE(batch.CreateIn(*store).ok());
  EXPECT_TRUE(absl::IsOutOfRange(store->List({.after_id = 0, .complete = true}).status()));
  EXPECT_EQ(Ids(*store->List({.after_id = 1, .complete = true})), (std::vector<int64_t>{2, 3}));
  EXPECT_TRUE(absl::IsNotFound(store->Get(1).status()));
  EXPECT_EQ(Ids(*store->List({})), (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(store->last_id(), 3);
  TestBatch again({{.key = "a"}});
  ASSERT_TRUE(again.CreateIn(*store).ok());
  EXPECT_THAT(again.ids(), ElementsAre(1));  // the key holds what its duplicates are told
  EXPECT_EQ(again->created[0].first->name, "Disk failing");
}

INSTANTIATE_TEST_SUITE_P(Stores, IncidentStoreTest,
                         ::testing::Values("memory", "sqlite", "postgresql"),
                         [](const auto& info) { return std::string(info.param); });
INSTANTIATE_TEST_SUITE_P(Stores, OwnStoreTest, ::testing::Values("memory", "sqlite"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace host_stub
