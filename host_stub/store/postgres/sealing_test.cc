#include "host_stub/store/postgres/sealing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/match.h"

namespace host_stub {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const std::string kOne(64, '1');
const std::string kOther(64, 'a');
const SealedPlace kPlace{"0123456789abcdef", "uid", 7};

Sealing::Sealed SealWith(const Sealing& sealing, const std::string& text) {
  auto sealed = sealing.Seal(text, kPlace);
  EXPECT_TRUE(sealed.ok()) << sealed.status();
  return *sealed;
}

TEST(Sealing, AnyChangedOrMissingByteDoesNotOpen) {
  const Sealing sealing({kOne});
  const Sealing::Sealed sealed = SealWith(sealing, "the secret");
  for (size_t at = 0; at < sealed.bytes.size(); ++at) {
    Sealing::Sealed changed = sealed;
    changed.bytes[at] ^= 1;
    EXPECT_TRUE(absl::IsDataLoss(sealing.Open(changed, kPlace).status())) << at;
    changed.bytes.resize(at);
    EXPECT_TRUE(absl::IsDataLoss(sealing.Open(changed, kPlace).status())) << at;
  }
}

TEST(Sealing, AtAnotherPlaceItDoesNotOpen) {
  const Sealing sealing({kOne});
  const Sealing::Sealed sealed = SealWith(sealing, "the secret");
  for (const SealedPlace& other :
       {SealedPlace{"0123456789abcdee", "uid", 7}, SealedPlace{"0123456789abcdef", "other", 7},
        SealedPlace{"0123456789abcdef", "uid", 6}}) {
    const absl::Status status = sealing.Open(sealed, other).status();
    EXPECT_TRUE(absl::IsDataLoss(status)) << status;
    EXPECT_FALSE(absl::StrContains(status.message(), "the secret"));
  }
}

TEST(Sealing, AKeyThatIsNotHereIsNamed) {
  const Sealing::Sealed sealed = SealWith(Sealing({kOne}), "the secret");
  const absl::Status status = Sealing({kOther}).Open(sealed, kPlace).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr(sealed.key_id));
  EXPECT_TRUE(absl::IsFailedPrecondition(Sealing({}).Open(sealed, kPlace).status()));
}

TEST(Sealing, TheFirstKeySealsAndAllOpen) {
  const Sealing before({kOne}), after({kOther, kOne});
  const std::string text = std::string("a\0\xff", 3) + std::string(100'000, 'x');
  EXPECT_EQ(*after.Open(SealWith(before, text), kPlace), text);
  EXPECT_EQ(SealWith(after, text).key_id, SealWith(Sealing({kOther}), text).key_id);
  EXPECT_EQ(*after.Open(SealWith(after, ""), kPlace), "");
}

TEST(Sealing, TheSameTextIsSealedDifferentlyEachTime) {
  const Sealing sealing({kOne});
  const Sealing::Sealed sealed = SealWith(sealing, "the secret");
  EXPECT_THAT(sealed.bytes, Not(HasSubstr("secret")));
  EXPECT_NE(sealed.bytes.substr(0, 12), SealWith(sealing, "the secret").bytes.substr(0, 12));
  EXPECT_NE(sealed.bytes.substr(12), SealWith(sealing, "the secret").bytes.substr(12));
}

TEST(Sealing, WithoutAKeyTheTextStaysAsItIs) {
  const Sealing sealing({});
  EXPECT_FALSE(sealing.has_key());
  EXPECT_EQ(SealWith(sealing, "no secret").bytes, "no secret");
  EXPECT_EQ(*Sealing({kOne}).Open(SealWith(sealing, "no secret"), kPlace), "no secret");
}

}  // namespace
}  // namespace host_stub
