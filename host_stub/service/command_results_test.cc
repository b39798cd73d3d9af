#include "host_stub/service/command_results.h"

#include "gtest/gtest.h"

namespace host_stub {
namespace {

using ::long_running_integration::v1::FetchSamplesResponse;
using ::long_running_integration::v1::TestModuleResponse;

TEST(FillTestResult, ATestThatCouldNotBeMadeIsAnError) {
  for (const absl::Status& status :
       {absl::UnimplementedError("x"), absl::NotFoundError("x"), absl::InternalError("x")}) {
    TestModuleResponse response;
    EXPECT_EQ(FillTestResult(status, response).code(), status.code());
  }
}

TEST(FillTestResult, WhatTheTestFoundIsAResult) {
  TestModuleResponse response;
  EXPECT_TRUE(FillTestResult(absl::AlreadyExistsError("port 8000 is in use"), response).ok());
  EXPECT_FALSE(response.ok());
  EXPECT_EQ(response.message(), "port 8000 is in use");
  EXPECT_TRUE(FillTestResult(std::string("\"ok\""), response).ok());
  EXPECT_TRUE(response.ok());
  EXPECT_EQ(response.message(), "ok");
  TestModuleResponse failed;
  EXPECT_TRUE(
      FillTestResult(std::string(R"({"ok": false, "message": "no key", "warnings": ["open"]})"),
                     failed)
          .ok());
  EXPECT_FALSE(failed.ok());
  EXPECT_EQ(failed.message(), "no key");
  EXPECT_EQ(failed.warnings(0), "open");
}

TEST(FillSamples, AnythingButAnArrayOfObjectsIsThePluginsFault) {
  for (const char* json : {"", "{}", "[1]", "[", "null"}) {
    FetchSamplesResponse response;
    EXPECT_EQ(FillSamples(json, response).code(), absl::StatusCode::kInternal) << json;
  }
}

TEST(FillSamples, TakesWhatIsThere) {
  FetchSamplesResponse response;
  ASSERT_TRUE(
      FillSamples(R"([{"name": "n", "rawJSON": "{\"a\":1}", "truncated": true}, {}])", response)
          .ok());
  ASSERT_EQ(response.samples_size(), 2);
  EXPECT_EQ(response.samples(0).name(), "n");
  EXPECT_EQ(response.samples(0).raw_json(), "{\"a\":1}");
  EXPECT_TRUE(response.samples(0).truncated());
  EXPECT_FALSE(response.samples(1).truncated());
}

}  // namespace
}  // namespace host_stub
