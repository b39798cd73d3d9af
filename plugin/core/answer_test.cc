#include "plugin/core/answer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace webhook::core {
namespace {

TEST(AnswerTest, NoIncidentsAreAnEmptyArray) {
  TextBuffer buffer;
  AnswerWriter(&buffer, "Generic Webhook", "webhook").Finish();
  EXPECT_EQ(buffer.text(), "[]");
}

TEST(AnswerTest, IncidentsStandInOrderWithTheirMetadata) {
  TextBuffer buffer;
  AnswerWriter writer(&buffer, "Generic Webhook", "webhook");
  writer.Add({"1", "a", "Phishing", "2024-05-01T10:00:00Z", "2024-05-01T10:00:01Z", false, {}});
  const absl::string_view warnings[] = {"first \"x\"", "second"};
  writer.Add({"2", "b\n", "", "2024-05-01T10:00:00Z", "2024-05-01T10:00:01Z", true, warnings});
  writer.Finish();
  EXPECT_EQ(buffer.text(),
            R"([{"id":"1","name":"a","type":"Phishing","occurred":"2024-05-01T10:00:00Z",)"
            R"("created":"2024-05-01T10:00:01Z","sourceBrand":"Generic Webhook",)"
            R"("sourceInstance":"webhook"},)"
            R"({"id":"2","name":"b\n","type":"","occurred":"2024-05-01T10:00:00Z",)"
            R"("created":"2024-05-01T10:00:01Z","sourceBrand":"Generic Webhook",)"
            R"("sourceInstance":"webhook","duplicate":true,"warnings":["first \"x\"","second"]}])");
}

TEST(AnswerTest, SeverityIsWrittenOnlyWhereItIsKnown) {
  TextBuffer buffer;
  AnswerWriter writer(&buffer, "b", "i");
  for (const double severity : {0.0, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, -1.0, std::nan("")}) {
    writer.Add({.id = "1", .duplicate = severity == 4, .severity = severity});
  }
  writer.Add({.id = "1", .duplicate = true, .only_id = true, .severity = 4});
  writer.Finish();
  std::string ends;
  for (const absl::string_view part : absl::StrSplit(buffer.text(), "\"sourceInstance\":\"i\"")) {
    absl::StrAppend(&ends, part.substr(0, part.find('}')), ";");
  }
  EXPECT_EQ(ends.substr(ends.find(';')),
            R"(;;,"severity":0.5;,"severity":1;,"severity":2;,"severity":3;)"
            R"(,"severity":4,"duplicate":true;;;;)");
  EXPECT_THAT(std::string(buffer.text()), ::testing::EndsWith(R"({"id":"1","duplicate":true}])"));
}

TEST(AnswerTest, DuplicateWithAnotherContentTellsItsIdAlone) {
  TextBuffer buffer;
  AnswerWriter writer(&buffer, "b", "i");
  const absl::string_view warnings[] = {"w"};
  for (const char* id : {"1", "2"}) {
    writer.Add({.id = id, .name = "n", .duplicate = true, .warnings = warnings, .only_id = true});
  }
  writer.Add({.id = "3", .name = "n"});
  writer.Finish();
  EXPECT_EQ(buffer.text(),
            R"([{"id":"1","duplicate":true,"warnings":["w"]},)"
            R"({"id":"2","duplicate":true,"warnings":["w"]},)"
            R"({"id":"3","name":"n","type":"","occurred":"","created":"","sourceBrand":"b",)"
            R"("sourceInstance":"i"}])");
}

TEST(AnswerTest, TimesAreThoseOfEachIncidentWhereSomeShareThem) {
  const std::string shared = "2024-05-01T10:00:00Z";
  const absl::string_view minute = absl::string_view(shared).substr(0, 16);
  TextBuffer buffer;
  AnswerWriter writer(&buffer, "b", "i");
  writer.Add({"1", "a", "", shared, shared, false, {}});
  writer.Add({"2", "a", "", shared, shared, false, {}});
  writer.Add({"3", "a", "", minute, shared, false, {}});
  writer.Add({"4", "a", "", minute, shared, false, {}});
  writer.Add({"5", "a", "", minute, "", false, {}});
  std::string expected;
  for (const auto& [occurred, created] :
       {std::pair<absl::string_view, absl::string_view>(shared, shared),
        {shared, shared},
        {minute, shared},
        {minute, shared},
        {minute, ""}}) {
    expected += absl::StrCat("\"occurred\":\"", occurred, "\",\"created\":\"", created,
                             "\",\"sourceBrand\":\"b\",\"sourceInstance\":\"i\"}\n");
  }
  std::string found;
  for (const absl::string_view part : absl::StrSplit(buffer.text(), "\"type\":\"\",")) {
    const size_t end = part.find('}');
    if (end != absl::string_view::npos) absl::StrAppend(&found, part.substr(0, end + 1), "\n");
  }
  EXPECT_EQ(found, expected);
}

TEST(AnswerTest, TextsOfSendersCannotBreakOut) {
  TextBuffer buffer;
  AnswerWriter writer(&buffer, "b", "i");
  writer.Add({"1", absl::string_view("\"},{\\\x01\0\x7f é", 11), "", "", "", false, {}});
  writer.Finish();
  const absl::string_view answer = buffer.text();
  EXPECT_EQ(answer.substr(0, answer.find(",\"type\"")),
            "[{\"id\":\"1\",\"name\":\"\\\"},{\\\\\\u0001\\u0000\x7f é\"");
}

}  // namespace
}  // namespace webhook::core
