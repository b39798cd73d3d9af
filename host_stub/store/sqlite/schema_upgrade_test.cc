// Databases that earlier versions made, and files that are none of ours.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "absl/strings/str_cat.h"
#include "host_stub/store/position.h"
#include "host_stub/store/sqlite/sqlite_store.h"
#include "host_stub/store/sqlite/writer_database.h"
#include "host_stub/store/testing/store_test_util.h"

namespace host_stub {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

absl::StatusOr<std::unique_ptr<Store>> Open(const std::string& folder) {
  return OpenSqliteStore({folder, "", {}, absl::Now});
}

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.good()) << path;
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

class SchemaUpgradeTest : public ::testing::Test {
 protected:
  std::string Database() const { return folder_.path() + "/incidents.db"; }

  void RunSql(const std::string& sql) {
    sqlite3* database = nullptr;
    ASSERT_EQ(sqlite3_open(Database().c_str(), &database), SQLITE_OK);
    ASSERT_EQ(sqlite3_exec(database, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK)
        << sqlite3_errmsg(database);
    ASSERT_EQ(sqlite3_close(database), SQLITE_OK);
  }
  void MakeOfVersion(int64_t version) {
    RunSql(ReadFile(absl::StrCat("host_stub/store/testing/fixtures/schema_v", version, ".sql")));
  }
  void ExpectRefusal(const std::string& why) {
    const std::string before = ReadFile(Database());
    const absl::Status status = Open(folder_.path()).status();
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(Database()));
    EXPECT_THAT(std::string(status.message()), HasSubstr(why));
    EXPECT_EQ(ReadFile(Database()), before) << "it was changed";
  }

  TemporaryFolder folder_;
};

TEST_F(SchemaUpgradeTest, VersionOfTheFutureIsRefusedAndLeftAlone) {
  MakeOfVersion(kSchemaVersion);
  RunSql(absl::StrCat("PRAGMA journal_mode = WAL; PRAGMA user_version = ", kSchemaVersion + 1));
  ExpectRefusal("newer version");
}

TEST_F(SchemaUpgradeTest, FileThatIsNoDatabaseIsRefusedAndLeftAlone) {
  for (const size_t size : {size_t{1}, size_t{99}, size_t{4096}}) {
    std::ofstream(Database()) << std::string(size, 'x');
    ExpectRefusal("is no database");
  }
  std::ofstream(Database() + "-wal") << std::string(9000, 'y');
  ExpectRefusal("is no database");
}

TEST_F(SchemaUpgradeTest, DatabaseThatWasCutShortIsRefusedAndLeftAlone) {
  MakeOfVersion(kSchemaVersion);
  const auto size = std::filesystem::file_size(Database());
  ASSERT_GT(size, 3 * 4096u);
  for (const auto shorter : {size - 1, size - 4096, size / 2, decltype(size){150}}) {
    std::filesystem::resize_file(Database(), shorter);
    ExpectRefusal("damaged");
  }
  std::filesystem::resize_file(Database(), 50);
  ExpectRefusal("is no database");
}

TEST_F(SchemaUpgradeTest, EmptyFileIsANewDatabase) {
  std::ofstream(Database()).flush();
  EXPECT_TRUE(Open(folder_.path()).ok());
}

// Each version's file, by the number of its schema.
class EveryVersionTest : public SchemaUpgradeTest, public ::testing::WithParamInterface<int64_t> {
 protected:
  void SetUp() override { MakeOfVersion(GetParam()); }
  void ExpectIds(TestBatch& batch, std::vector<int64_t> ids, bool duplicates) {
    auto store = Open(folder_.path());
    ASSERT_TRUE(store.ok()) << store.status();
    ASSERT_TRUE(batch.CreateIn(**store).ok());
    ASSERT_TRUE(batch->status.ok()) << batch->status;
    EXPECT_EQ(batch.ids(), ids);
    EXPECT_EQ(batch.duplicates(), std::vector<bool>(ids.size(), duplicates));
  }
};

