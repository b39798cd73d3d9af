// A plugin with instances that listen, for tests.
#ifndef PLUGIN_TESTING_LISTEN_PORT_FIXTURE_H_
#define PLUGIN_TESTING_LISTEN_PORT_FIXTURE_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <string>
#include <utility>
#include <vector>

#include "plugin/http/testing/free_port.h"
#include "plugin/http/testing/test_client.h"
#include "plugin/runtime/testing/test_certificates.h"
#include "plugin/testing/listen_port_host.h"

extern "C" const lri_plugin_table* lri_plugin_entry_v1(uint32_t);

namespace webhook {

using Parameters = std::vector<std::pair<std::string, std::string>>;

inline constexpr char kGood[] = "Authorization: Basic dXNlcjpwYXNz\r\n";

using http::FreePorts;

// To one of the ports of these tests.
class TestClient : public http::TestClient {
 public:
  explicit TestClient(uint16_t port) : http::TestClient(port, http::OwnAddress()) {}
};

class ListenPortTest : public ::testing::Test {
 protected:
  struct Result {
    int32_t code;
    std::string message;
  };

  void SetUp() override {
    lri_plugin_options options{};
    options.struct_size = sizeof options;
    options.io_threads = 2;
    ASSERT_EQ(table_->plugin_create(host_.table(), &options, &plugin_, nullptr), LRI_OK);
  }

  void TearDown() override {
    host_.Release();
    for (lri_instance* instance : instances_) {
      EXPECT_EQ(table_->stop(instance, InAMinute(), nullptr), LRI_OK);
      table_->destroy(instance);
    }
    table_->plugin_destroy(plugin_);
  }

  static int64_t InAMinute() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (now.tv_sec + 60) * 1'000'000'000;
  }

  // The given parameters, and what every one of these tests wants.
  Parameters With(const Parameters& more) const {
    Parameters all = {{"username", "user"},
                      {"password", "pass"},
                      {"longRunningPort", std::to_string(port_)},
                      {"bind_address", http::OwnAddress()}};
    for (const auto& [name, value] : more) {
      std::erase_if(all, [&name = name](const auto& one) { return one.first == name; });
      if (!value.empty()) all.emplace_back(name, value);
    }
    return all;
  }

  template <typename Call>
  auto WithOptions(const Parameters& parameters, const std::string& name, Call call) {
    std::vector<lri_pair> pairs;
    for (const auto& [key, value] : parameters) pairs.push_back({View(key), View(value)});
    lri_instance_options options{};
    options.struct_size = sizeof options;
    options.name = View(name);
    options.product = View(product_);
    options.parameters = {pairs.data(), pairs.size(), sizeof(lri_pair)};
    return call(options);
  }

  Result Create(const Parameters& more = {}, const std::string& name = "webhook") {
    return WithOptions(With(more), name, [&](const lri_instance_options& options) {
      lri_error error{sizeof(lri_error), {}};
      lri_instance* instance = nullptr;
      const int32_t code = table_->create(plugin_, &options, &instance, &error);
      if (code == LRI_OK) instances_.push_back(instance);
      return Result{code, error.message};
    });
  }

  Result Start(size_t instance = 0) {
    lri_error error{sizeof(lri_error), {}};
    const int32_t code = table_->start(instances_.at(instance), &error);
    return {code, error.message};
  }

  void Serve(const Parameters& more = {}) {
    const Result created = Create(more);
    ASSERT_EQ(created.code, LRI_OK) << created.message;
    const Result started = Start();
    ASSERT_EQ(started.code, LRI_OK) << started.message;
  }

  Result Prepare(const Parameters& more, lri_update** update, const std::string& name = "webhook") {
    return WithOptions(With(more), name, [&](const lri_instance_options& options) {
      lri_error error{sizeof(lri_error), {}};
      const int32_t code = table_->update_prepare(instances_[0], &options, update, &error);
      return Result{code, error.message};
    });
  }

  void Change(const Parameters& more) {
    lri_update* update = nullptr;
    const Result prepared = Prepare(more, &update);
    ASSERT_EQ(prepared.code, LRI_OK) << prepared.message;
    table_->update_commit(update);
  }

  // Answered by the listen port: 2xx, 4xx, 5xx.
  std::vector<uint64_t> AnswerCounts() {
    std::vector<uint64_t> counts;
    const auto sink = [](void* context, const lri_description* description) {
      *static_cast<std::vector<uint64_t>*>(context) = {
          description->listen_succeeded, description->listen_refused, description->listen_failed};
    };
    EXPECT_EQ(table_->describe(instances_[0], sink, &counts), LRI_OK);
    return counts;
  }

  Result Test(size_t instance = 0) {
    std::promise<Result> promise;
    const auto done = [](void* context, int32_t code, lri_view result) {
      static_cast<std::promise<Result>*>(context)->set_value({code, Text(result)});
    };
    const std::string name = "test";
    const int32_t code = table_->command(instances_.at(instance), View(name), {}, done, &promise);
    return code == LRI_OK ? promise.get_future().get() : Result{code, "no done"};
  }

  // One request on a connection of its own; status 0: no answer.
  http::Answer Ask(const std::string& bytes) { return AskAt(port_, bytes); }
  static http::Answer AskAt(uint16_t port, const std::string& bytes) {
    TestClient client(port);
    return AskOn(client, bytes);
  }
  static http::Answer AskOn(TestClient& client, const std::string& bytes) {
    client.Send(bytes);
    return client.ReadAnswer().value_or(http::Answer{});
  }

  const lri_plugin_table* const table_ = lri_plugin_entry_v1(LRI_ABI_MINOR);
  std::string product_ = "XSOAR_6";
  const uint16_t port_ = FreePorts(1)[0];
  TestHost host_;
  lri_plugin* plugin_ = nullptr;
  std::vector<lri_instance*> instances_;
};

}  // namespace webhook

#endif  // PLUGIN_TESTING_LISTEN_PORT_FIXTURE_H_
