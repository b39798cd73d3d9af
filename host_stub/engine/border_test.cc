#include "host_stub/engine/border.h"

#include <gtest/gtest.h>

#include <cstddef>

namespace host_stub {
namespace {

struct LongerPair {  // of a later minor version
  lri_pair pair;
  int64_t later;
};

class ValidateAnswerTest : public testing::Test {
 protected:
  ValidateAnswerTest() : header_{ToView("Content-Type"), ToView("application/json")}, given_() {
    given_.struct_size = sizeof(given_);
    given_.status = 200;
    given_.headers = {&header_, 1, sizeof(header_)};
    given_.body = ToView("[]");
  }
  const char* Validate() { return ValidateAnswer(&given_, &answer_); }

  lri_pair header_;
  lri_answer given_;
  Answer answer_;
};

TEST_F(ValidateAnswerTest, MissingOrShortOneIsRefused) {
  EXPECT_NE(ValidateAnswer(nullptr, &answer_), nullptr);
  given_.struct_size = offsetof(lri_answer, body);
  EXPECT_NE(Validate(), nullptr);
}

TEST_F(ValidateAnswerTest, StatusThatIsNoneIsRefused) {
  for (int status : {-1, 0, 100, 199, 600}) {
    given_.status = status;
    EXPECT_NE(Validate(), nullptr) << status;
  }
}

TEST_F(ValidateAnswerTest, HeaderThatBreaksOutOfItsLineIsRefused) {
  for (const char* value : {"a\r\nb", "a\nb", "a\rb", "a\x7f", "a\x01"}) {
    header_.value = ToView(value);
    EXPECT_NE(Validate(), nullptr) << value;
  }
  header_.value = ToView(absl::string_view("a\0b", 3));
  EXPECT_NE(Validate(), nullptr);
}

TEST_F(ValidateAnswerTest, HeaderNameThatIsNoTokenIsRefused) {
  for (const char* name : {"", "a b", "a:", "a\n", "\xC3\xBC"}) {
    header_.name = ToView(name);
    EXPECT_NE(Validate(), nullptr) << name;
  }
}

TEST_F(ValidateAnswerTest, NullPointersAndOverlappingElementsAreRefused) {
  given_.headers.stride = sizeof(lri_pair) - 1;
  EXPECT_NE(Validate(), nullptr);
  given_.headers = {nullptr, 1, sizeof(lri_pair)};
  EXPECT_NE(Validate(), nullptr);
  given_.headers = {nullptr, 0, 0};
  given_.body = {nullptr, 1};
  EXPECT_NE(Validate(), nullptr);
}

TEST_F(ValidateAnswerTest, GoodOneIsTaken) {
  ASSERT_EQ(Validate(), nullptr);
  EXPECT_EQ(answer_.status, 200);
  ASSERT_EQ(answer_.headers.size(), 1u);
  EXPECT_EQ(answer_.headers.name(0), "Content-Type");
  EXPECT_EQ(answer_.headers.value(0), "application/json");
  EXPECT_EQ(answer_.body, "[]");
}

TEST_F(ValidateAnswerTest, LongerElementsOfALaterVersionAreRead) {
  const LongerPair headers[] = {{{ToView("A"), ToView("1")}, 7}, {{ToView("B"), ToView("2")}, 7}};
  given_.headers = {&headers[0].pair, 2, sizeof(LongerPair)};
  ASSERT_EQ(Validate(), nullptr);
  EXPECT_EQ(answer_.headers.name(1), "B");
  EXPECT_EQ(answer_.headers.value(1), "2");
}

}  // namespace
}  // namespace host_stub
