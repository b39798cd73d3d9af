#include "plugin/runtime/secrets.h"

#include <openssl/crypto.h>
#include <simdjson.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"

namespace webhook::runtime {
namespace {

using simdjson::dom::element;
using simdjson::dom::object;

constexpr char kShape[] =
    R"(passwords must be a JSON array such as [{"password": "...", "expires": "2024-06-01T00:00:00Z"}])";

absl::Status Refuse(size_t entry, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("passwords: entry ", entry, ": ", what));
}

absl::StatusOr<ExpiringPassword> ReadEntry(size_t number, object entry) {
  bool given = false;
  std::string_view text;
  absl::Time expires = absl::InfiniteFuture();
  for (const auto& [key, value] : entry) {
    if (key == "password") {
      if (given) return Refuse(number, "password is given twice");
      if (value.get(text) != simdjson::SUCCESS) return Refuse(number, "password must be text");
      given = true;
    } else if (key == "expires") {
      std::string_view time;
      if (value.is_null()) continue;
      if (value.get(time) != simdjson::SUCCESS ||
          !absl::ParseTime(absl::RFC3339_full, {time.data(), time.size()}, &expires, nullptr) ||
          expires == absl::InfiniteFuture() || expires == absl::InfinitePast()) {
        return Refuse(number, "expires must be a time as in \"2024-06-01T00:00:00Z\"");
      }
    } else {
      return Refuse(number, "only password and expires are known");
    }
  }
  if (!given) return Refuse(number, "password is missing");
  if (text.empty()) return Refuse(number, "password is empty");
  return ExpiringPassword({text.data(), text.size()}, expires);
}

// simdjson copies a text that has no padding, and what strings become; both are wiped here.
class WipedParser {
 public:
  simdjson::simdjson_result<element> Parse(absl::string_view json) {
    padded_.resize(json.size() + simdjson::SIMDJSON_PADDING);
    std::copy(json.begin(), json.end(), padded_.begin());
    return parser_.parse(padded_.data(), json.size(), /*realloc_if_needed=*/false);
  }
  ~WipedParser() {
    OPENSSL_cleanse(padded_.data(), padded_.size());
    // As much as the longest text of that length can become; simdjson allocates more.
    if (parser_.doc.string_buf != nullptr) {
      OPENSSL_cleanse(parser_.doc.string_buf.get(), 5 * parser_.doc.capacity() / 3);
    }
  }

 private:
  std::vector<char> padded_;
  simdjson::dom::parser parser_;
};

}  // namespace

// Moved from, a short text's bytes are still here, though its size is 0.
ExpiringPassword::~ExpiringPassword() {
  text_.resize(text_.capacity());
  OPENSSL_cleanse(text_.data(), text_.size());
}

absl::StatusOr<std::vector<ExpiringPassword>> ReadPasswords(absl::string_view json, size_t most) {
  std::vector<ExpiringPassword> passwords;
  if (json.empty()) return passwords;
  WipedParser parser;
  simdjson::dom::array entries;
  if (parser.Parse(json).get(entries) != simdjson::SUCCESS) {
    return absl::InvalidArgumentError(kShape);
  }
  for (element one : entries) {
    object entry;
    if (one.get(entry) != simdjson::SUCCESS) return absl::InvalidArgumentError(kShape);
    if (passwords.size() == most) {
      return absl::InvalidArgumentError(absl::StrCat("passwords: at most ", most, " are taken"));
    }
    auto password = ReadEntry(passwords.size(), entry);
    if (!password.ok()) return password.status();
    passwords.push_back(*std::move(password));
  }
  if (passwords.empty()) return absl::InvalidArgumentError("passwords: the list is empty");
  return passwords;
}

}  // namespace webhook::runtime
