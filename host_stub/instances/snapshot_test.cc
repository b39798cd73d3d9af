// The snapshot that all doors read: what a name and a path find, before and after a change.
#include "host_stub/instances/snapshot.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "host_stub/engine/testing/engine_test_util.h"

namespace host_stub {
namespace {

class SnapshotTest : public testing::Test {
 protected:
  SnapshotTest() {
    auto plugin = HostedPlugin::Load("tests/abi/echo_plugin.so", PluginOptions(), test_.services);
    EXPECT_TRUE(plugin.ok()) << plugin.status();
    plugin_ = *std::move(plugin);
  }
  InstanceEntry Entry(const std::string& name) {
    InstanceEntry entry;
    entry.settings.name = name;
    auto instance = plugin_->CreateInstance(TestSpec(name));
    EXPECT_TRUE(instance.ok()) << instance.status();
    entry.instance = *std::move(instance);
    return entry;
  }
  std::shared_ptr<InstanceSnapshot> Copy() const {
    return std::make_shared<InstanceSnapshot>(*published_.current());
  }
  InstanceSnapshot::Outcome OutcomeOf(const std::string& path) const {
    return published_.current()->FindPath(path).outcome;
  }

  TestServices test_;
  std::shared_ptr<HostedPlugin> plugin_;
  PublishedInstances published_;
};

TEST_F(SnapshotTest, InstanceIsFoundByItsNameAndUnderItsPath) {
  auto next = Copy();
  ASSERT_TRUE(next->Put(Entry("b")).ok());
  ASSERT_TRUE(next->Put(Entry("a")).ok());
  published_.Publish(next);
  EXPECT_EQ(published_.Find("none"), nullptr);
  const std::shared_ptr<const InstanceEntry> b = published_.Find("b");
  ASSERT_NE(b, nullptr);
  EXPECT_EQ(b->path_prefix, "/instance/execute/");
  EXPECT_EQ(published_.current()->entries().begin()->first, "a");
  const auto match = published_.current()->FindPath("/instance/execute/b/c?d");
  EXPECT_EQ(match.entry, b.get());
  EXPECT_EQ(match.name, "b");
  EXPECT_EQ(match.remainder, "/c?d");
  for (const char* path :
       {"", "/", "/b", "/instance/execute/", "/instance/execute/c", "/execute/b"}) {
    EXPECT_EQ(OutcomeOf(path), InstanceSnapshot::Outcome::kNotFound) << path;
  }
}

TEST_F(SnapshotTest, InstanceThatWantsClientCertificatesIsClosedAtTheHostsOwnDoors) {
  auto next = Copy();
  InstanceEntry entry = Entry("hook");
  entry.settings.parameters["client_ca"] = "any";
  ASSERT_TRUE(next->Put(std::move(entry)).ok());
  published_.Publish(next);
  EXPECT_EQ(OutcomeOf("/instance/execute/hook"), InstanceSnapshot::Outcome::kClosed);
  EXPECT_NE(published_.Find("hook")->closed.find("listen port only"), std::string::npos);
}

TEST_F(SnapshotTest, EntryWithoutAnInstanceIsListedAndNotServed) {
  auto next = Copy();
  InstanceEntry entry;
  entry.settings.name = "off";
  entry.settings.disabled = true;
  ASSERT_TRUE(next->Put(std::move(entry)).ok());
  published_.Publish(next);
  ASSERT_NE(published_.Find("off"), nullptr);
  EXPECT_EQ(OutcomeOf("/instance/execute/off"), InstanceSnapshot::Outcome::kNotFound);
}

TEST_F(SnapshotTest, EntryKeepsItsNumberAndAnotherGetsItOnlyOnceItHasGone) {
  InstanceSnapshot snapshot;
  const auto put = [&](const std::string& name) {
    InstanceEntry entry;
    entry.settings.name = name;
    entry.number = 77;
    EXPECT_TRUE(snapshot.Put(std::move(entry)).ok());
    return snapshot.Find(name)->number;
  };
  EXPECT_EQ(put("c"), 0u);
  EXPECT_EQ(put("b"), 1u);
  EXPECT_EQ(put("a"), 2u);
  EXPECT_EQ(put("b"), 1u);
  snapshot.Remove("b");
  snapshot.Remove("b");
  EXPECT_EQ(put("a"), 2u);
  EXPECT_EQ(put("d"), 1u);
  EXPECT_EQ(put("b"), 3u);
}

TEST_F(SnapshotTest, ReaderSeesAPublicationAtItsNextGetAndThenLetsGoOfTheEarlierOne) {
  auto next = Copy();
  ASSERT_TRUE(next->Put(Entry("hook")).ok());
  published_.Publish(next);
  next = nullptr;
  PublishedInstances::Reader reader;
  const std::weak_ptr<HostedInstance> first = reader.Get(published_).Find("hook")->instance;
  next = Copy();
  ASSERT_TRUE(next->Put(Entry("hook")).ok());
  published_.Publish(std::move(next));
  EXPECT_FALSE(first.expired());
  EXPECT_NE(reader.Get(published_).Find("hook")->instance, nullptr);
  EXPECT_TRUE(first.expired());
}

TEST_F(SnapshotTest, ReadersOnManyThreadsAlwaysSeeAWholeSnapshot) {
  auto first = Copy();
  ASSERT_TRUE(first->Put(Entry("a")).ok());
  const InstanceEntry a = *first->Find("a");
  published_.Publish(std::move(first));
  std::atomic<bool> stop{false};
  std::atomic<int> reads{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&, i] {
      PublishedInstances::Reader reader;
      for (; !stop; ++reads) {
        const bool found =
            i == 0 ? published_.Find("a") != nullptr
                   : reader.Get(published_).FindPath("/instance/execute/a").entry != nullptr;
        ASSERT_TRUE(found);
      }
    });
  }
  for (int i = 0; i < 200; ++i) {
    auto next = Copy();
    next->front_url = std::to_string(i);
    if (i % 2 == 0) {
      ASSERT_TRUE(next->Put(a).ok());
    }
    published_.Publish(std::move(next));
    for (const int before = reads; reads < before + 3;) std::this_thread::yield();
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace host_stub
