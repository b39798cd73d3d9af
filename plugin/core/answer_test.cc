#include "plugin/core/answer.h"

#include <gtest/gtest.h>

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
