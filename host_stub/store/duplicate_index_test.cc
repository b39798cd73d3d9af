#include "host_stub/store/duplicate_index.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace host_stub {
namespace {

using ::testing::ElementsAre;
using ::testing::IsNull;
using ::testing::NotNull;

constexpr auto kIncident = KeyScope::kIncident;
const absl::Time kNow = absl::FromUnixSeconds(1'700'000'000);

DeliveryKey Key(std::string text, int64_t row, absl::Time expires = absl::InfiniteFuture()) {
  return {1, kIncident, std::move(text), IncidentIds(row * 10), expires, row};
}

TEST(DuplicateIndexTest, AbandonedKeyIsNotKnown) {
  DuplicateIndex index(10);
  index.Stage(Key("a", 1));
  EXPECT_THAT(index.Find(1, kIncident, "a", kNow), NotNull());
  index.Abandon();
  EXPECT_THAT(index.Find(1, kIncident, "a", kNow), IsNull());
}

TEST(DuplicateIndexTest, KeysOfOtherInstancesAndScopesAreNotKnown) {
  DuplicateIndex index(10);
  index.Stage(Key("a", 1));
  index.Commit(kNow);
  EXPECT_THAT(index.Find(2, kIncident, "a", kNow), IsNull());
  EXPECT_THAT(index.Find(1, KeyScope::kBatch, "a", kNow), IsNull());
}

// Version 1 wrote no type. Its keys match for as long as they live, those with a hash too.
TEST(DuplicateIndexTest, KeyThatVersion1StoredIsKnownUnderItsNewEncoding) {
  DuplicateIndex index(10);
  index.Stage(Key("event.id:17", 1));
  index.Stage(Key("headers.x:a:b\n1", 2));
  index.Stage(Key(std::string(64, 'f'), 3));
  for (const bool committed : {false, true}) {
    if (committed) index.Commit(kNow);
    for (const char* key : {"\2in8:event.id:17", "\2is8:event.id:17", "\2rs9:headers.x:a:b\n1"}) {
      EXPECT_THAT(index.Find(1, kIncident, key, kNow), NotNull()) << key;
    }
    EXPECT_THAT(index.Find(1, kIncident, "\2iS8:" + std::string(64, 'f'), kNow), NotNull());
    for (const char* key : {"\2in8:event.id:18", "\2rs9:headers.x:a:b", "\2", "\2is8", "", "17"}) {
      EXPECT_THAT(index.Find(1, kIncident, key, kNow), IsNull()) << key;
    }
  }
  EXPECT_THAT(index.Find(2, kIncident, "\2in8:event.id:17", kNow), IsNull());
}

TEST(DuplicateIndexTest, KeysOfAnotherTypeAreOthers) {
  DuplicateIndex index(10);
  index.Stage(Key("\2in8:event.id:17", 1));
  index.Commit(kNow);
  EXPECT_THAT(index.Find(1, kIncident, "\2is8:event.id:17", kNow), IsNull());
  EXPECT_THAT(index.Find(1, kIncident, "event.id:17", kNow), IsNull());
}

TEST(DuplicateIndexTest, ExpiredKeyIsNotKnownAndMayComeAgain) {
  DuplicateIndex index(10);
  index.Stage(Key("b", 1));
  index.Stage(Key("a", 2, kNow + absl::Seconds(1)));
  index.Commit(kNow);
  const absl::Time later = kNow + absl::Seconds(1);
  EXPECT_THAT(index.Find(1, kIncident, "a", later), IsNull());
  index.Stage(Key("a", 3));
  index.Commit(later);
  ASSERT_THAT(index.Find(1, kIncident, "a", later), NotNull());
  EXPECT_EQ(index.Find(1, kIncident, "a", later)->ids.first(), 30);
}

// A lifetime that was made shorter: the newer twin expires behind the older one.
TEST(DuplicateIndexTest, EvictingAnOlderTwinKeepsTheNewerOne) {
  DuplicateIndex index(3);
  index.Stage(Key("b", 1, kNow + absl::Seconds(9)));
  index.Stage(Key("a", 2, kNow + absl::Seconds(1)));
  index.Commit(kNow);
  const absl::Time later = kNow + absl::Seconds(1);
  index.Stage(Key("a", 3));
  index.Stage(Key("c", 4));
  index.Stage(Key("d", 5));
  index.Commit(later);
  for (const char* kept : {"a", "c", "d"}) {
    EXPECT_THAT(index.Find(1, kIncident, kept, later), NotNull()) << kept;
  }
  EXPECT_THAT(index.forgotten_rows(), ElementsAre(1, 2));
}

TEST(DuplicateIndexTest, ExpiredKeysAreFreedBehindOneThatLasts) {
  DuplicateIndex index(10);
  index.Stage(Key("lasts", 1));
  index.Stage(Key("a", 2, kNow + absl::Seconds(1)));
  index.Stage(Key("b", 3, kNow + absl::Seconds(1)));
  index.Stage(Key("c", 4, kNow + absl::Seconds(2)));
  index.Commit(kNow);
  index.Stage(Key("d", 5));
  index.Commit(kNow + absl::Seconds(1));
  EXPECT_THAT(index.forgotten_rows(), ElementsAre(2, 3));
  EXPECT_THAT(index.Find(1, kIncident, "lasts", kNow), NotNull());
  EXPECT_THAT(index.Find(1, kIncident, "c", kNow + absl::Seconds(1)), NotNull());
}

TEST(DuplicateIndexTest, ExpiredKeysOfAnInstanceThatIsQuietAreFreed) {
  DuplicateIndex index(10);
  EXPECT_FALSE(index.has_expiring());
  for (const int64_t instance : {1, 2, 3}) {
    DeliveryKey key = Key("a", instance, kNow + absl::Seconds(instance));
    key.instance = instance;
    index.Stage(std::move(key));
  }
  index.Commit(kNow);
  EXPECT_TRUE(index.has_expiring());
  index.Expire(kNow + absl::Seconds(2));
  EXPECT_THAT(index.forgotten_rows(), ElementsAre(1, 2));
  EXPECT_THAT(index.Find(3, kIncident, "a", kNow + absl::Seconds(2)), NotNull());
  index.Expire(kNow + absl::Seconds(3));
  EXPECT_THAT(index.forgotten_rows(), ElementsAre(1, 2, 3));
  EXPECT_FALSE(index.has_expiring());
  index.Stage(Key("a", 4, kNow + absl::Seconds(9)));  // an instance that was forgotten whole
  index.Commit(kNow);
  EXPECT_TRUE(index.has_expiring());
  EXPECT_THAT(index.Find(1, kIncident, "a", kNow), NotNull());
}

TEST(DuplicateIndexTest, KeyThatIsForgottenBeforeItsTimeIsCountedOnce) {
  DuplicateIndex index(2);
  index.Stage(Key("lasts", 1));
  index.Stage(Key("a", 2, kNow + absl::Seconds(1)));
  index.Stage(Key("b", 3, kNow + absl::Seconds(9)));
  index.Commit(kNow);
  EXPECT_EQ(index.TakeForgottenEarly(1), 0);  // "lasts" was to live as long as there is room
  const absl::Time later = kNow + absl::Seconds(1);
  index.Stage(Key("c", 4, kNow + absl::Seconds(9)));
  index.Commit(later);
  EXPECT_EQ(index.TakeForgottenEarly(1), 0);  // "a" had expired
  index.Stage(Key("d", 5));
  index.Stage(Key("e", 6));
  index.Commit(later);
  EXPECT_EQ(index.TakeForgottenEarly(2), 0);
  EXPECT_EQ(index.TakeForgottenEarly(1), 2);
  EXPECT_EQ(index.TakeForgottenEarly(1), 0);
  EXPECT_THAT(index.forgotten_rows(), ElementsAre(1, 2, 3, 4));
}

TEST(DuplicateIndexTest, TransactionLargerThanTheMemoryKeepsItsNewest) {
  DuplicateIndex index(3);
  for (int row = 1; row <= 5; ++row) index.Stage(Key(std::string(1, 'a' + row), row));
  EXPECT_THAT(index.Find(1, kIncident, "b", kNow), NotNull());  // until the end all are known
  index.Commit(kNow);
  EXPECT_THAT(index.forgotten_rows(), ElementsAre(1, 2));
  EXPECT_THAT(index.Find(1, kIncident, "c", kNow), IsNull());
  for (const char* kept : {"d", "e", "f"}) {
    EXPECT_THAT(index.Find(1, kIncident, kept, kNow), NotNull()) << kept;
  }
}

TEST(DuplicateIndexTest, MemoryOfNoneStillKnowsTheTransactionsOwn) {
  DuplicateIndex index(0);
  index.Stage(Key("a", 1));
  EXPECT_THAT(index.Find(1, kIncident, "a", kNow), NotNull());
  index.Commit(kNow);
  EXPECT_THAT(index.Find(1, kIncident, "a", kNow), IsNull());
}

TEST(IncidentIdsTest, TextThatIsNoListIsRefused) {
  for (const char* text : {"", "1", "1+", "+1", "1+0", "0+1", "-1+1", "1+1 ", "a+1"}) {
    EXPECT_FALSE(IncidentIds::FromText(text).ok()) << text;
  }
}

TEST(IncidentIdsTest, RunsComeBackInTheirOrder) {
  IncidentIds ids;
  for (const int64_t id : {17, 18, 19, 4, 20}) ids.Append(id);
  EXPECT_EQ(ids.ToText(), "17+3 4+1 20+1");
  const auto read = IncidentIds::FromText(ids.ToText());
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->ToText(), ids.ToText());
  EXPECT_THAT(read->Expand(7), ElementsAre(17, 18, 19, 4, 20, 20, 20));
  EXPECT_THAT(read->Expand(2), ElementsAre(17, 18));
}

}  // namespace
}  // namespace host_stub
