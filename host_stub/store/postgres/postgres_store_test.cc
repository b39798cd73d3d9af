// What is particular to the store that hosts share; what it has in common with the others is tested
// by incident_store_test and state_store_test.
#include "host_stub/store/postgres/postgres_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "host_stub/store/postgres/connection.h"
#include "host_stub/store/postgres/schema.h"
#include "host_stub/store/postgres/server_check.h"
#include "host_stub/store/testing/postgres_server.h"
#include "host_stub/store/testing/store_test_util.h"

namespace host_stub {
namespace {

using ::testing::Contains;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

std::unique_ptr<PostgresConnection> Connect(const std::string& url) {
  auto connection = PostgresConnection::Open({.url = url});
  EXPECT_TRUE(connection.ok()) << connection.status();
  EXPECT_TRUE((*connection)->RunScript("SET search_path = generic_webhook").ok());
  return *std::move(connection);
}

class PostgresStoreTest : public ::testing::Test {
 protected:
  std::unique_ptr<Store> Open() {
    auto store = OpenPostgresStore({.url = url_});
    EXPECT_TRUE(store.ok()) << store.status();
    return *std::move(store);
  }
  void Execute(const std::string& sql) {
    const absl::Status status = Connect(url_)->RunScript(sql);
    EXPECT_TRUE(status.ok()) << status;
  }
  int64_t Count(const char* sql) {
    auto rows = Connect(url_)->Run(sql);
    EXPECT_TRUE(rows.ok()) << rows.status();
    return rows->Integer(0, 0);
  }
  // What an incident reader has seen that begins at the beginning.
  static std::vector<int64_t> ReadAll(Store& store) {
    std::vector<int64_t> ids;
    for (IncidentQuery query{.limit = 7};;) {
      const auto page = store.List(query);
      EXPECT_TRUE(page.ok()) << page.status();
      for (const StoredIncident& incident : page->incidents) ids.push_back(incident.id);
      if (!page->more) return ids;
      query.after_id = page->resume_id;
    }
  }