INSTANTIATE_TEST_SUITE_P(Versions, EveryVersionTest,
                         ::testing::Range<int64_t>(1, kSchemaVersion + 1));

TEST_P(EveryVersionTest, KeepsItsIncidentsByteForByte) {
  for (int opening = 0; opening < 2; ++opening) {
    auto store = Open(folder_.path());
    ASSERT_TRUE(store.ok()) << store.status();
    const auto page = (*store)->List({});
    ASSERT_TRUE(page.ok()) << page.status();
    ASSERT_EQ(page->incidents.size(), 6u);
    const StoredIncident& first = page->incidents[0];
    EXPECT_EQ(first.id, 1);
    EXPECT_EQ(first.instance_uid, "uid-1");
    EXPECT_EQ(first.instance_name, "webhook");
    EXPECT_EQ(first.source_brand, "Generic Webhook");
    EXPECT_EQ(first.name, "Disk failing");
    EXPECT_EQ(first.type, "Hardware");
    EXPECT_EQ(first.occurred, "2024-05-01T10:00:00Z");
    EXPECT_EQ(first.created, absl::FromUnixMicros(1'714'557'602'469'134));
    EXPECT_EQ(first.details, R"({"a":1.50e+2,"text":"\u00e9 é"})");
    EXPECT_THAT(first.warnings, ElementsAre("one line", "another"));
    EXPECT_EQ(page->incidents[1].type, "");
    EXPECT_EQ(page->incidents[1].severity, GetParam() < 4 ? 0 : 0.5);
    EXPECT_EQ(page->incidents[3].details, R"({"n":3})");
    EXPECT_EQ(page->incidents[3].request_address, GetParam() < 5 ? "" : "192.0.2.1");
    EXPECT_EQ(page->incidents[3].request_query, GetParam() < 5 ? "" : "a=1&token=***");
    EXPECT_EQ(page->incidents[4].request_address, "");
    EXPECT_EQ(page->incidents[2].name, "Login's");
    EXPECT_EQ(page->incidents[4].instance_uid, "uid-2");
    EXPECT_EQ((*store)->last_id(), 6);
  }
}

TEST_P(EveryVersionTest, PositionsOutliveItsOpenings) {
  std::string position;
  for (int opening = 0; opening < 2; ++opening) {
    auto store = Open(folder_.path());
    ASSERT_TRUE(store.ok()) << store.status();
    EXPECT_EQ((*store)->identity().size(), 16u);
    if (GetParam() >= 6) {
      EXPECT_EQ((*store)->identity(), "8c0f3e9a5b7d2146");
    }
    if (opening == 0) position = PositionAfter(**store, 5);
    const auto id = ReadPosition(**store, position);
    ASSERT_TRUE(id.ok()) << id.status();
    EXPECT_EQ(*id, 5);
  }
}

// Up to version 2 keys had no type: there a number and a string were one key.
TEST_P(EveryVersionTest, KnowsItsDuplicates) {
  TestBatch incident({{.key = "\2in8:event.id:17"}, {.key = "\2is8:event.id:18"}});
  ExpectIds(incident, {1, 3}, true);
  TestBatch other_instance({{.key = "\2in8:event.id:17"}}, "", "uid-2");
  ExpectIds(other_instance, {5}, true);
  TestBatch batch({Plain(), Plain(), Plain()}, "delivery-1");
  ExpectIds(batch, {2, 3, 4}, true);
}

TEST_P(EveryVersionTest, TellsOfADeletedIncidentWhatItsKeyHolds) {
  RunSql("DELETE FROM incidents WHERE id = 1");
  TestBatch batch({{.key = "\2in8:event.id:17"}});
  ExpectIds(batch, {1}, true);
  const bool holds = GetParam() >= 6;
  EXPECT_EQ(batch->created[0].first->name, holds ? "Disk failing" : "");
  EXPECT_EQ(batch->created[0].first->type, holds ? "Hardware" : "");
}

TEST_P(EveryVersionTest, ReplayKeyIsKnownWhereThereWereAny) {
  TestBatch batch({Plain(), Plain()}, "delivery-2", "uid-1",
                  "\2rB6:5f1d7a84db00d2fce00b31a7fc73224f0e7d5a4c2a3c1a8d6f7d8b9c0e1f2a3b");
  if (GetParam() < 4) {
    ExpectIds(batch, {8, 9}, false);
  } else {
    ExpectIds(batch, {2, 3}, true);
  }
}

TEST_P(EveryVersionTest, KeyOfAnotherTypeIsNewWhereTheTypeIsKnown) {
  TestBatch text({{.key = "\2is8:event.id:17"}});
  if (GetParam() < 3) {
    ExpectIds(text, {1}, true);
  } else {
    ExpectIds(text, {8}, false);
  }
}

TEST_P(EveryVersionTest, GoesOnPastTheHighestIdThatItEverGave) {
  TestBatch expired({{.key = "\2in8:event.id:19"}}, "", "uid-2");
  ExpectIds(expired, {8}, false);
  TestBatch fresh({Plain()});
  ExpectIds(fresh, {9}, false);
}

TEST_P(EveryVersionTest, KeepsItsInstancesAndTakesNewOnes) {
  auto store = Open(folder_.path());
  ASSERT_TRUE(store.ok()) << store.status();
  StoredInstance added;
  added.uid = "uid-9";
  added.name = "added";
  added.configuration = "{}";
  ASSERT_TRUE((*store)->SaveInstance(added).ok());
  const auto instances = (*store)->ListInstances();
  ASSERT_TRUE(instances.ok());
  if (GetParam() == 1) {  // had none
    ASSERT_EQ(instances->size(), 1u);
    return;
  }
  ASSERT_EQ(instances->size(), 2u);
  const StoredInstance& kept = (*instances)[1];
  EXPECT_EQ(kept.uid, "uid-3");
  EXPECT_EQ(kept.name, "sensors");
  EXPECT_EQ(kept.configuration, R"({"username":"user"})");
  EXPECT_FALSE(kept.disabled);
  EXPECT_TRUE(kept.on_engine);
  EXPECT_EQ(kept.generation, 4);
  EXPECT_EQ(kept.request_id, "request-1");
  EXPECT_EQ(kept.created, absl::FromUnixMicros(1'714'557'700'000'000));
  EXPECT_EQ(kept.changed, absl::FromUnixMicros(1'714'557'800'000'000));
}

TEST_P(EveryVersionTest, KeepsItsAuditAndGoesOnWithIt) {
  auto store = Open(folder_.path());
  ASSERT_TRUE(store.ok()) << store.status();
  AuditEntry entry;
  entry.what = "delete";
  ASSERT_TRUE((*store)->AddAudit(entry).ok());
  const auto entries = (*store)->ListAudit(0, 10);
  ASSERT_TRUE(entries.ok()) << entries.status();
  if (GetParam() < 6) {  // had none
    ASSERT_EQ(entries->size(), 1u);
    return;
  }
  ASSERT_EQ(entries->size(), 2u);
  EXPECT_EQ((*entries)[0].number, 8);
  const AuditEntry& kept = (*entries)[1];
  EXPECT_EQ(kept.number, 7);
  EXPECT_EQ(kept.time, absl::FromUnixMicros(1'714'557'700'000'000));
  EXPECT_EQ(kept.who, "unix");
  EXPECT_EQ(kept.what, "create");
  EXPECT_EQ(kept.instance, "sensors");
  EXPECT_EQ(kept.outcome, "OK");
  EXPECT_THAT(kept.parameters, ElementsAre("username"));
}

}  // namespace
}  // namespace host_stub
