// Once warm, a request costs no allocation, in the plugin and its HTTP server together.
// Every allocation of the process is counted, so the client and the host here make none.
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "plugin/testing/listen_port_fixture.h"

namespace {
std::atomic<int64_t> allocations{0};
}  // namespace

extern "C" {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
void __sanitizer_malloc_hook(const volatile void*, size_t) { ++allocations; }
#else
// glibc's own, under the names that a replacement may call. operator new calls malloc.
void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* memory, size_t size);
void* __libc_memalign(size_t alignment, size_t size);

void* malloc(size_t size) {
  ++allocations;
  return __libc_malloc(size);
}
void* calloc(size_t count, size_t size) {
  ++allocations;
  return __libc_calloc(count, size);
}
void* realloc(void* memory, size_t size) {
  ++allocations;
  return __libc_realloc(memory, size);
}
void* memalign(size_t alignment, size_t size) {
  ++allocations;
  return __libc_memalign(alignment, size);
}
void* aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }
#endif
}

namespace webhook {
namespace {

constexpr int kWarmUp = 2'000;
constexpr int kCounted = 1'000;

// Completes at once, and keeps nothing.
int32_t CreateNothing(void*, lri_host_instance*, const lri_incident_batch* batch) {
  static const std::string kId = "7", kCreated = "2024-05-01T10:00:01Z";
  static lri_created_incident created[16];
  for (size_t i = 0; i < batch->incidents.count; ++i) {
    created[i] = {View(kId), View(kCreated), 0, 0, {}, {}, {}};
  }
  const lri_create_result result{.struct_size = sizeof result,
                                 .outcome = LRI_CREATED,
                                 .incidents = created,
                                 .count = batch->incidents.count,
                                 .stride = sizeof created[0]};
  batch->done(batch->done_context, &result);
  return LRI_OK;
}

class AllocationsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    host_table_ = *host_.table();
    host_table_.create_incidents = CreateNothing;
    lri_plugin_options options{};
    options.struct_size = sizeof options;
    options.io_threads = 1;
    const std::string limit = "requests_of_a_connection", many = "1000000";
    const lri_pair limits[] = {{View(limit), View(many)}};
    options.limits = {limits, 1, sizeof limits[0]};
    ASSERT_EQ(table_->plugin_create(&host_table_, &options, &plugin_, nullptr), LRI_OK);
    const std::string port = std::to_string(port_);
    const Parameters texts = {{"username", "user"},
                              {"password", "pass"},
                              {"incidentType", "Phishing"},
                              {"longRunningPort", port},
                              {"bind_address", "127.0.0.1"}};
    std::vector<lri_pair> pairs;
    for (const auto& [key, value] : texts) pairs.push_back({View(key), View(value)});
    const std::string name = "webhook", product = "XSOAR_6";
    lri_instance_options instance{};
    instance.struct_size = sizeof instance;
    instance.name = View(name);
    instance.product = View(product);
    instance.parameters = {pairs.data(), pairs.size(), sizeof pairs[0]};
    ASSERT_EQ(table_->create(plugin_, &instance, &instance_, nullptr), LRI_OK);
    ASSERT_EQ(table_->start(instance_, nullptr), LRI_OK);
    client_ = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port_);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ASSERT_EQ(connect(client_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }

  void TearDown() override {
    close(client_);
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    EXPECT_EQ(table_->stop(instance_, (now.tv_sec + 60) * 1'000'000'000, nullptr), LRI_OK);
    table_->destroy(instance_);
    table_->plugin_destroy(plugin_);
  }

  // Sends it so often, one after the other; how many were answered 200. The answers are short, and
  // are written by one call, so that one read has all of each.
  int Send(const std::string& request, int times) {
    int accepted = 0;
    char answer[8 * 1024];
    for (int i = 0; i < times; ++i) {
      if (send(client_, request.data(), request.size(), MSG_NOSIGNAL) < 0) break;
      const ssize_t size = recv(client_, answer, sizeof answer, 0);
      if (size < 12) break;
      accepted += absl::string_view(answer, 12) == "HTTP/1.1 200" ? 1 : 0;
    }
    return accepted;
  }

  int64_t AllocationsOf(const std::string& body, absl::string_view more_headers = "") {
    const std::string request =
        http::Post("/", body, std::string(kGood) + std::string(more_headers));
    EXPECT_EQ(Send(request, kWarmUp), kWarmUp);
    const int64_t before = allocations;
    const int accepted = Send(request, kCounted);
    const int64_t after = allocations;
    EXPECT_EQ(accepted, kCounted);
    return after - before;
  }

  TestHost host_;
  lri_host host_table_{};
  const lri_plugin_table* const table_ = lri_plugin_entry_v1(LRI_ABI_MINOR);
  const uint16_t port_ = FreePorts(1)[0];
  lri_plugin* plugin_ = nullptr;
  lri_instance* instance_ = nullptr;
  int client_ = -1;
};

// Else zero would prove nothing.
TEST(AllocationCounterTest, CountsNewAndMalloc) {
  const int64_t before = allocations;
  void* volatile memory = std::malloc(100);  // else the compiler leaves it out
  std::free(memory);
  const std::string long_text(1'000, 'x');
  EXPECT_GE(allocations - before, 2) << long_text.size();
}

TEST_F(AllocationsTest, DocumentedExampleAllocatesNothing) {
  EXPECT_EQ(AllocationsOf(R"({"name":"incident created via generic webhook",)"
                          R"("rawJson":{"some_field":"some_value"}})"),
            0);
}

TEST_F(AllocationsTest, DocumentedArrayAllocatesNothing) {
  EXPECT_EQ(AllocationsOf(R"([{"name":"a","type":"b"},{"name":"c","rawJson":{"d":"e"}}])"), 0);
}

TEST_F(AllocationsTest, SevenKilobytesAllocateNothing) {
  std::string body = R"({"name":"push","rawJson":{"commits":[)";
  for (int i = 0; i < 70; ++i) {
    body += (i == 0 ? "" : ",");
    body += R"({"id":")" + std::to_string(100'000 + i) + R"(","message":")" + std::string(70, 'm') +
            "\"}";
  }
  EXPECT_EQ(AllocationsOf(body + "]}}"), 0);
}

TEST_F(AllocationsTest, ManyHeadersAllocateNothing) {
  std::string headers;
  for (int i = 0; i < 20; ++i) {
    headers += "X-Header-" + std::to_string(i) + ": some value of it\r\n";
  }
  EXPECT_EQ(AllocationsOf(R"({"a":1})", headers), 0);
}

}  // namespace
}  // namespace webhook
