#include "plugin/core/platform.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plugin/base/characters.h"

namespace webhook::core {
namespace {

using ::testing::HasSubstr;

const Platform& Find(absl::string_view product, bool on_engine = false) {
  return **FindPlatform(product, on_engine);
}

TEST(PlatformTest, UnknownProductIsRefusedWithTheNamesThereAre) {
  for (const char* name : {"", "XSOAR", "xsoar_6", "XSIAM_4"}) {
    EXPECT_THAT(
        std::string(FindPlatform(name, false).status().message()),
        HasSubstr("must be one of XSOAR_6, XSOAR_8_CLOUD, XSOAR_8_ON_PREM, XSIAM_2, XSIAM_3"))
        << name;
  }
}

TEST(PlatformTest, UrlThatIsNotOfAServerIsRefused) {
  for (const char* url :
       {"", "my.xsoar.live", "ftp://my.xsoar.live", "https://", "https:///", "https://a/b",
        "https://a?b", "https://a#b", "https://user@a", "https://a b", "https://a:", "https://a:0",
        "https://a:65536", "https://a:8x", "https://.a", "https://a//", "https://[::1",
        "https://["}) {
    EXPECT_FALSE(WebhookUrl(Find("XSOAR_6"), url, "webhook").ok()) << url;
    EXPECT_FALSE(DirectUrl(url, 8000, true).ok()) << url;
  }
  EXPECT_FALSE(DirectUrl("https://a", 0, true).ok());
}

TEST(PlatformTest, InstanceNameHasNoSpecialCharacters) {
  for (const std::string& name :
       {std::string(), std::string("a b"), std::string("a/b"), std::string("a.b"), std::string("ä"),
        std::string("a\0b", 3), std::string(65, 'a')}) {
    EXPECT_FALSE(base::IsName(name)) << name;
    EXPECT_FALSE(WebhookUrl(Find("XSOAR_6"), "https://a", name).ok()) << name;
  }
  for (const std::string& name :
       {std::string("my_instance_01"), std::string("A-1"), std::string(64, 'a')}) {
    EXPECT_TRUE(base::IsName(name)) << name;
  }
}

TEST(WebhookUrlTest, DocumentedExamples) {
  EXPECT_EQ(*WebhookUrl(Find("XSOAR_6"), "https://my.demisto.live", "webhook"),
            "https://my.demisto.live/instance/execute/webhook");
  EXPECT_EQ(*WebhookUrl(Find("XSOAR_6"), "https://my.xsoar.live", "webhook"),
            "https://my.xsoar.live/instance/execute/webhook");
  EXPECT_EQ(*WebhookUrl(Find("XSOAR_8_CLOUD"), "https://mytenant.crtx.us.paloaltonetworks.com",
                        "my_instance_01"),
            "https://ext-mytenant.crtx.us.paloaltonetworks.com/xsoar/instance/execute/"
            "my_instance_01");
  for (const char* product : {"XSIAM_2", "XSIAM_3"}) {
    EXPECT_EQ(*WebhookUrl(Find(product), "https://mytenant.xdr.us.paloaltonetworks.com",
                          "my_instance_01"),
              "https://ext-mytenant.crtx.us.paloaltonetworks.com/xsoar/instance/execute/"
              "my_instance_01");
    EXPECT_EQ(*WebhookUrl(Find(product), "https://companyname.xdr.eu.paloaltonetworks.com",
                          "my_instance_01"),
              "https://ext-companyname.crtx.eu.paloaltonetworks.com/xsoar/instance/execute/"
              "my_instance_01");
  }
  EXPECT_EQ(*WebhookUrl(Find("XSOAR_8_ON_PREM"), "https://xsoar.mycompany.com", "webhook"),
            "https://ext-xsoar.mycompany.com/xsoar/instance/execute/webhook");
  EXPECT_EQ(*DirectUrl("https://my.xsoar.live", 8000, true), "https://my.xsoar.live:8000/");
  EXPECT_EQ(*DirectUrl("https://my.xsoar.live", 8000, false), "http://my.xsoar.live:8000/");
}

TEST(WebhookUrlTest, OnlyAWholeLabelXdrAfterTheTenantBecomesCrtx) {
  EXPECT_EQ(*WebhookUrl(Find("XSIAM_3"), "https://xdr.myxdr.xdr.eu.example.com", "i"),
            "https://ext-xdr.myxdr.crtx.eu.example.com/xsoar/instance/execute/i");
  EXPECT_EQ(*WebhookUrl(Find("XSOAR_8_CLOUD"), "https://a.xdr.us.example.com", "i"),
            "https://ext-a.xdr.us.example.com/xsoar/instance/execute/i");
}

TEST(WebhookUrlTest, SlashPortSchemeAndExistingPrefixAreTakenAsTheyAre) {
  EXPECT_EQ(*WebhookUrl(Find("XSOAR_6"), "HTTP://127.0.0.1:8443/", "i"),
            "http://127.0.0.1:8443/instance/execute/i");
  EXPECT_EQ(*WebhookUrl(Find("XSOAR_8_CLOUD"), "https://ext-a.example.com", "i"),
            "https://ext-a.example.com/xsoar/instance/execute/i");
  EXPECT_EQ(*WebhookUrl(Find("XSOAR_6"), "https://[::1]:8443", "i"),
            "https://[::1]:8443/instance/execute/i");
  EXPECT_EQ(*DirectUrl("http://[::1]:8443", 1, false), "http://[::1]:1/");
}

TEST(PlatformTest, TableSaysWhatTheDocumentsSay) {
  EXPECT_EQ(Platforms().size(), 10u);
  for (const Platform& platform : Platforms()) {
    const absl::string_view product = platform.product_name;
    const bool xsoar6 = product == "XSOAR_6";
    const bool on_prem = xsoar6 || product == "XSOAR_8_ON_PREM";
    SCOPED_TRACE(product);
    EXPECT_STREQ(platform.path_prefix, xsoar6 ? "/instance/execute/" : "/xsoar/instance/execute/");
    EXPECT_EQ(platform.external_key_needed, xsoar6);
    EXPECT_EQ(platform.external_host_prefixed, !xsoar6);
    EXPECT_EQ(platform.credentials_required, !on_prem && !platform.on_engine);
    EXPECT_EQ(platform.listen_port_shown, xsoar6 || platform.on_engine);
    EXPECT_EQ(platform.certificate_supported, on_prem || platform.on_engine);
    EXPECT_EQ(platform.result_shown, !on_prem);
  }
  EXPECT_STREQ(Find("XSOAR_6").record, "incident");
  EXPECT_STREQ(Find("XSIAM_2", true).record, "alert");
  EXPECT_STREQ(Find("XSIAM_3", true).record, "issue");
}

}  // namespace
}  // namespace webhook::core
