// What a host answers when PostgreSQL, or the way to it, fails: what was acknowledged is there
// once, what was refused is not there, and what is not known is there whole or not at all.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "host_stub/store/postgres/connection.h"
#include "host_stub/store/postgres/postgres_store.h"
#include "host_stub/store/postgres/schema.h"
#include "host_stub/store/testing/cutting_proxy.h"
#include "host_stub/store/testing/postgres_server.h"
#include "host_stub/store/testing/store_test_util.h"

namespace host_stub {
namespace {

using ::testing::Each;
using ::testing::Eq;
using ::testing::HasSubstr;

constexpr absl::Duration kPatience = absl::Seconds(30);
constexpr char kWriters[] = "FROM pg_stat_activity WHERE application_name LIKE 'webhook-%'";

class PostgresFaultsTest : public ::testing::Test {
 protected:
  explicit PostgresFaultsTest(PostgresServer& server = PostgresServer::Shared())
      : server_(server), url_(server.NewDatabase()), admin_(Connect(url_)) {
    Admin("SET search_path = generic_webhook; SET synchronous_commit = local");
  }

  static std::unique_ptr<PostgresConnection> Connect(const std::string& url) {
    auto connection = PostgresConnection::Open({.url = url});
    EXPECT_TRUE(connection.ok()) << connection.status();
    return *std::move(connection);
  }

  void Admin(const std::string& sql) {
    const absl::Status status = admin_->RunScript(sql);
    EXPECT_TRUE(status.ok()) << sql << ": " << status;
  }

  void Open(const std::string& url) {
    auto store = OpenPostgresStore({.url = url, .patience = absl::Seconds(1)});
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
    TestBatch first({Plain()}, "first");
    ASSERT_TRUE(first.CreateIn(*store_).ok());
    ASSERT_TRUE(first->status.ok()) << first->status;
  }
  void Open() { Open(url_); }

  // Of the batch with this name.
  std::vector<int64_t> IdsThere(const std::string& name) {
    const auto rows = admin_->Run("SELECT id FROM incident WHERE name = $1 ORDER BY id",
                                  PostgresValues().AddBytes(name));
    EXPECT_TRUE(rows.ok()) << rows.status();
    std::vector<int64_t> ids;
    for (int row = 0; row < rows->size(); ++row) ids.push_back(rows->Integer(row, 0));
    return ids;
  }

  static std::vector<TestIncident> Three(const std::string& name) {
    return {{.name = name}, {.name = name}, {.name = name}};
  }

  // Creates three incidents under this name and key, looks whether the outcome is true, and sends
  // them again until they are there.
  CreationOutcome CreateAndCheck(const std::string& name) {
    SCOPED_TRACE(name);
    TestBatch batch(Three(name), name);
    EXPECT_TRUE(batch.CreateIn(*store_).ok());
    const CreationOutcome outcome = batch->outcome;
    const std::vector<int64_t> there = IdsThere(name);
    CheckOutcome(batch, there);
    SendAgain(name, there);
    return outcome;
  }

  static void CheckOutcome(TestBatch& batch, const std::vector<int64_t>& there) {
    switch (batch->outcome) {
      case CreationOutcome::kCreated:
        EXPECT_EQ(there, batch.ids());
        break;
      case CreationOutcome::kNotCreated:
        EXPECT_TRUE(there.empty()) << batch->status;
        break;
      case CreationOutcome::kUnknown:
        EXPECT_TRUE(there.empty() || there.size() == 3);
    }
  }

  void SendAgain(const std::string& name, const std::vector<int64_t>& there) {
    const absl::Time give_up = absl::Now() + kPatience;
    while (true) {
      TestBatch again(Three(name), name);
      ASSERT_TRUE(again.CreateIn(*store_).ok());
      if (again->outcome == CreationOutcome::kCreated) {
        EXPECT_THAT(again.duplicates(), Each(Eq(!there.empty()))) << name;
        EXPECT_EQ(again.ids(), IdsThere(name));
        EXPECT_TRUE(there.empty() || there == again.ids()) << name;
        return;
      }
      ASSERT_LT(absl::Now(), give_up) << name << ": " << again->status;
      absl::SleepFor(absl::Milliseconds(10));
    }
  }

