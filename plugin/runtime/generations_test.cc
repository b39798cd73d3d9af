#include "plugin/runtime/generations.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace webhook::runtime {
namespace {

std::shared_ptr<const Configuration> Named(const char* type) {
  Configuration configuration{.name = "webhook",
                              .platform = nullptr,
                              .platform_url = {},
                              .incident_type = type,
                              .listen_port = 0,
                              .bind_address = {},
                              .tls = nullptr,
                              .store_samples = false,
                              .credentials = *core::Credentials::Create("", ""),
                              .webhook_url = {},
                              .listen_url = {},
                              .warnings = {},
                              .ticket = 1};
  return std::make_shared<const Configuration>(std::move(configuration));
}

TEST(GenerationsTest, NobodyEntersWhileItIsClosed) {
  Generations generations(Named("a"));
  EXPECT_EQ(generations.Enter(), nullptr);
  generations.Replace(Named("b"));
  EXPECT_EQ(generations.Enter(), nullptr);
  ASSERT_TRUE(generations.Open());
  EXPECT_FALSE(generations.Open());
  generations.Enter()->gate.Leave();
  generations.Close();
  EXPECT_EQ(generations.Enter(), nullptr);
}

TEST(GenerationsTest, WhoIsInsideKeepsTheOldConfigurationUntilItLeaves) {
  Generations generations(Named("old"));
  generations.Open();
  Generation* const before = generations.Enter();
  generations.Replace(Named("new"));
  generations.Replace(Named("newest"));
  Generation* const after = generations.Enter();
  EXPECT_EQ(before->configuration->incident_type, "old");
  EXPECT_EQ(after->configuration->incident_type, "newest");
  EXPECT_EQ(generations.entered(), 2);
  generations.Close();
  EXPECT_FALSE(generations.WaitUntilEmpty(absl::InfinitePast()));
  after->gate.Leave();
  EXPECT_FALSE(generations.WaitUntilEmpty(absl::InfinitePast()));
  before->gate.Leave();
  EXPECT_TRUE(generations.WaitUntilEmpty(absl::InfinitePast()));
}

TEST(GenerationsTest, ConfigurationThatNobodyUsesIsLetGoOfByTheNextButOne) {
  const auto first = Named("first");
  Generations generations(first);
  generations.Open();
  generations.Replace(Named("second"));
  generations.Replace(Named("third"));
  EXPECT_EQ(first.use_count(), 1);
}

TEST(GenerationsTest, EnteringNeverFailsWhileConfigurationsAreReplaced) {
  Generations generations(Named("a"));
  generations.Open();
  std::atomic<bool> over{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&] {
      while (!over) {
        Generation* const generation = generations.Enter();
        ASSERT_NE(generation, nullptr);
        ASSERT_EQ(generation->configuration->name, "webhook");
        generation->gate.Leave();
      }
    });
  }
  for (int i = 0; i < 2'000; ++i) generations.Replace(Named("b"));
  over = true;
  for (std::thread& thread : threads) thread.join();
  generations.Close();
  EXPECT_TRUE(generations.WaitUntilEmpty(absl::InfiniteFuture()));
}

}  // namespace
}  // namespace webhook::runtime
