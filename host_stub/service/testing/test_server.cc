#include "host_stub/service/testing/test_server.h"

#include <stdlib.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace host_stub {

void HoldingStore::Hold() {
  absl::MutexLock lock(&mutex_);
  holding_ = true;
}

void HoldingStore::ReleaseOne() {
  Submission* submission = nullptr;
  {
    absl::MutexLock lock(&mutex_);
    submission = held_.front();
    held_.erase(held_.begin());
  }
  EXPECT_TRUE(ForwardingStore::Create(submission).ok());
}

void HoldingStore::ReleaseAll() {
  std::vector<Submission*> released;
  {
    absl::MutexLock lock(&mutex_);
    holding_ = false;
    released.swap(held_);
  }
  for (Submission* submission : released) EXPECT_TRUE(ForwardingStore::Create(submission).ok());
}

void HoldingStore::AwaitHeld(int count) {
  absl::MutexLock lock(&mutex_);
  const auto reached = [this, count]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return static_cast<int>(held_.size()) >= count;
  };
  mutex_.Await(absl::Condition(&reached));
}

int HoldingStore::held() const {
  absl::MutexLock lock(&mutex_);
  return static_cast<int>(held_.size());
}

int HoldingStore::most_held() const {
  absl::MutexLock lock(&mutex_);
  return most_held_;
}

void HoldingStore::HoldReads(bool hold) {
  absl::MutexLock lock(&mutex_);
  holding_reads_ = hold;
}

void HoldingStore::AwaitReads(int count) {
  absl::MutexLock lock(&mutex_);
  const auto reached = [this, count]()
                           ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return reads_ >= count; };
  mutex_.Await(absl::Condition(&reached));
}

int HoldingStore::reads() const {
  absl::MutexLock lock(&mutex_);
  return reads_;
}

absl::StatusOr<StoredIncident> HoldingStore::Get(int64_t id) {
  {
    absl::MutexLock lock(&mutex_);
    ++reads_;
    const auto free = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !holding_reads_; };
    mutex_.Await(absl::Condition(&free));
  }
  return ForwardingStore::Get(id);
}

absl::Status HoldingStore::Create(Submission* submission) {
  {
    absl::MutexLock lock(&mutex_);
    if (holding_) {
      held_.push_back(submission);
      most_held_ = std::max(most_held_, static_cast<int>(held_.size()));
      return absl::OkStatus();
    }
  }
  return ForwardingStore::Create(submission);
}

TestServer::TestServer(const webhook::Limits& limits)
    : limits_(limits), store_(std::make_shared<HoldingStore>()) {
  char name[] = "/tmp/service_test.XXXXXX";
  folder_ = ::mkdtemp(name);
  HostServices services = TestServices().services;
  services.store = store_;
  services.limits = limits_;
  auto io_threads = webhook::http::IoThreads::Start(1);
  EXPECT_TRUE(io_threads.ok()) << io_threads.status();
  io_threads_ = *std::move(io_threads);
  auto plugin = HostedPlugin::Load("tests/abi/echo_plugin.so", {}, services);
  EXPECT_TRUE(plugin.ok()) << plugin.status();
  plugin_ = *std::move(plugin);
  auto snapshot = std::make_shared<InstanceSnapshot>();
  for (const char* instance_name : {"first", "second", "third_disabled", "unserved"}) {
    InstanceEntry entry;
    entry.settings.name = entry.settings.uid = instance_name;
    entry.settings.in_file = true;
    entry.settings.disabled = entry.settings.name == "third_disabled";
    entry.settings.parameters = {{"username", "user"}, {"password", "secret"}};
    if (!entry.settings.disabled && entry.settings.name != "unserved") {
      auto instance = plugin_->CreateInstance(TestSpec(instance_name));
      EXPECT_TRUE(instance.ok() && (*instance)->Start().ok());
      entry.instance = *std::move(instance);
      entry.settings.uid = entry.instance->uid();
    }
    EXPECT_TRUE(snapshot->Put(std::move(entry)).ok());
  }
  instances_->Publish(std::move(snapshot));
  auto server = GrpcServer::Start(Options(), Parts());
  EXPECT_TRUE(server.ok()) << server.status();
  server_ = *std::move(server);
}

TestServer::~TestServer() {
  store_->ReleaseAll();
  server_.reset();
  for (const auto& [name, entry] : instances_->current()->entries()) {
    if (entry->instance == nullptr) continue;
    EXPECT_TRUE(entry->instance->Stop(absl::Now() + absl::Seconds(10)).ok());
  }
  instances_->Publish(std::make_shared<InstanceSnapshot>());
  EXPECT_EQ(::system(absl::StrCat("rm -r ", folder_).c_str()), 0);
}

GrpcServerParts TestServer::Parts() const {
  return {.plugin = plugin_->info(),
          .instances = instances_,
          .store = store_,
          .logger = logger_,
          .io_threads = io_threads_.get()};
}

GrpcServerOptions TestServer::Options() const {
  GrpcServerOptions options;
  options.address = "127.0.0.1:0";
  options.control_path = folder_ + "/control.sock";
  options.limits = limits_;
  return options;
}

}  // namespace host_stub