  // Creates incidents until the store's health is as wanted.
  void AwaitHealth(const std::function<bool(const absl::Status&)>& is_as_wanted) {
    const absl::Time give_up = absl::Now() + kPatience;
    do {
      TestBatch batch({{.name = "tried"}});
      ASSERT_TRUE(batch.CreateIn(*store_).ok());
      ASSERT_LT(absl::Now(), give_up) << store_->health();
    } while (!is_as_wanted(store_->health()));
  }

  // From now on, each of the next commits of a batch fails with this error, at its end or before.
  void FailCommits(const std::string& code, int count, bool at_commit) {
    Admin(absl::StrCat(
        "DROP TRIGGER IF EXISTS fails ON lane; DROP SEQUENCE IF EXISTS failed; "
        "CREATE SEQUENCE failed; CREATE OR REPLACE FUNCTION fail() RETURNS trigger LANGUAGE "
        "plpgsql AS $$ BEGIN IF nextval('failed') <= ",
        count, " THEN RAISE EXCEPTION 'planted' USING ERRCODE = '", code,
        "'; END IF; RETURN NULL; END $$; CREATE CONSTRAINT TRIGGER fails AFTER UPDATE ON lane ",
        at_commit ? "DEFERRABLE INITIALLY DEFERRED" : "",
        " FOR EACH ROW WHEN (OLD.batch <> NEW.batch) EXECUTE FUNCTION fail()"));
  }

  PostgresServer& server_;
  const std::string url_;
  const std::unique_ptr<PostgresConnection> admin_;
  std::unique_ptr<Store> store_;
};

class CutTest : public PostgresFaultsTest {
 protected:
  CutTest() : proxy_(server_.folder()) {
    Open(absl::StrReplaceAll(url_, {{server_.folder(), proxy_.folder()}}));
  }