  const std::string url_ = PostgresServer::Shared().NewDatabase();
};

absl::Status CreateOne(IncidentStore& store, const std::string& key = "",
                       std::vector<int64_t>* ids = nullptr) {
  TestBatch batch({{.key = key}});
  if (absl::Status status = batch.CreateIn(store); !status.ok()) return status;
  if (ids != nullptr) *ids = batch.ids();
  return batch->status;
}

TEST(IncidentIdTest, IdsOfALaneGrowWhateverTheClockSays) {
  const absl::Time now = absl::FromUnixSeconds(1'800'000'000);
  int64_t id = 0;
  for (int i = 0; i < 10'000; ++i) {  // past the counter of a millisecond
    const int64_t next = IncidentId::After(id, 5, now - absl::Seconds(i % 3));
    ASSERT_GT(next, id);
    ASSERT_EQ(IncidentId::LaneOf(next), 5);
    id = next;
  }
  EXPECT_GT(IncidentId::After(id, 5, now + absl::Seconds(10)), id);
  EXPECT_EQ(IncidentId::After(id, 5, now + absl::Seconds(10)),
            IncidentId::After(0, 5, now + absl::Seconds(10)));
}

TEST(IncidentIdTest, IdsOfADayAreBetweenTheFirstOnesOfItsDays) {
  const absl::Time noon = absl::FromUnixSeconds(1'800'014'400);
  const int64_t day = IncidentId::DayOf(noon);
  for (const int64_t lane : {int64_t{1}, IncidentId::kLanes - 1}) {
    const int64_t id = IncidentId::After(0, lane, noon);
    EXPECT_GE(id, IncidentId::FirstOf(day));
    EXPECT_LT(id, IncidentId::FirstOf(day + 1));
    EXPECT_EQ(IncidentId::LaneOf(id), lane);
  }
  EXPECT_EQ(IncidentId::LaneOf(17), 0);
  EXPECT_EQ(IncidentId::LaneOf(5'000'000), 0);  // of an older store
}

TEST_F(PostgresStoreTest, DatabaseWithoutTablesIsRefusedWithTheCommandThatMakesThem) {
  const auto store = OpenPostgresStore({.url = PostgresServer::Shared().NewDatabase(false)});
  EXPECT_TRUE(absl::IsFailedPrecondition(store.status()));
  EXPECT_THAT(std::string(store.status().message()), HasSubstr("host_stub store init"));
}

TEST_F(PostgresStoreTest, TablesThatNeedANewerProgramAreRefused) {
  Execute("UPDATE meta SET schema = 1000, oldest_program = 999");
  const auto store = OpenPostgresStore({.url = url_});
  EXPECT_TRUE(absl::IsFailedPrecondition(store.status()));
  EXPECT_THAT(std::string(store.status().message()), HasSubstr("a newer program made them"));
  EXPECT_TRUE(absl::IsFailedPrecondition(UpgradePostgresSchema(*Connect(url_), "")));
}

// Hosts of two versions run side by side during an upgrade.
TEST_F(PostgresStoreTest, TablesOfTheNextVersionThatHaveGrownAreServed) {
  auto before = Open();
  Execute(
      "UPDATE meta SET schema = schema + 1; ALTER TABLE incident ADD COLUMN future text; "
      "ALTER TABLE delivery_key ADD COLUMN future bigint NOT NULL DEFAULT 7; "
      "CREATE TABLE of_the_future (number bigint)");
  EXPECT_TRUE(CreateOne(*before, "k").ok());
  auto after = Open();
  std::vector<int64_t> first, again;
  EXPECT_TRUE(CreateOne(*after, "k", &again).ok());
  EXPECT_TRUE(CreateOne(*before, "k", &first).ok());
  EXPECT_EQ(again, first);
  EXPECT_THAT(ReadAll(*after), SizeIs(1));
}

TEST_F(PostgresStoreTest, UpgradeThatIsRunTwiceAtOnceIsDoneOnce) {
  const std::string url = PostgresServer::Shared().NewDatabase(false);
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&url] {
      const absl::Status status = UpgradePostgresSchema(*Connect(url), "");
      EXPECT_TRUE(status.ok()) << status;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(CheckPostgresSchema(*Connect(url)).ok());
}

TEST_F(PostgresStoreTest, ServerThatAcknowledgesWhatItCanLoseIsRefusedUnlessThatIsAllowed) {
  Execute("ALTER ROLE webhook SET synchronous_commit = off");
  const auto refused = OpenPostgresStore({.url = url_});
  EXPECT_TRUE(absl::IsFailedPrecondition(refused.status()));
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("synchronous_commit is off"));
  const auto allowed = OpenPostgresStore({.url = url_, .allow_asynchronous = true});
  EXPECT_TRUE(allowed.ok()) << allowed.status();
  EXPECT_THAT((*allowed)->durability(), HasSubstr("synchronous_commit is off"));
  Execute("ALTER ROLE webhook RESET synchronous_commit");
  EXPECT_THAT(Open()->durability(), HasSubstr("the disk of one server"));
}

TEST_F(PostgresStoreTest, RoleThatDoesNotOwnTheTablesCanServeAndCannotDropThem) {
  Execute("DROP ROLE IF EXISTS plain; CREATE ROLE plain LOGIN");
  ASSERT_TRUE(UpgradePostgresSchema(*Connect(url_), "plain").ok());
  const std::string url = url_.substr(0, url_.rfind("&user=")) + "&user=plain";
  auto store = OpenPostgresStore({.url = url});
  ASSERT_TRUE(store.ok()) << store.status();
  EXPECT_TRUE(CreateOne(**store, "k").ok());
  EXPECT_THAT(ReadAll(**store), SizeIs(1));
  EXPECT_FALSE(Connect(url)->RunScript("DROP TABLE incident").ok());
  const auto findings = CheckServer(*Connect(url));
  ASSERT_TRUE(findings.ok()) << findings.status();
  EXPECT_THAT(*findings, Each(Field(&Finding::is_fault, false)));
}

TEST_F(PostgresStoreTest, CheckTellsWhatIsMissingAndWhatToDo) {
  const std::string url = PostgresServer::Shared().NewDatabase(false);
  const auto findings = CheckServer(*Connect(url));
  ASSERT_TRUE(findings.ok()) << findings.status();
  std::vector<std::string> faults;
  for (const Finding& finding : *findings) {
    if (finding.is_fault) faults.push_back(finding.text);
  }
  EXPECT_THAT(faults, ElementsAre(HasSubstr("host_stub store init")));
}

TEST_F(PostgresStoreTest, DeliveryThatTwoHostsGetIsCreatedOnceAndBothAreToldTheSame) {
  auto one = Open();
  auto other = Open();
  TestBatch first({{.name = "a"}, {.name = "b"}}, "delivery", "uid-1", "signed");
  TestBatch again({{.name = "x"}, {.name = "y"}}, "delivery", "uid-1", "signed");
  ASSERT_TRUE(first.CreateIn(*one).ok());
  ASSERT_TRUE(again.CreateIn(*other).ok());
  EXPECT_EQ(again.ids(), first.ids());
  EXPECT_THAT(again.duplicates(), Each(true));
  EXPECT_EQ(again->created[1].first->name, "b");
  EXPECT_EQ(ReadAll(*one), first.ids());
}

TEST_F(PostgresStoreTest, TwinsThatRaceOnHostsAreCreatedOnce) {
  constexpr int kHosts = 3;
  constexpr int kDeliveries = 60;
  std::vector<std::unique_ptr<Store>> hosts;
  for (int i = 0; i < kHosts; ++i) hosts.push_back(Open());
  std::vector<std::vector<int64_t>> ids(kHosts);
  std::vector<std::thread> threads;
  for (int host = 0; host < kHosts; ++host) {
    threads.emplace_back([&store = *hosts[host], &own = ids[host]] {
      for (int i = 0; i < kDeliveries; ++i) {
        const std::string name = std::to_string(i);
        // Some have the keys of others in another order.
        TestBatch batch({{.key = i % 2 == 0 ? name : ""}, {.key = absl::StrCat("b", i / 4)}},
                        i % 2 == 1 ? name : "");
        ASSERT_TRUE(batch.CreateIn(store).ok());
        ASSERT_TRUE(batch->status.ok()) << batch->status;
        for (const int64_t id : batch.ids()) own.push_back(id);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::vector<int64_t>& own : ids) EXPECT_EQ(own, ids[0]);
  std::vector<int64_t> all = ReadAll(*hosts[0]);
  EXPECT_EQ(ReadAll(*hosts[1]), all);
  std::vector<int64_t> expected = ids[0];
  for (std::vector<int64_t>* list : {&all, &expected}) {
    std::sort(list->begin(), list->end());
    list->erase(std::unique(list->begin(), list->end()), list->end());
  }
  EXPECT_EQ(all, expected);
}

// Each reads on while the hosts write; none may miss what commits late.
TEST_F(PostgresStoreTest, ReadersOnAllHostsSeeTheSameOrder) {
  constexpr int kHosts = 3;
  constexpr int kBatches = 100;
  std::vector<std::unique_ptr<Store>> hosts;
  for (int i = 0; i < kHosts; ++i) hosts.push_back(Open());
  std::vector<std::thread> writers, readers;
  std::vector<std::vector<int64_t>> seen(kHosts);
  for (int host = 0; host < kHosts; ++host) {
    writers.emplace_back([&store = *hosts[host]] {
      for (int i = 0; i < kBatches; ++i) EXPECT_TRUE(CreateOne(store).ok());
    });
    readers.emplace_back([&store = *hosts[host], &own = seen[host]] {
      for (IncidentQuery query{.complete = true, .limit = 5}; own.size() < kHosts * kBatches;) {
        const auto page = store.List(query);
        ASSERT_TRUE(page.ok()) << page.status();
        for (const StoredIncident& incident : page->incidents) own.push_back(incident.id);
        query.after_id = page->resume_id;
      }
    });
  }
  for (std::thread& thread : writers) thread.join();
  for (std::thread& thread : readers) thread.join();
  for (const std::vector<int64_t>& own : seen) EXPECT_EQ(own, seen[0]);
  // Backwards, too.
  std::vector<int64_t> backwards;
  for (IncidentQuery query{.newest_first = true, .limit = 9};;) {
    const auto page = hosts[0]->List(query);
    ASSERT_TRUE(page.ok()) << page.status();
    for (const StoredIncident& incident : page->incidents) backwards.push_back(incident.id);
    if (!page->more) break;
    query.before_id = page->resume_id;
  }
  std::reverse(backwards.begin(), backwards.end());
  EXPECT_EQ(backwards, seen[0]);
}

TEST_F(PostgresStoreTest, HostWhoseLaneWasTakenOverGoesOnWithAnother) {
  auto store = Open();
  ASSERT_TRUE(CreateOne(*store, "a").ok());
  // As if it had been stopped for long, and another host had taken its place.
  Execute("UPDATE lane SET epoch = epoch + 1, owner = 'another', expires = now() + interval '1 h'");
  EXPECT_TRUE(CreateOne(*store, "b").ok());
  EXPECT_EQ(Count("SELECT count(*) FROM lane"), 2);
  EXPECT_THAT(ReadAll(*store), SizeIs(2));
  EXPECT_TRUE(store->health().ok());
}

TEST_F(PostgresStoreTest, LaneOfAHostThatEndedIsUsedAgain) {
  Open()->Close();
  auto store = Open();
  ASSERT_TRUE(CreateOne(*store).ok());
  EXPECT_EQ(Count("SELECT count(*) FROM lane"), 1);
}

TEST_F(PostgresStoreTest, ConnectionThatTheServerEndsLosesNothing) {
  auto store = Open();
  std::vector<int64_t> ids;
  for (int i = 0; i < 10; ++i) {
    std::vector<int64_t> created;
    ASSERT_TRUE(CreateOne(*store, std::to_string(i), &created).ok());
    ids.push_back(created[0]);
    Execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE "
        "'%webhook-%' AND datname = current_database()");
  }
  EXPECT_EQ(ReadAll(*store), ids);
}

TEST_F(PostgresStoreTest, LossOfAcknowledgedCommitsIsTold) {
  auto store = Open();
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(CreateOne(*store).ok());
  // As a standby that lagged behind would know it.
  Execute(
      "UPDATE lane SET batch = 1; SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
      "application_name LIKE 'webhook-%' AND datname = current_database()");
  ASSERT_TRUE(CreateOne(*store).ok());
  EXPECT_THAT(store->warning(), HasSubstr("has lost commits that it had acknowledged"));
}

// As after a failover to a standby that had not received the last of the order.
TEST_F(PostgresStoreTest, EndOfTheOrderIsThatOfTheServerAlsoWhereItKnowsLess) {
  auto store = Open();
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(CreateOne(*store).ok());
    EXPECT_THAT(ReadAll(*store), SizeIs(i + 1));
  }
  Execute(
      "DELETE FROM run; DELETE FROM ordered; UPDATE run_head SET position = 0; "
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE "
      "'%webhook-%' AND datname = current_database()");
  std::vector<int64_t> newest;
  ASSERT_TRUE(CreateOne(*store, "", &newest).ok());
  EXPECT_THAT(ReadAll(*store), SizeIs(4));
  EXPECT_EQ(store->last_id(), newest[0]);
}

TEST_F(PostgresStoreTest, AnotherDatabaseBehindTheSameNameIsRefused) {
  auto store = Open();
  ASSERT_TRUE(CreateOne(*store).ok());
  Execute(
      "UPDATE meta SET identity = 'ffffffffffffffff'; SELECT pg_terminate_backend(pid) FROM "
      "pg_stat_activity WHERE application_name LIKE 'webhook-%' AND datname = "
      "current_database()");
  EXPECT_FALSE(CreateOne(*store).ok());
  EXPECT_THAT(std::string(store->health().message()), HasSubstr("another identity"));
}

TEST_F(PostgresStoreTest, SerializableIsNoHindrance) {
  Execute("ALTER ROLE webhook SET default_transaction_isolation = serializable");
  auto one = Open();
  auto other = Open();
  for (int i = 0; i < 20; ++i) {
    EXPECT_TRUE(CreateOne(*one, std::to_string(i)).ok());
    EXPECT_TRUE(CreateOne(*other, std::to_string(i)).ok());
  }
  EXPECT_THAT(ReadAll(*one), SizeIs(20));
  Execute("ALTER ROLE webhook RESET default_transaction_isolation");
}

TEST_F(PostgresStoreTest, IncidentOfADayWithoutAPartitionMakesOne) {
  const absl::Time now = absl::Now() + absl::Hours(24 * 30);
  absl::Time host_now = absl::Now();
  auto store = OpenPostgresStore({.url = url_, .now = [&host_now] { return host_now; }});
  ASSERT_TRUE(store.ok()) << store.status();
  host_now = now;
  EXPECT_TRUE(CreateOne(**store, "k").ok());
  EXPECT_THAT(ReadAll(**store), SizeIs(1));
}

TEST_F(PostgresStoreTest, SendersBytesAreNoFaultOfTheWholeCommit) {
  auto store = Open();
  const std::string odd("a\0\xff\xfe", 4);
  TestBatch batch({{.name = odd, .key = odd, .details = {odd}, .warnings = {odd}, .type = odd}},
                  odd);
  ASSERT_TRUE(batch.CreateIn(*store).ok());
  ASSERT_TRUE(batch->status.ok()) << batch->status;
  const auto stored = store->Get(batch.ids()[0]);
  ASSERT_TRUE(stored.ok()) << stored.status();
  EXPECT_EQ(stored->name, odd);
  EXPECT_EQ(stored->type, odd);
  EXPECT_EQ(stored->details, odd);
  EXPECT_THAT(stored->warnings, ElementsAre(odd));
}

}  // namespace
}  // namespace host_stub
