#include "plugin/runtime/secrets.h"

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

TEST(ReadSigningSecretsTest, WhatIsWrongIsRefusedByItsPlaceAndNotQuoted) {
  const std::pair<const char*, const char*> cases[] = {
      {R"(["hunter2")", "signing_secrets must be a text, or a list"},
      {R"(["hunter2"] 1)", "signing_secrets must be a text, or a list"},
      {R"([])", "signing_secrets: the list is empty"},
      {R"([["hunter2"]])", "signing_secrets must be a text, or a list"},
      {R"(["hunter2", 5])", "signing_secrets must be a text, or a list"},
      {R"(["hunter2", ""])", "signing_secrets: entry 1: secret is empty"},
      {R"([{"expires": null}])", "signing_secrets: entry 0: secret is missing"},
      {R"([{"secret": "hunter2", "secret": "b"}])", "entry 0: secret is given twice"},
      {R"([{"secret": 5}])", "signing_secrets: entry 0: secret must be text"},
      {R"([{"password": "hunter2"}])", "entry 0: only secret and expires are known"},
      {R"([{"secret": "hunter2", "expires": "hunter2"}])", "entry 0: expires must be a time"},
      {R"([{"secret": "hunter2", "expires": "infinite-past"}])", "entry 0: expires must be a time"},
      {"hunter2\xE2\x80\x8B", "signing_secrets: it holds a character that cannot be seen"},
      {"[\"hunter2\xE2\x80\x8B\"]", "signing_secrets: entry 0: it holds a character"},
  };
  for (const auto& [given, reason] : cases) {
    const auto secrets = ReadSigningSecrets(given);
    ASSERT_FALSE(secrets.ok()) << given;
    EXPECT_THAT(std::string(secrets.status().message()), HasSubstr(reason)) << given;
    EXPECT_THAT(std::string(secrets.status().message()), Not(HasSubstr("hunter2"))) << given;
    const auto named = ReadNamedSecrets(absl::StrCat("{\"a\":", given, "}"));
    EXPECT_FALSE(named.ok()) << given;
  }
  const auto named = ReadNamedSecrets(R"({"a": "1", "b": {"secret": 5}})");
  EXPECT_THAT(std::string(named.status().message()), HasSubstr("named_secrets.b: secret must be"));
}

TEST(ReadSigningSecretsTest, TextsAndObjectsAreTakenInTheirOrder) {
  const auto secrets =
      ReadSigningSecrets(R"(["a", {"secret": "\u0062", "expires": "2024-06-01T00:00:00Z"}])");
  ASSERT_TRUE(secrets.ok()) << secrets.status();
  ASSERT_EQ(secrets->size(), 2u);
  EXPECT_EQ((*secrets)[0].text, "a");
  EXPECT_EQ((*secrets)[0].expires, absl::InfiniteFuture());
  EXPECT_EQ((*secrets)[1].text, "b");
  EXPECT_EQ((*secrets)[1].expires, absl::FromUnixSeconds(1'717'200'000));
}

TEST(ReadPasswordsTest, MoreThanTheLimitAreRefused) {
  EXPECT_THAT(Fault(R"([{"password":"a"},{"password":"b"},{"password":"c"},{"password":"d"}])"),
              HasSubstr("at most 3"));
}

// A short text lives within the string itself, so moving it would leave its bytes behind.
TEST(SecretTest, NeitherItNorWhatItWasMovedFromLeavesTheText) {
  for (const std::string secret : {"hunter2", "a secret that is longer than a string itself"}) {
    alignas(core::Secret) unsigned char places[2][sizeof(core::Secret)];
    auto* first = new (places[0]) core::Secret{secret};
    auto* second = new (places[1]) core::Secret(std::move(*first));
    EXPECT_EQ(second->text, secret);
    first->~Secret();
    second->~Secret();
    for (const auto& place : places) {
      const auto* end = place + sizeof(place);
      EXPECT_EQ(std::search(place, end, secret.begin(), secret.end()), end);
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

// Reads `before`, a planted secret and `after` by `read`, whose result keeps it.
template <typename Read>
void ExpectNoCopyStays(const std::string& before, const std::string& after, const Read& read) {
  const std::string masked = [] {
    std::string text = "planted-secret-of-the-list";
    for (char& c : text) c = static_cast<char>(~c);
    return text;
  }();
  // Made in place, for a literal with the text would be found.
  auto json = std::make_unique<std::string>(before);
  json->reserve(200);
  for (const char c : masked) json->push_back(static_cast<char>(~c));
  json->append(after);
  Memory memory;
  ASSERT_TRUE(memory.ok());
  EXPECT_GE(memory.Count(masked), 1);
  {
    const auto secrets = read(*json);
    ASSERT_TRUE(secrets.ok()) << secrets.status();
    EXPECT_GE(memory.Count(masked), 2);
  }
  std::fill(json->begin(), json->end(), ' ');
  UseTheStack();
  EXPECT_EQ(memory.Count(masked), 0) << before;
}

TEST(SecretsTest, NoCopyOfOneStaysInMemory) {
  const auto passwords = [](absl::string_view json) { return ReadPasswords(json, 3); };
  ExpectNoCopyStays(R"([{"password":"\u0061)", R"("},{"password":"b"}])", passwords);
  ExpectNoCopyStays("", "", &ReadSigningSecrets);
  ExpectNoCopyStays(R"([{"secret":"\n)", R"("},"b","c","d"])", &ReadSigningSecrets);
  ExpectNoCopyStays(R"({"a":")", R"(","b":["c"]})", &ReadNamedSecrets);
}

}  // namespace
}  // namespace webhook::runtime