  CuttingProxy proxy_;
};

TEST_F(CutTest, EachMessageOfATransactionCanBeTheLast) {
  ASSERT_EQ(CreateAndCheck("prepares"), CreationOutcome::kCreated);
  int found_out = 0;
  // Without a word, or with those of a server that is told to stop.
  for (const auto& [to_server, last_words] :
       {std::pair(true, ""), std::pair(false, ""), std::pair(false, "57P01")}) {
    int i = 0;
    for (; true; ++i) {
      const std::string name = absl::StrCat(to_server ? "to" : "from", i, last_words);
      proxy_.CutAt({{to_server, i, last_words}});
      const CreationOutcome outcome = CreateAndCheck(name);
      if (proxy_.cuts_left() > 0) break;  // the transaction has no such message
      found_out += outcome == CreationOutcome::kCreated;
    }
    proxy_.CutAt({});
    EXPECT_GT(i, 15);
  }
  EXPECT_GT(found_out, 20);
}

// A commit's answer is cut, and then the connection that is to find out what became of it.
TEST_F(CutTest, EachMessageOfFindingOutCanBeTheLast) {
  proxy_.CutAt({});
  ASSERT_EQ(CreateAndCheck("whole"), CreationOutcome::kCreated);
  const int answers = proxy_.messages(false);
  for (int i = 0; i < 80; i += 3) {
    const std::string name = absl::StrCat("cut", i);
    proxy_.CutAt({{false, answers / 2 + i % 5, ""}, {i % 2 == 0, i, ""}});
    CreateAndCheck(name);
  }
}

TEST_F(PostgresFaultsTest, AnErrorThatPassesIsNotSeen) {
  Open();
  for (const std::string code : {"40001", "40P01", "55P03"}) {
    for (const bool at_commit : {false, true}) {
      FailCommits(code, 2, at_commit);
      EXPECT_EQ(CreateAndCheck(absl::StrCat(code, at_commit)), CreationOutcome::kCreated);
    }
  }
}

TEST_F(PostgresFaultsTest, OthersThatComeFirstForTooLongAreNoFaultOfOurs) {
  Open();
  for (const std::string code : {"40001", "23502"}) {
    FailCommits(code, 1'000'000, /*at_commit=*/true);
    TestBatch batch(Three(code), code);
    ASSERT_TRUE(batch.CreateIn(*store_).ok());
    EXPECT_EQ(batch->outcome, CreationOutcome::kNotCreated);
    EXPECT_TRUE(absl::IsUnavailable(batch->status)) << batch->status;
    EXPECT_GT(batch->retry_after_seconds, 0);
    EXPECT_TRUE(IdsThere(code).empty());
  }
}

TEST_F(PostgresFaultsTest, AnErrorThatDoesNotPassIsARefusal) {
  Open();
  // A full disk, no memory, a statement that took too long.
  for (const std::string code : {"53100", "53200", "57014", "22000"}) {
    for (const bool at_commit : {false, true}) {
      FailCommits(code, 1, at_commit);
      EXPECT_EQ(CreateAndCheck(absl::StrCat(code, at_commit)), CreationOutcome::kNotCreated);
    }
  }
}

TEST_F(PostgresFaultsTest, AHostThatBalancersPassByIsHealthyAgainByItself) {
  Open();
  for (const std::string code : {"53200", "40001"}) {
    FailCommits(code, code == "53200" ? 1 : 1'000'000, /*at_commit=*/true);
    TestBatch batch(Three(code), code);
    ASSERT_TRUE(batch.CreateIn(*store_).ok());
    EXPECT_EQ(batch->outcome, CreationOutcome::kNotCreated);
    const absl::Time give_up = absl::Now() + kPatience;
    while (!store_->health().ok() && absl::Now() < give_up) absl::SleepFor(absl::Milliseconds(1));
    EXPECT_TRUE(store_->health().ok()) << store_->health();
  }
}

// It may have come after the commit: the server is asked.
TEST_F(PostgresFaultsTest, AnErrorOfTheServerAtTheCommitIsFoundOut) {
  Open();
  for (const std::string code : {"58030", "57P01", "XX000"}) {
    FailCommits(code, 1, /*at_commit=*/true);
    EXPECT_EQ(CreateAndCheck(code), CreationOutcome::kCreated);
  }
}

// The error comes with the end of the round trip, and not with a statement.
TEST_F(PostgresFaultsTest, AnErrorOfAStatementThatCommitsItselfLeavesTheConnectionUsable) {
  const auto connection = Connect(url_);
  Admin(
      "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION "
      "'planted' USING ERRCODE = '40001'; END $$; CREATE CONSTRAINT TRIGGER fails AFTER INSERT ON "
      "leader DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fail()");
  const auto failed =
      connection->Run("INSERT INTO generic_webhook.leader VALUES ('a', 'b', now())");
  EXPECT_EQ(PostgresCodeOf(failed.status()), "40001") << failed.status();
  EXPECT_TRUE(connection->RunScript("SELECT 1").ok());
  const auto two = connection->Run("SELECT 2::bigint");
  ASSERT_TRUE(two.ok()) << two.status();
  EXPECT_EQ(two->Integer(0, 0), 2);
}

TEST_F(PostgresFaultsTest, TerminatedBackendsAndCancelledStatementsLoseNothing) {
  Open();
  std::thread troublemaker;
  std::atomic<bool> stop = false;
  troublemaker = std::thread([&] {
    for (int i = 0; !stop; ++i) {
      const char* const what = i % 2 == 0 ? "pg_terminate_backend" : "pg_cancel_backend";
      Admin(absl::StrCat("SELECT ", what, "(pid) ", kWriters));
      absl::SleepFor(absl::Milliseconds(i % 7));
    }
  });
  // The connection that looks is the troublemaker's, so look afterwards.
  std::vector<std::unique_ptr<TestBatch>> batches;
  for (int i = 0; i < 100; ++i) {
    const std::string name = absl::StrCat("b", i);
    batches.push_back(std::make_unique<TestBatch>(Three(name), name));
    ASSERT_TRUE(batches.back()->CreateIn(*store_).ok());
  }
  stop = true;
  troublemaker.join();
  for (int i = 0; i < 100; ++i) {
    const std::string name = absl::StrCat("b", i);
    TestBatch& batch = *batches[i];
    const std::vector<int64_t> there = IdsThere(name);
    CheckOutcome(batch, there);
    SendAgain(name, there);
  }
}

TEST_F(PostgresFaultsTest, ServerThatIsReadOnlyIsUnavailableUntilItIsNot) {
  Open();
  Admin(
      "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', "
      "current_database()); END $$");
  Admin(absl::StrCat("SELECT pg_terminate_backend(pid) ", kWriters));
  AwaitHealth(
      [](const absl::Status& health) { return absl::StrContains(health.message(), "read-only"); });
  EXPECT_TRUE(IdsThere("tried").empty());
  Admin(
      "SET default_transaction_read_only = off; DO $$ BEGIN EXECUTE format('ALTER DATABASE %I "
      "RESET default_transaction_read_only', current_database()); END $$");
  SendAgain("later", {});
  EXPECT_TRUE(store_->health().ok());
}

TEST_F(PostgresFaultsTest, NoMoreConnectionsStopReadersAndNotTheWriter) {
  ASSERT_TRUE(UpgradePostgresSchema(*Connect(url_), "").ok());
  Admin("CREATE ROLE narrow LOGIN CONNECTION LIMIT 1");
  ASSERT_TRUE(UpgradePostgresSchema(*Connect(url_), "narrow").ok());
  Open(absl::StrReplaceAll(url_, {{"user=webhook", "user=narrow"}}));
  const auto page = store_->List({});
  EXPECT_TRUE(absl::IsUnavailable(page.status())) << page.status();
  EXPECT_EQ(store_->Subscribe([](int64_t) {}), nullptr);
  EXPECT_EQ(CreateAndCheck("created"), CreationOutcome::kCreated);
  Admin("ALTER ROLE narrow CONNECTION LIMIT 10");
  EXPECT_TRUE(store_->List({}).ok());
}

TEST_F(PostgresFaultsTest, AnotherDatabaseBehindTheSameNameIsNeitherWrittenNorRead) {
  Open();
  ASSERT_TRUE(store_->List({}).ok());
  const std::string other = server_.NewDatabase();
  ASSERT_TRUE(
      Connect(other)->RunScript("UPDATE generic_webhook.meta SET identity = 'another'").ok());
  const auto name_of = [](const std::string& url) {
    return url.substr(14, url.find('?') - 14);  // behind postgresql:///
  };
  const auto above = Connect(server_.UrlOf("postgres"));
  const auto rename = [&](const std::string& from, const std::string& to) {
    absl::Status status;
    for (int tries = 0; tries < 100; ++tries) {
      status = above->RunScript(absl::StrCat(
          "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '", from, "'"));
      status = above->RunScript(absl::StrCat("ALTER DATABASE ", from, " RENAME TO ", to));
      if (status.ok()) return;
    }
    ADD_FAILURE() << status;
  };
  rename(name_of(url_), "elsewhere");
  rename(name_of(other), name_of(url_));
  AwaitHealth([](const absl::Status& health) {
    return absl::StrContains(health.message(), "another identity");
  });
  const auto page = store_->List({});
  EXPECT_THAT(std::string(page.status().message()), HasSubstr("another identity"));
  rename(name_of(url_), name_of(other));
  rename("elsewhere", name_of(url_));
  AwaitHealth([](const absl::Status& health) { return health.ok(); });
  const auto rows = Connect(url_)->Run(
      "SELECT count(*) FROM generic_webhook.incident WHERE name <> 'tried'::bytea");
  ASSERT_TRUE(rows.ok()) << rows.status();
  EXPECT_EQ(rows->Integer(0, 0), 1);
}

TEST_F(PostgresFaultsTest, LaneThatAnotherHostHasTakenIsWrittenNoMore) {
  Open();
  EXPECT_EQ(CreateAndCheck("before"), CreationOutcome::kCreated);
  Admin("UPDATE lane SET epoch = epoch + 1, owner = 'another host'");
  CreateAndCheck("after");
  const auto rows = admin_->Run("SELECT count(*) FROM lane WHERE owner <> 'another host'");
  ASSERT_TRUE(rows.ok()) << rows.status();
  EXPECT_EQ(rows->Integer(0, 0), 1);
  EXPECT_NE(IncidentId::LaneOf(IdsThere("after")[0]), IncidentId::LaneOf(IdsThere("before")[0]));
}

TEST_F(PostgresFaultsTest, LaneThatIsGoneMakesNoFalseRefusal) {
  Open();
  Admin("DELETE FROM lane");
  CreateAndCheck("without");
  EXPECT_EQ(CreateAndCheck("with another"), CreationOutcome::kCreated);
}

TEST_F(PostgresFaultsTest, TwinsOnTwoHostsAreCreatedOnceUnderEachIsolation) {
  for (const std::string isolation : {"read committed", "repeatable read", "serializable"}) {
    Admin(
        absl::StrCat("DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET "
                     "default_transaction_isolation = ''",
                     isolation, "''', current_database()); END $$"));
    Open();
    auto opened = OpenPostgresStore({.url = url_});
    ASSERT_TRUE(opened.ok()) << opened.status();
    const std::unique_ptr<Store> other = *std::move(opened);
    std::vector<std::vector<int64_t>> ids(2);
    std::vector<std::thread> hosts;
    for (int host = 0; host < 2; ++host) {
      hosts.emplace_back([&, host] {
        for (int i = 0; i < 50; ++i) {
          TestBatch batch(Three(isolation), absl::StrCat(isolation, i));
          ASSERT_TRUE(batch.CreateIn(host == 0 ? *store_ : *other).ok());
          ASSERT_TRUE(batch->status.ok()) << batch->status;
          for (const int64_t id : batch.ids()) ids[host].push_back(id);
          EXPECT_TRUE((host == 0 ? *store_ : *other).List({.limit = 1}).ok());
        }
      });
    }
    for (std::thread& host : hosts) host.join();
    EXPECT_EQ(ids[0], ids[1]);
    EXPECT_EQ(IdsThere(isolation).size(), 150u);
  }
}

TEST_F(PostgresFaultsTest, StatementsAreNotCompiled) {
  const auto jit = Connect(url_)->Run("SELECT current_setting('jit')");
  ASSERT_TRUE(jit.ok()) << jit.status();
  EXPECT_EQ(jit->Text(0, 0), "off");
}

// With a server of its own, whose commits wait for a standby that does not come.
class NoStandbyTest : public PostgresFaultsTest {
 protected:
  NoStandbyTest() : PostgresFaultsTest(Own()) { Open(); }
  ~NoStandbyTest() override { SetStandby(""); }

