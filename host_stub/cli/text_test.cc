#include "host_stub/cli/text.h"

#include <string>

#include "gtest/gtest.h"

namespace host_stub {
namespace {

TEST(EscapeForTerminal, ASenderCannotDriveTheTerminal) {
  EXPECT_EQ(EscapeForTerminal("\x1b[2J\x07\x7f\r", false), "\\x1B[2J\\x07\\x7F\\x0D");
  EXPECT_EQ(EscapeForTerminal("\x1b\r", true), "\\x1B\\x0D");
  EXPECT_EQ(EscapeForTerminal("\xc2\x9b[31m", true), "\\u{009B}[31m");
  EXPECT_EQ(EscapeForTerminal("\xe2\x80\xae"
                              "txt",
                              true),
            "\\u{202E}txt");
}

TEST(EscapeForTerminal, LineBreaksStayOnlyWhereTheyMay) {
  EXPECT_EQ(EscapeForTerminal("a\n\tb", true), "a\n\tb");
  EXPECT_EQ(EscapeForTerminal("a\n\tb", false), "a\\x0A\\x09b");
}

TEST(EscapeForTerminal, BytesThatAreNoUtf8AreShownAsBytes) {
  EXPECT_EQ(EscapeForTerminal("\xff\xc3(", true), "\\xFF\\xC3(");
  EXPECT_EQ(EscapeForTerminal("\xed\xa0\x80", true), "\\xED\\xA0\\x80");
  EXPECT_EQ(EscapeForTerminal("\xe2\x82", true), "\\xE2\\x82");
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

}  // namespace
}  // namespace host_stub
