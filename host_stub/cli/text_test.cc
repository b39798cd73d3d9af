#include "host_stub/cli/text.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace host_stub {
namespace {

constexpr char kCertificate[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBnTCCAUKgAwIBAgIBATAKBggqhkjOPQQDAjAtMRMwEQYDVQQKDApNeSBjb21w\n"
    "YW55MRYwFAYDVQQDDA1teS54c29hci5saXZlMB4XDTI2MTEyMjA2MDQ0NVoXDTM2\n"
    "MTExOTA2MDQ0NVowLTETMBEGA1UECgwKTXkgY29tcGFueTEWMBQGA1UEAwwNbXku\n"
    "eHNvYXIubGl2ZTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABLhDN2qTEDE20KMM\n"
    "77bUpupUBX8o0PugusiuV4Bsg7nVDgjIGJ1Ku56mSrb5qG916sGjFOpTNrNP9+lt\n"
    "ew0EKvSjUzBRMB0GA1UdDgQWBBS6Upi5qt96qPibqO6wIRF2TEwsozAfBgNVHSME\n"
    "GDAWgBS6Upi5qt96qPibqO6wIRF2TEwsozAPBgNVHRMBAf8EBTADAQH/MAoGCCqG\n"
    "SM49BAMCA0kAMEYCIQCXgdZfvNWr9xsQ1KLCt3FgUzM0fzXWwGU+m+prE++COAIh\n"
    "AMKhFp2o/kE8I7zm+4p/S33wvZCHv6CHEpvfWBkHTF4h\n"
    "-----END CERTIFICATE-----\n";

TEST(EscapeForTerminal, ASenderCannotDriveTheTerminal) {
  EXPECT_EQ(EscapeForTerminal("\x1b[2J\x07\x7f\r", false), "\\x1b[2J\\x07\\x7f\\x0d");
  EXPECT_EQ(EscapeForTerminal("\x1b\r", true), "\\x1b\\x0d");
  EXPECT_EQ(EscapeForTerminal("\xc2\x9b[31m", true), "\\u{009b}[31m");
  EXPECT_EQ(EscapeForTerminal("\xe2\x80\xae"
                              "txt",
                              true),
            "\\u{202e}txt");
  // Zero width, a soft hyphen, a tag character, variation selectors.
  EXPECT_EQ(EscapeForTerminal("a\u200Bb\u2060\u00AD\U000E0041\uFE0F\U000E0100", true),
            "a\\u{200b}b\\u{2060}\\u{00ad}\\u{e0041}\\u{fe0f}\\u{e0100}");
}

TEST(EscapeForTerminal, LineBreaksStayOnlyWhereTheyMay) {
  EXPECT_EQ(EscapeForTerminal("a\n\tb", true), "a\n\tb");
  EXPECT_EQ(EscapeForTerminal("a\n\tb", false), "a\\x0a\\x09b");
}

TEST(EscapeForTerminal, BytesThatAreNoUtf8AreShownAsBytes) {
  EXPECT_EQ(EscapeForTerminal("\xff\xc3(", true), "\\xff\\xc3(");
  EXPECT_EQ(EscapeForTerminal("\xed\xa0\x80", true), "\\xed\\xa0\\x80");
  EXPECT_EQ(EscapeForTerminal("\xe2\x82", true), "\\xe2\\x82");
}

TEST(EscapeForTerminal, OrdinaryTextStaysAsItIs) {
  EXPECT_EQ(EscapeForTerminal("Gr\xc3\xbc\xc3\x9f\x65 \xf0\x9f\x98\x80 \\n", true),
            "Gr\xc3\xbc\xc3\x9f\x65 \xf0\x9f\x98\x80 \\n");
}

TEST(FormatTable, AlignsColumnsByCharacters) {
  EXPECT_EQ(FormatTable({{"ID", "NAME"}, {"10", "\xc3\xbc"}, {"7", "b"}}),
            "ID  NAME\n10  \xc3\xbc\n7   b\n");
  EXPECT_EQ(FormatTable({{"\xc3\xbc", "x"}, {"ab", "y"}}), "\xc3\xbc   x\nab  y\n");
}

TEST(FormatTable, CutsLongCellsButNotTheLast) {
  const std::string row = FormatTable({{std::string(100, 'a'), std::string(100, 'b')}});
  EXPECT_EQ(row, std::string(57, 'a') + "...  " + std::string(100, 'b') + "\n");
}

TEST(JsonText, EscapesWhatJsonAsksFor) {
  EXPECT_EQ(JsonString("a\"\\\n\x1b"), "\"a\\\"\\\\\\u000a\\u001b\"");
  EXPECT_EQ(JsonString("\xff"), "\"\xef\xbf\xbd\"");
  EXPECT_EQ(JsonObject({{"a", "1"}, {"b", JsonArray({"true", "null"})}}),
            "{\"a\":1,\"b\":[true,null]}");
}

TEST(CertificateTextTest, TextWithoutACertificateHasNone) {
  for (const char* text : {"", "8000", "-----BEGIN CERTIFICATE-----\n", "-----BEGIN CERTIFICATE"}) {
    EXPECT_EQ(DescribeCertificates(text), "") << text;
  }
}

TEST(CertificateTextTest, SubjectAndEndOfEachCertificateAreTold) {
  constexpr char kOne[] = "CN=my.xsoar.live,O=My company, valid until 2036-11-19";
  EXPECT_EQ(DescribeCertificates(kCertificate), kOne);
  EXPECT_EQ(DescribeCertificates(absl::StrCat(kCertificate, kCertificate)),
            absl::StrCat(kOne, "; ", kOne));
}

}  // namespace
}  // namespace host_stub
