// Loads the plugin, serves, changes, stops and unloads it, again and again, with requests in flight
// through the table and through its listen port. Nothing may be left of a round: no memory, thread
// or file.
//
// Rounds: 200, or $UNLOAD_ROUNDS.
#include <dirent.h>
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <malloc.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "plugin/http/testing/test_client.h"
#include "tests/border/abi_host.h"

namespace border {
namespace {

using webhook::http::TestClient;

constexpr int kWarmUp = 20;

// Bytes for each round after the warm-up. A load of the shared object is 4 MiB; an instance 20 KiB.
constexpr int64_t kMostHeapOfARound = 512;
constexpr int64_t kMostResidentOfAllRounds = 8 << 20;

bool WithSanitizer() {
#ifdef __SANITIZE_ADDRESS__
  return true;
#else
  return false;
#endif
}

int CountEntries(const char* folder) {
  int entries = 0;
  DIR* const listing = opendir(folder);
  while (readdir(listing) != nullptr) ++entries;
  closedir(listing);
  return entries;
}

int64_t HeapBytes() {
  const struct mallinfo2 info = mallinfo2();
  return static_cast<int64_t>(info.uordblks + info.hblkhd);
}

int64_t ResidentBytes() {
  malloc_trim(0);
  int64_t total = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> total >> resident;
  return resident * 4096;
}

// A joined thread's entry may last a moment longer in /proc.
int SettledThreads(int wanted) {
  int threads = 0;
  for (int i = 0; i < 1000; ++i) {
    threads = CountEntries("/proc/self/task");
    if (threads <= wanted) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return threads;
}

struct Served {
  std::atomic<int64_t> by_table{0};
  std::atomic<int64_t> by_socket{0};
};

void SendByTable(const lri_plugin_table& table, lri_instance* instance,
                 const std::atomic<bool>& over, Served& served) {
  Post post(R"([{"name":"one","rawJson":{"a":1}},{"name":"two"}])", {BasicHeader()});
  while (!over) {
    if (table.execute(instance, post.abi()) == LRI_OK) ++served.by_table;
  }
}

void SendBySocket(uint16_t port, const std::atomic<bool>& over, Served& served) {
  const std::string request =
      webhook::http::Post("/", R"({"name":"n"})", "Authorization: Basic dXNlcjpwYXNz\r\n");
  while (!over) {
    TestClient client(port);
    if (!client.connected()) continue;
    for (int i = 0; i < 10 && !over; ++i) {
      if (!client.Send(request)) break;
      const auto answer = client.ReadAnswer();
      if (!answer.has_value()) break;
      if (answer->status == 200) ++served.by_socket;
    }
  }
}

void WaitFor(const std::atomic<int64_t>& count, int64_t least) {
  while (count < least) std::this_thread::yield();
}

void Round(const std::string& port, const std::string& next_port, Served& served) {
  LoadedPlugin library;
  AbiHost host;
  lri_plugin_options options{};
  options.struct_size = sizeof options;
  options.io_threads = 2;
  lri_plugin* plugin = nullptr;
  ASSERT_EQ(library->plugin_create(host.table(), &options, &plugin, nullptr), LRI_OK);
  Pairs parameters = Basic();
  parameters.push_back({"store_samples", "true"});
  parameters.push_back({"longRunningPort", port});
  parameters.push_back({"bind_address", "127.0.0.1"});
  Options first(parameters, "webhook", "XSOAR_6");
  parameters[3].second = next_port;
  Options changed(parameters, "webhook", "XSOAR_6");
  lri_instance* instance = nullptr;
  lri_error error{sizeof(lri_error), {}};
  ASSERT_EQ(library->create(plugin, first.abi(), &instance, &error), LRI_OK) << error.message;
  ASSERT_EQ(library->start(instance, &error), LRI_OK) << error.message;

  std::atomic<bool> over{false};
  const int64_t by_table = served.by_table, by_socket = served.by_socket;
  std::vector<std::thread> senders;
  senders.emplace_back([&] { SendByTable(library.table(), instance, over, served); });
  senders.emplace_back([&] { SendBySocket(static_cast<uint16_t>(std::stoi(port)), over, served); });
  WaitFor(served.by_table, by_table + 10);
  WaitFor(served.by_socket, by_socket + 2);
  lri_update* update = nullptr;
  ASSERT_EQ(library->update_prepare(instance, changed.abi(), &update, &error), LRI_OK)
      << error.message;
  library->update_commit(update);
  senders.emplace_back(
      [&] { SendBySocket(static_cast<uint16_t>(std::stoi(next_port)), over, served); });
  WaitFor(served.by_socket, by_socket + 5);
  ASSERT_EQ(library->update_prepare(instance, changed.abi(), &update, &error), LRI_OK)
      << error.message;
  library->update_abort(update);

  // The senders go on while it stops.
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  const int64_t deadline = (int64_t{now.tv_sec} + 30) * 1'000'000'000;
  ASSERT_EQ(library->stop(instance, deadline, &error), LRI_OK) << error.message;
  over = true;
  for (std::thread& sender : senders) sender.join();
  host.TakeAnswers();
  library->destroy(instance);
  library->plugin_destroy(plugin);
  library.Unload();
  if (WithSanitizer()) return;  // which keeps it
  void* const again = dlopen(kPlugin, RTLD_NOW | RTLD_NOLOAD);
  EXPECT_EQ(again, nullptr) << "the shared object is still there";
}

TEST(UnloadTest, NothingIsLeftOfAnyRound) {
  const char* const wanted = std::getenv("UNLOAD_ROUNDS");
  const int rounds = wanted == nullptr ? 200 : std::atoi(wanted);
  const std::string port = FreePort(), next_port = FreePort();
  Served served;
  const int threads_before = CountEntries("/proc/self/task");
  int64_t heap = 0, resident = 0;
  int files = 0;
  for (int round = 0; round < kWarmUp + rounds; ++round) {
    if (round == kWarmUp) {
      heap = HeapBytes();
      resident = ResidentBytes();
      files = CountEntries("/proc/self/fd");
    }
    Round(port, next_port, served);
    if (testing::Test::HasFailure()) return;
    ASSERT_EQ(SettledThreads(threads_before), threads_before) << round;
  }
  EXPECT_EQ(CountEntries("/proc/self/fd"), files);
  const int64_t heap_growth = HeapBytes() - heap, resident_growth = ResidentBytes() - resident;
  RecordProperty("heap_growth", std::to_string(heap_growth));
  RecordProperty("resident_growth", std::to_string(resident_growth));
  std::printf("%d rounds: the heap grew by %lld bytes, the process by %lld; %lld + %lld requests\n",
              rounds, static_cast<long long>(heap_growth), static_cast<long long>(resident_growth),
              static_cast<long long>(served.by_table), static_cast<long long>(served.by_socket));
  if (WithSanitizer()) return;  // it tells leaks itself, and its memory is not ours
  EXPECT_LE(heap_growth, rounds * kMostHeapOfARound);
  EXPECT_LE(resident_growth, kMostResidentOfAllRounds);
}

}  // namespace
}  // namespace border
