#include "host_stub/engine/abi_answer.h"

#include <gtest/gtest.h>

#include <cstddef>

namespace host_stub {
namespace {

struct LongerPair {  // of a later minor version
  lri_pair pair;
  int64_t later;
};

class JudgeAnswerTest : public testing::Test {
 protected:
  JudgeAnswerTest() : header_{ToView("Content-Type"), ToView("application/json")}, given_() {
    given_.struct_size = sizeof(given_);
    given_.status = 200;
    given_.headers = {&header_, 1, sizeof(header_)};
    given_.body = ToView("[]");
  }
  const char* Judge() { return JudgeAnswer(&given_, &answer_); }

  lri_pair header_;
  lri_answer given_;
  Answer answer_;
};

TEST_F(JudgeAnswerTest, MissingOrShortOneIsRefused) {
  EXPECT_NE(JudgeAnswer(nullptr, &answer_), nullptr);
  given_.struct_size = offsetof(lri_answer, body);
  EXPECT_NE(Judge(), nullptr);
}

TEST_F(JudgeAnswerTest, StatusThatIsNoneIsRefused) {
  for (int status : {-1, 0, 100, 199, 600}) {
    given_.status = status;
    EXPECT_NE(Judge(), nullptr) << status;
  }
}

TEST_F(JudgeAnswerTest, HeaderThatBreaksOutOfItsLineIsRefused) {
  for (const char* value : {"a\r\nb", "a\nb", "a\rb", "a\x7f", "a\x01"}) {
    header_.value = ToView(value);
    EXPECT_NE(Judge(), nullptr) << value;
  }
  header_.value = ToView(absl::string_view("a\0b", 3));
  EXPECT_NE(Judge(), nullptr);
}

TEST_F(JudgeAnswerTest, HeaderNameThatIsNoTokenIsRefused) {
  for (const char* name : {"", "a b", "a:", "a\n", "\xC3\xBC"}) {
    header_.name = ToView(name);
    EXPECT_NE(Judge(), nullptr) << name;
  }
}

TEST_F(JudgeAnswerTest, NullPointersAndOverlappingElementsAreRefused) {
  given_.headers.stride = sizeof(lri_pair) - 1;
  EXPECT_NE(Judge(), nullptr);
  given_.headers = {nullptr, 1, sizeof(lri_pair)};
  EXPECT_NE(Judge(), nullptr);
  given_.headers = {nullptr, 0, 0};
  given_.body = {nullptr, 1};
  EXPECT_NE(Judge(), nullptr);
}

TEST_F(JudgeAnswerTest, GoodOneIsTaken) {
  ASSERT_EQ(Judge(), nullptr);
  EXPECT_EQ(answer_.status, 200);
  ASSERT_EQ(answer_.headers.size(), 1u);
  EXPECT_EQ(answer_.headers.name(0), "Content-Type");
  EXPECT_EQ(answer_.headers.value(0), "application/json");
  EXPECT_EQ(answer_.body, "[]");
}

TEST_F(JudgeAnswerTest, LongerElementsOfALaterVersionAreRead) {
  const LongerPair headers[] = {{{ToView("A"), ToView("1")}, 7}, {{ToView("B"), ToView("2")}, 7}};
  given_.headers = {&headers[0].pair, 2, sizeof(LongerPair)};
  ASSERT_EQ(Judge(), nullptr);
  EXPECT_EQ(answer_.headers.name(1), "B");
  EXPECT_EQ(answer_.headers.value(1), "2");
}

}  // namespace
}  // namespace host_stub
