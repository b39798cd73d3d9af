#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <memory>
#include <new>
#include <string>

#include "absl/strings/str_cat.h"
#include "plugin/runtime/configuration.h"

namespace webhook::runtime {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string Fault(const std::string& json) {
  const auto passwords = ReadPasswords(json, 3);
  return passwords.ok() ? "" : std::string(passwords.status().message());
}

TEST(ReadPasswordsTest, WhatIsWrongIsRefusedByItsPlaceAndNotQuoted) {
  for (const char* json :
       {R"(["hunter2"])", R"({"password": "hunter2"})", R"([{"password": "hunter2"])",
        R"([{"password": "hunter2", "hunter2": 1}])",
        R"([{"password": "hunter2", "expires": "hunter2"}])",
        R"([{"password": "hunter2", "password": "hunter2"}])", R"([{"expires": "hunter2"}])",
        R"("hunter2")", "hunter2"}) {
    EXPECT_THAT(Fault(json), HasSubstr("passwords")) << json;
    EXPECT_THAT(Fault(json), Not(HasSubstr("hunter2"))) << json;
  }
}

TEST(ReadPasswordsTest, MoreThanTheLimitAreRefused) {
  EXPECT_THAT(Fault(R"([{"password":"a"},{"password":"b"},{"password":"c"},{"password":"d"}])"),
              HasSubstr("at most 3"));
}

// A short text lives within the string itself, so moving it leaves its bytes behind.
TEST(ExpiringPasswordTest, NeitherItNorWhatItWasMovedFromLeavesTheText) {
  for (const std::string secret : {"hunter2", "a secret that is longer than a string itself"}) {
    alignas(ExpiringPassword) unsigned char places[2][sizeof(ExpiringPassword)];
    auto* first = new (places[0]) ExpiringPassword(secret, absl::InfiniteFuture());
    auto* second = new (places[1]) ExpiringPassword(std::move(*first));
    EXPECT_EQ(second->text(), secret);
    first->~ExpiringPassword();
    second->~ExpiringPassword();
    // Its first byte is overwritten by a move anyway.
    const std::string rest = secret.substr(1);
    for (const auto& place : places) {
      const auto* end = place + sizeof(place);
      EXPECT_EQ(std::search(place, end, rest.begin(), rest.end()), end);
    }
  }
}

// All that this process may write to, but for the buffer that it is read into.
class Memory {
 public:
  Memory()
      : file_(open("/proc/self/mem", O_RDONLY | O_CLOEXEC)),
        buffer_(static_cast<char*>(
            mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))) {}
  ~Memory() {
    munmap(buffer_, kBytes);
    close(file_);
  }
  bool ok() const { return file_ >= 0 && buffer_ != MAP_FAILED; }

  // How often a text is there whose bytes are `masked`, each turned over.
  int Count(const std::string& masked) {
    std::ifstream maps("/proc/self/maps");
    int count = 0;
    for (std::string line; std::getline(maps, line);) {
      uint64_t begin = 0, end = 0;
      char rights[5] = {};
      if (sscanf(line.c_str(), "%lx-%lx %4s", &begin, &end, rights) != 3) continue;
      const auto own = reinterpret_cast<uint64_t>(buffer_);
      // A sanitizer's shadow is no memory of ours, and terabytes long.
      if (rights[1] != 'w' || (own >= begin && own < end) || end - begin > (1u << 30)) continue;
      for (uint64_t at = begin; at < end; at += kBytes - kOverlap) {
        const ssize_t size = pread(file_, buffer_, std::min(kBytes, end - at), at);
        if (size > 0) count += CountIn(size, masked);
      }
    }
    return count;
  }

 private:
  static constexpr uint64_t kBytes = 1 << 20;
  static constexpr uint64_t kOverlap = 64;

  int CountIn(size_t size, const std::string& masked) const {
    int count = 0;
    const char* at = buffer_;
    const char* const end = buffer_ + size;
    const auto same = [](char c, char turned) { return c == static_cast<char>(~turned); };
    while ((at = std::search(at, end, masked.begin(), masked.end(), same)) != end) ++count, ++at;
    return count;
  }

  const int file_;
  char* const buffer_;
};

// What a compiler kept on the stack for a moment, the next calls overwrite; as these do.
__attribute__((noinline)) void UseTheStack() {
  volatile char used[64 * 1024];
  for (volatile char& c : used) c = 0;
}

TEST(ReadPasswordsTest, NoCopyOfASecretStaysInMemory) {
  const std::string masked = [] {
    std::string text = "planted-secret-of-the-list";
    for (char& c : text) c = static_cast<char>(~c);
    return text;
  }();
  // Made in place, for a literal with the text would be found.
  auto json = std::make_unique<std::string>(R"([{"password":")");
  json->reserve(200);
  for (const char c : masked) json->push_back(static_cast<char>(~c));
  json->append("\"}]");
  Memory memory;
  ASSERT_TRUE(memory.ok());
  EXPECT_GE(memory.Count(masked), 1);
  {
    const auto passwords = ReadPasswords(*json, 3);
    ASSERT_TRUE(passwords.ok()) << passwords.status();
    EXPECT_GE(memory.Count(masked), 2);
  }
  std::fill(json->begin(), json->end(), ' ');
  UseTheStack();
  EXPECT_EQ(memory.Count(masked), 0);
}

}  // namespace
}  // namespace webhook::runtime
