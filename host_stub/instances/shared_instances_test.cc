// The instances of hosts that share a PostgreSQL: what one changes, all serve.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "host_stub/instances/testing/instance_manager_test_util.h"
#include "host_stub/store/postgres/connection.h"
#include "host_stub/store/postgres/postgres_store.h"
#include "host_stub/store/postgres/sealing.h"
#include "host_stub/store/testing/postgres_server.h"

namespace host_stub {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const std::string kKey(64, '1');
const std::string kNewKey(64, 'a');

// One of the hosts.
class SharingHost : public InstanceManagerTest {
 public:
  explicit SharingHost(const std::string& url, const Configuration& file = File({}),
                       std::vector<std::string> keys = {kKey}) {
    auto store = OpenPostgresStore({.url = url, .secrets_keys = std::move(keys)});
    EXPECT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
    test_.services.state = store_;
    Start(file);
  }
  ~SharingHost() override { End(); }
  void TestBody() override {}

  using InstanceManagerTest::Create;
  using InstanceManagerTest::Instance;
  using InstanceManagerTest::Listed;
  using InstanceManagerTest::Names;
  using InstanceManagerTest::Post;
  using InstanceManagerTest::Set;
  using InstanceManagerTest::SetDisabled;

  absl::Status Delete(const std::string& name) { return manager_->Delete(name, ""); }
  InstanceManager& manager() { return *manager_; }
  Store& store() { return *store_; }
  std::vector<std::string> lines() { return test_.logger->lines(); }

 private:
  std::shared_ptr<Store> store_;
};

// Patience for a slow machine: it takes half a second.
template <typename Condition>
bool Await(const Condition& condition) {
  const absl::Time give_up = absl::Now() + absl::Seconds(60);
  while (!condition()) {
    if (absl::Now() > give_up) return false;
    absl::SleepFor(absl::Milliseconds(10));
  }
  return true;
}

Parameters WithPassword(const std::string& password) {
  return {{"username", "user"}, {"password", password}};
}

class SharedInstancesTest : public ::testing::Test {
 protected:
  std::unique_ptr<PostgresConnection> Connect() {
    auto connection = PostgresConnection::Open({.url = url_});
    EXPECT_TRUE(connection.ok()) << connection.status();
    return *std::move(connection);
  }
  // Whether some row of some table of instances has this text in it.
  bool Contains(const std::string& text) {
    const auto rows = Connect()->Run(
        "SELECT count(*) FROM generic_webhook.configured_instance i WHERE "
        "position($1 IN encode(configuration, 'escape')) > 0 OR position($1 IN i::text) > 0",
        PostgresValues().Add(text));
    EXPECT_TRUE(rows.ok()) << rows.status();
    return rows->Integer(0, 0) > 0;
  }

  const std::string url_ = PostgresServer::Shared().NewDatabase();
};

TEST_F(SharedInstancesTest, WhatOneHostMakesChangesDisablesAndDeletesIsSoAtTheOther) {
  SharingHost one(url_), other(url_);
  ASSERT_TRUE(one.Create(New("hook", WithPassword("first"))).ok());
  EXPECT_TRUE(Await([&] { return other.Post("hook", "user:first") == 200; }));
  EXPECT_EQ(other.Listed("hook")->uid, one.Listed("hook")->uid);
  EXPECT_EQ(other.Listed("hook")->etag, one.Listed("hook")->etag);

  ASSERT_TRUE(other.Set("hook", "password", "second").ok());
  EXPECT_TRUE(Await([&] { return one.Post("hook", "user:second") == 200; }));
  EXPECT_EQ(one.Post("hook", "user:first"), 401);

  ASSERT_TRUE(one.SetDisabled("hook", true).ok());
  EXPECT_TRUE(Await([&] { return other.Post("hook", "user:second") == 0; }));
  ASSERT_TRUE(other.SetDisabled("hook", false).ok());
  EXPECT_TRUE(Await([&] { return one.Post("hook", "user:second") == 200; }));

  ASSERT_TRUE(one.Delete("hook").ok());
  EXPECT_TRUE(Await([&] { return other.Names().empty(); }));
  EXPECT_EQ(other.Post("hook", "user:second"), 0);
}

TEST_F(SharedInstancesTest, AChangeKnowsWhatAnotherHostHasJustChanged) {
  SharingHost one(url_), other(url_);
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(one.Create(New("hook", {{"incidentType", "A"}})).ok());
    EXPECT_TRUE(absl::IsAlreadyExists(other.Create(New("hook"))));
    const std::string etag = one.Listed("hook")->etag;
    EXPECT_TRUE(other.Set("hook", "incidentType", "B").ok());
    EXPECT_TRUE(absl::IsFailedPrecondition(one.manager().Delete("hook", etag)));
    EXPECT_TRUE(one.Delete("hook").ok());
    EXPECT_TRUE(absl::IsNotFound(other.Set("hook", "incidentType", "C")));
  }
}

