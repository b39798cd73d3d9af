// An instance's memory, as a plugin reaches it through the host's table.
#include "host_stub/engine/plugin_core.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "absl/synchronization/notification.h"
#include "host_stub/engine/testing/engine_test_util.h"
#include "host_stub/store/memory_store.h"

namespace host_stub {
namespace {

// What a plugin is told.
struct Told {
  static void Done(void* context, int32_t code, lri_view value) {
    Told& told = *static_cast<Told*>(context);
    EXPECT_FALSE(told.notification.HasBeenNotified());
    told.code = code;
    told.value = std::string(ToStringView(value));
    told.notification.Notify();
  }
  void Await() { notification.WaitForNotification(); }

  int32_t code = -1;
  std::string value;
  absl::Notification notification;
};

class PluginCoreTest : public testing::Test {
 protected:
  int32_t Get(absl::string_view key, Told& told) {
    return host_.host()->context_get(host_.host()->context, record_.abi(), ToView(key), &Told::Done,
                                     &told);
  }
  int32_t Set(absl::string_view key, absl::string_view value, Told& told) {
    return host_.host()->context_set(host_.host()->context, record_.abi(), ToView(key),
                                     ToView(value), &Told::Done, &told);
  }
  void AwaitAll() {
    while (record_.in_flight()) absl::SleepFor(absl::Milliseconds(1));
  }

  TestServices test_;
  PluginCore host_{{}, test_.services};
  InstanceRecord record_{"uid", "hook", "Echo", *test_.logger};
};

TEST_F(PluginCoreTest, ContextIsUnimplementedWithoutAStore) {
  HostServices services = test_.services;
  services.state = nullptr;
  PluginCore host({}, services);
  Told never;
  EXPECT_EQ(host.host()->context_get(host.host()->context, record_.abi(), ToView("key"),
                                     &Told::Done, &never),
            LRI_UNIMPLEMENTED);
}

TEST_F(PluginCoreTest, MalformedKeyAndMissingInstanceAreRefusedAndNothingIsTold) {
  Told never;
  EXPECT_EQ(Get("a b", never), LRI_INVALID_ARGUMENT);
  EXPECT_EQ(Set("", "v", never), LRI_INVALID_ARGUMENT);
  EXPECT_EQ(
      host_.host()->context_get(host_.host()->context, nullptr, ToView("key"), &Told::Done, &never),
      LRI_INVALID_ARGUMENT);
  EXPECT_FALSE(record_.in_flight());
}

TEST_F(PluginCoreTest, ClosedStoreIsUnavailableAndNothingIsInFlight) {
  test_.services.store->Close();
  Told never;
  EXPECT_EQ(Get("key", never), LRI_UNAVAILABLE);
  EXPECT_EQ(Set("key", "v", never), LRI_UNAVAILABLE);
  EXPECT_FALSE(record_.in_flight());
}

TEST_F(PluginCoreTest, NothingSetIsNotFound) {
  Told told;
  ASSERT_EQ(Get("key", told), LRI_OK);
  told.Await();
  EXPECT_EQ(told.code, LRI_NOT_FOUND);
  EXPECT_EQ(told.value, "");
  AwaitAll();
}

TEST_F(PluginCoreTest, ValueIsReadBackAndDoneMayBeMissing) {
  Told set, get;
  ASSERT_EQ(Set("key", "first", set), LRI_OK);
  ASSERT_EQ(host_.host()->context_set(host_.host()->context, record_.abi(), ToView("key"),
                                      ToView("second"), nullptr, nullptr),
            LRI_OK);
  ASSERT_EQ(Get("key", get), LRI_OK);
  get.Await();
  set.Await();
  EXPECT_EQ(set.code, LRI_OK);
  EXPECT_EQ(get.code, LRI_OK);
  EXPECT_EQ(get.value, "second");
  AwaitAll();
}

}  // namespace
}  // namespace host_stub