  static PostgresServer& Own() {
    static PostgresServer server;
    return server;
  }

  void SetStandby(const std::string& name) {
    Admin(absl::StrCat("ALTER SYSTEM SET synchronous_standby_names = '", name, "'"));
    Admin("SELECT pg_reload_conf()");
    const absl::Time give_up = absl::Now() + kPatience;
    while (true) {
      const auto now = admin_->Run("SELECT current_setting('synchronous_standby_names')");
      if (now.ok() && now->Text(0, 0) == name) return;
      ASSERT_LT(absl::Now(), give_up);
    }
  }
};

TEST_F(NoStandbyTest, CommitWhoseWaitIsBrokenOffIsNotAcknowledged) {
  SetStandby("nobody");
  // Also the waits of those who want to find out.
  std::atomic<bool> done = false;
  std::thread canceller([&] {
    while (!done) {
      Admin(
          absl::StrCat("SELECT pg_cancel_backend(pid) ", kWriters, " AND wait_event = 'SyncRep'"));
    }
  });
  // The server's processes learn one after the other that commits wait.
  const auto probe = PostgresConnection::Open({.url = url_, .application = "webhook-probe"});
  EXPECT_TRUE(probe.ok()) << probe.status();
  while ((*probe)->TakeWarning().empty()) {
    EXPECT_TRUE((*probe)->RunScript("UPDATE generic_webhook.meta SET schema = schema").ok());
  }
  TestBatch batch(Three("waits"), "waits");
  EXPECT_TRUE(batch.CreateIn(*store_).ok());
  done = true;
  canceller.join();
  EXPECT_EQ(batch->outcome, CreationOutcome::kUnknown) << batch->status;
  const std::vector<int64_t> there = IdsThere("waits");
  EXPECT_EQ(there.size(), 3u);
  SetStandby("");
  SendAgain("waits", there);
}

TEST_F(NoStandbyTest, CommitThatWaitsIsAcknowledgedWhenTheStandbyComes) {
  SetStandby("nobody");
  WaitingSink sink;
  TestBatch batch(Three("waits"), "waits");
  batch->sink = &sink;
  ASSERT_TRUE(store_->Create(batch.get()).ok());
  const absl::Time give_up = absl::Now() + kPatience;
  while (true) {
    const auto waits =
        admin_->Run("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'");
    ASSERT_TRUE(waits.ok()) << waits.status();
    if (waits->Integer(0, 0) > 0) break;
    ASSERT_LT(absl::Now(), give_up);
  }
  EXPECT_TRUE(sink.completed().empty());
  SetStandby("");
  sink.WaitFor(1);
  EXPECT_EQ(batch->outcome, CreationOutcome::kCreated);
}

}  // namespace
}  // namespace host_stub