TEST_F(SharedInstancesTest, AnInstanceThatIsMadeAnewIsAnother) {
  SharingHost one(url_), other(url_);
  ASSERT_TRUE(one.Create(New("hook", WithPassword("first"))).ok());
  EXPECT_TRUE(Await([&] { return other.Post("hook", "user:first") == 200; }));
  ASSERT_TRUE(one.Delete("hook").ok());
  ASSERT_TRUE(one.Create(New("hook", WithPassword("second"))).ok());
  EXPECT_TRUE(Await([&] { return other.Post("hook", "user:second") == 200; }));
  EXPECT_EQ(other.Listed("hook")->uid, one.Listed("hook")->uid);
}

TEST_F(SharedInstancesTest, OfHostsThatMakeTheSameNameOrPortAtOnceOneWins) {
  SharingHost one(url_), other(url_);
  for (int round = 0; round < 10; ++round) {
    const std::string name = absl::StrCat("hook", round);
    absl::Status first, second;
    std::thread thread([&] { first = one.Create(New(name)); });
    second = other.Create(New(name));
    thread.join();
    EXPECT_NE(first.ok(), second.ok()) << first << second;
    EXPECT_TRUE(absl::IsAlreadyExists(first.ok() ? second : first)) << first << second;
  }
  EXPECT_EQ(one.store().ListInstances()->size(), 10u);
}

TEST_F(SharedInstancesTest, ManyChangesAtBothHostsAreAllThere) {
  SharingHost one(url_), other(url_);
  const auto create = [](SharingHost& host, const std::string& prefix) {
    for (int i = 0; i < 10; ++i) {
      const absl::Status status = host.Create(New(absl::StrCat(prefix, i)));
      // Whoever always loses is told to try again.
      EXPECT_TRUE(status.ok() || absl::IsUnavailable(status)) << status;
      if (!status.ok()) --i;
    }
  };
  std::thread thread([&] { create(one, "a"); });
  create(other, "b");
  thread.join();
  EXPECT_TRUE(Await([&] { return one.Names().size() == 20; }));
  EXPECT_TRUE(Await([&] { return other.Names() == one.Names(); }));
}

TEST_F(SharedInstancesTest, OneRequestIdMakesOneInstanceWhicheverHostIsAsked) {
  SharingHost one(url_), other(url_);
  InstanceSettings settings = New("hook");
  settings.request_id = "0b7e6f3c-0000-0000-0000-000000000000";
  ASSERT_TRUE(one.Create(settings).ok());
  ASSERT_TRUE(other.Create(settings).ok());
  EXPECT_EQ(one.Listed("hook")->uid, other.Listed("hook")->uid);
}

TEST_F(SharedInstancesTest, AHostServesWhatItsFileNamesAndSaysWhatItDoesNot) {
  SharingHost one(url_);
  SharingHost other(url_, File({{"hook", {{"username", "user"}, {"password", "of the file"}}}}));
  ASSERT_TRUE(one.Create(New("hook", WithPassword("stored"))).ok());
  ASSERT_TRUE(one.Create(New("more")).ok());
  EXPECT_TRUE(Await([&] { return other.Post("more") == 200; }));
  EXPECT_EQ(other.Post("hook", "user:of the file"), 200);
  EXPECT_EQ(one.Post("hook", "user:stored"), 200);
  EXPECT_THAT(other.lines(),
              ::testing::Contains(HasSubstr("the store has an instance of this name too")));
  // The file gives the name up.
  ASSERT_TRUE(other.manager().Reload(File({})).ok());
  EXPECT_TRUE(Await([&] { return other.Post("hook", "user:stored") == 200; }));
}

// Both hosts are on this machine, so that one of them finds the port taken.
TEST_F(SharedInstancesTest, AChangeThatAHostCannotApplyIsItsFaultThereAndIsTriedAgain) {
  auto one = std::make_unique<SharingHost>(url_, FileOfXsoar6({}));
  SharingHost other(url_, FileOfXsoar6({}));
  ASSERT_TRUE(one->Create(New("hook", Listening())).ok());
  EXPECT_FALSE(one->Listed("hook")->start_error.has_value());
  EXPECT_TRUE(Await([&] { return other.Listed("hook").has_value(); }));
  ASSERT_TRUE(other.Listed("hook")->start_error.has_value());
  EXPECT_THAT(other.Listed("hook")->start_error->message, HasSubstr("is in use"));
  one.reset();
  EXPECT_TRUE(Await([&] { return !other.Listed("hook")->start_error.has_value(); }));
}

