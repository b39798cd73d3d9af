#include "host_stub/service/instance_messages.h"

#include <gtest/gtest.h>

namespace host_stub {
namespace {

using long_running_integration::v1::WebhookAddress;

constexpr char kBody[] =
    R"('{"name":"incident created via generic webhook","rawJson":{"some_field":"some_value"}}')";

InstanceDescription Description(const std::string& url) {
  InstanceDescription description;
  description.path_prefix = "/xsoar/instance/execute/";
  description.webhook_url = url;
  return description;
}

ListedInstance Listed(const std::string& product, const std::string& username) {
  ListedInstance listed;
  listed.name = "webhook";
  listed.product = product;
  if (!username.empty()) listed.parameters = {{"username", username}};
  return listed;
}

TEST(WebhookAddressTest, NoAddressIsKnownNothingIsShown) {
  WebhookAddress address;
  FillAddress(Description(""), Listed("XSOAR_8_CLOUD", ""), address);
  EXPECT_EQ(address.curl_posix(), "");
  EXPECT_EQ(address.curl_windows(), "");
  EXPECT_EQ(address.dns_record(), "");
}

TEST(WebhookAddressTest, OnPremAloneNeedsADnsRecord) {
  const InstanceDescription description =
      Description("https://ext-xsoar.mycompany.com:8443/xsoar/instance/execute/webhook");
  WebhookAddress on_prem, cloud;
  FillAddress(description, Listed("XSOAR_8_ON_PREM", ""), on_prem);
  FillAddress(description, Listed("XSOAR_8_CLOUD", ""), cloud);
  EXPECT_EQ(on_prem.dns_record(), "ext-xsoar.mycompany.com");
  EXPECT_EQ(cloud.dns_record(), "");
}

TEST(WebhookAddressTest, CurlHasThePlaceholderOfASecret) {
  const InstanceDescription description = Description("https://a.b/xsoar/instance/execute/webhook");
  WebhookAddress none, basic, header;
  FillAddress(description, Listed("XSOAR_6", ""), none);
  FillAddress(description, Listed("XSOAR_6", "it's me"), basic);
  FillAddress(description, Listed("XSOAR_6", "_header:X-Token"), header);
  const std::string start = "curl -X POST https://a.b/xsoar/instance/execute/webhook";
  const std::string type = " -H 'Content-Type: application/json' -d ";
  EXPECT_EQ(none.curl_posix(), start + type + kBody);
  EXPECT_EQ(basic.curl_posix(), start + R"( -u 'it'\''s me:<password>')" + type + kBody);
  EXPECT_EQ(header.curl_posix(), start + " -H 'X-Token: <password>'" + type + kBody);
  EXPECT_EQ(basic.curl_windows(),
            start + R"( -u ^"it's me:^<password^>^" -H ^"Content-Type: application/json^" -d )"
                    R"(^"{\^"name\^":\^"incident created via generic webhook\^",)"
                    R"(\^"rawJson\^":{\^"some_field\^":\^"some_value\^"}}^")");
}

TEST(WebhookAddressTest, CurlHasTheTokenWhereTheSourceIsSentOne) {
  InstanceDescription description = Description("https://a.b/hook");
  ListedInstance listed = Listed("XSOAR_6", "");
  listed.parameters.emplace_back("source", "own");
  const std::string rest = " -H 'Content-Type: application/json' --data-binary '@body.json'";
  WebhookAddress header, parameter, in_url, both;
  description.token_header = "Authorization";
  description.token_prefix = "Bearer ";
  FillAddress(description, listed, header);
  EXPECT_EQ(header.curl_posix(),
            "curl -X POST https://a.b/hook -H 'Authorization: Bearer <token>'" + rest);
  description.token_header = description.token_prefix = "";
  description.token_parameter = "code";
  FillAddress(description, listed, parameter);
  EXPECT_EQ(parameter.curl_posix(), "curl -X POST 'https://a.b/hook?code=<token>'" + rest);
  FillAddress(Description("https://a.b/hook"), Listed("XSOAR_6", "_query:key"), in_url);
  EXPECT_EQ(in_url.curl_posix().rfind("curl -X POST 'https://a.b/hook?key=<password>' -H ", 0), 0u);
  EXPECT_EQ(
      in_url.curl_windows().rfind(R"(curl -X POST ^"https://a.b/hook?key=^<password^>^" -H )", 0),
      0u);
}

TEST(WebhookAddressTest, NoCurlIsShownForWhatMustBeSigned) {
  InstanceDescription description = Description("https://a.b/hook");
  description.is_signed = true;
  WebhookAddress address;
  FillAddress(description, Listed("XSOAR_6", ""), address);
  EXPECT_TRUE(address.is_signed());
  EXPECT_EQ(address.curl_posix(), "");
  EXPECT_EQ(address.curl_windows(), "");
}

TEST(WebhookAddressTest, WithoutAPlatformTheHostsOwnFrontIsShown) {
  ListedInstance listed = Listed("XSOAR_6", "");
  listed.front_url = "http://127.0.0.1:8080";
  WebhookAddress address;
  FillAddress(Description(""), listed, address);
  EXPECT_EQ(address.url(), "");
  EXPECT_EQ(address.curl_posix().rfind(
                "curl -X POST http://127.0.0.1:8080/xsoar/instance/execute/webhook ", 0),
            0u);
}

TEST(QuoteTest, BackslashesBeforeAQuoteAreDoubled) {
  EXPECT_EQ(QuoteForWindows(R"(a\b\"c\)"), R"(^"a\b\\\^"c\\^")");
}

TEST(QuoteTest, NothingInATextIsACommandOrAVariableToCmd) {
  EXPECT_EQ(QuoteForWindows(R"("x" & calc | %PATH% ^ <>())"),
            R"(^"\^"x\^" ^& calc ^| ^%PATH^% ^^ ^<^>^(^)^")");
}

}  // namespace
}  // namespace host_stub