// A host that goes on with the old settings would let in whoever has the old password.
TEST_F(SharedInstancesTest, AHostThatCannotApplyAChangeDoesNotServeTheSettingsBefore) {
  SharingHost one(url_), other(url_);
  ASSERT_TRUE(one.Create(New("hook", WithPassword("old"))).ok());
  EXPECT_TRUE(Await([&] { return other.Post("hook", "user:old") == 200; }));
  // As a host of another version of the program may store it.
  StoredInstance changed = one.store().ListInstances()->front();
  changed.configuration = R"({"parameters":{"password":"without a name"}})";
  ++changed.generation;
  ASSERT_TRUE(one.store().SaveInstance(changed, nullptr, *one.store().InstancesVersion()).ok());
  EXPECT_TRUE(Await([&] { return other.Listed("hook")->start_error.has_value(); }));
  EXPECT_EQ(other.Post("hook", "user:old"), 0);
}

std::vector<InstanceOnHost> OnHosts(SharingHost& asked, const std::string& uid) {
  const auto list = asked.store().ListOnHosts({uid});
  EXPECT_TRUE(list.ok()) << list.status();
  return list.ok() ? *list : std::vector<InstanceOnHost>();
}

TEST_F(SharedInstancesTest, EachHostTellsWhatItServesAndWhatNot) {
  auto one = std::make_unique<SharingHost>(url_, File({}), std::vector<std::string>{kKey});
  SharingHost other(url_, File({{"more", {}}}), {kNewKey});
  ASSERT_TRUE(one->Create(New("hook", WithPassword("planted"))).ok());
  ASSERT_TRUE(one->Create(New("more")).ok());
  const std::string uid = one->Listed("hook")->uid;
  ASSERT_TRUE(Await([&] { return OnHosts(other, uid).size() == 2; }));
  const auto states = [&](const std::string& of) {
    std::vector<std::string> states;
    for (const InstanceOnHost& host : OnHosts(other, of)) states.push_back(host.state);
    std::sort(states.begin(), states.end());
    return states;
  };
  EXPECT_THAT(states(uid), ElementsAre("healthy", "unhealthy"));
  const std::string hidden = one->Listed("more")->uid;
  EXPECT_TRUE(Await([&] { return OnHosts(other, hidden).size() == 2; }));
  EXPECT_THAT(states(hidden), ElementsAre("healthy", "unhealthy"));
  EXPECT_THAT(OnHosts(other, "file-more").size(), 1u);
  EXPECT_THAT(OnHosts(other, "none"), IsEmpty());
  ASSERT_TRUE(one->SetDisabled("hook", true).ok());
  EXPECT_TRUE(Await([&] {
    return states(uid) == std::vector<std::string>{"disabled", "unhealthy"} &&
           OnHosts(other, uid)[0].generation == 2 && OnHosts(other, uid)[1].generation == 2;
  }));
  one.reset();  // a host that ends in order is not listed
  EXPECT_EQ(OnHosts(other, uid).size(), 1u);
}

TEST_F(SharedInstancesTest, HostsThatWereKilledAreGoneAfterAMinuteAndForgottenAfterADay) {
  SharingHost host(url_);
  ASSERT_TRUE(host.Create(New("hook")).ok());
  const std::string uid = host.Listed("hook")->uid;
  ASSERT_TRUE(
      Connect()
          ->RunScript(absl::StrCat(
              "SET search_path = generic_webhook; INSERT INTO host VALUES "
              "('a', now() - interval '61 s', '', 1), ('b', now() - interval '25 h', '', 1);"
              "INSERT INTO host_instance SELECT name, '",
              uid, "', 1, 0, 0, 'healthy', '' FROM host WHERE name IN ('a', 'b')"))
          .ok());
  ASSERT_TRUE(host.SetDisabled("hook", true).ok());  // it is told at once
  ASSERT_TRUE(Await([&] { return OnHosts(host, uid).back().state == "disabled"; }));
  const std::vector<InstanceOnHost> list = OnHosts(host, uid);
  ASSERT_EQ(list.size(), 2u);
  EXPECT_EQ(list[0].host, "a");
  EXPECT_TRUE(list[0].gone);
  EXPECT_FALSE(list[1].gone);
}

TEST_F(SharedInstancesTest, WithoutAKeyAnInstanceWithASecretIsRefusedAndSaysWhatToDo) {
  SharingHost host(url_, File({}), {});
  for (const bool validate_only : {true, false}) {
    const absl::Status status =
        host.manager().Create(New("hook", WithPassword("planted")), validate_only).status();
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
    EXPECT_THAT(std::string(status.message()),
                AllOf(HasSubstr("openssl rand -hex 32"), HasSubstr("secrets_key_files")));
  }
  EXPECT_TRUE(host.Create(New("hook")).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(host.Set("hook", "password", "planted")));
  EXPECT_EQ(host.Post("hook"), 200);
}

TEST_F(SharedInstancesTest, ASecretIsInNoByteOfTheTable) {
  SharingHost host(url_);
  ASSERT_TRUE(host.Create(New("hook", WithPassword("planted-one"))).ok());
  ASSERT_TRUE(host.Set("hook", "password", "planted-two").ok());
  EXPECT_FALSE(Contains("planted"));
  EXPECT_TRUE(Contains("hook"));  // it is looked for in the right way
}

TEST_F(SharedInstancesTest, WhatNoKeyOfAHostOpensIsNotServedThereAndNamesTheKey) {
  SharingHost one(url_);
  SharingHost other(url_, File({}), {kNewKey});
  ASSERT_TRUE(one.Create(New("hook", WithPassword("planted"))).ok());
  EXPECT_TRUE(Await([&] { return other.Listed("hook").has_value(); }));
  ASSERT_TRUE(other.Listed("hook")->start_error.has_value());
  const std::string message = other.Listed("hook")->start_error->message;
  EXPECT_THAT(message, HasSubstr("which this host has not"));
  const auto key = Connect()->Run("SELECT key_id FROM generic_webhook.configured_instance");
  EXPECT_THAT(message, HasSubstr(std::string(key->Text(0, 0))));
  EXPECT_EQ(other.Post("hook"), 0);
  // A change without the secrets would drop them.
  EXPECT_TRUE(absl::IsFailedPrecondition(other.SetDisabled("hook", true)));
  EXPECT_TRUE(other.Create(New("more", WithPassword("planted"))).ok());
  EXPECT_TRUE(other.Delete("hook").ok());
}

TEST_F(SharedInstancesTest, RekeySealsAllWithTheFirstKeyAndHostsThatLackedItServe) {
  SharingHost one(url_, File({}), {kKey, kNewKey});
  SharingHost other(url_, File({}), {kNewKey});
  ASSERT_TRUE(one.Create(New("hook", WithPassword("planted"))).ok());
  ASSERT_TRUE(one.Create(New("plain")).ok());
  EXPECT_TRUE(Await([&] { return other.Listed("hook").has_value(); }));
  EXPECT_TRUE(other.Listed("hook")->start_error.has_value());
  const auto rekeyed = RekeyInstances(*Connect(), Sealing({kNewKey, kKey}));
  ASSERT_TRUE(rekeyed.ok()) << rekeyed.status();
  EXPECT_EQ(rekeyed->instances, 2);
  EXPECT_THAT(rekeyed->faults, IsEmpty());
  EXPECT_TRUE(Await([&] { return other.Post("hook", "user:planted") == 200; }));
  EXPECT_EQ(one.Post("hook", "user:planted"), 200);
  EXPECT_FALSE(Contains("planted"));
  // What no key opens stays as it was, and is told of.
  const auto wrong = RekeyInstances(*Connect(), Sealing({kKey}));
  ASSERT_TRUE(wrong.ok()) << wrong.status();
  EXPECT_EQ(wrong->instances, 0);
  ASSERT_EQ(wrong->faults.size(), 2u);
  EXPECT_THAT(wrong->faults[0], HasSubstr("instance hook: its configuration is sealed with"));
  ASSERT_TRUE(one.Set("hook", "incidentType", "A").ok());
}

TEST_F(SharedInstancesTest, HostThatStartsServesWhatTheOthersHaveMade) {
  SharingHost one(url_);
  ASSERT_TRUE(one.Create(New("hook", WithPassword("first"))).ok());
  SharingHost other(url_);
  EXPECT_EQ(other.Post("hook", "user:first"), 200);
  EXPECT_THAT(other.Names(), ElementsAre("hook"));
}

}  // namespace
}  // namespace host_stub
