#include "plugin/runtime/plugin.h"

#include <openssl/crypto.h>
#include <simdjson.h>

#include <algorithm>
#include <set>
#include <thread>

#include "absl/strings/str_cat.h"
#include "plugin/http/byte_budget.h"
#include "plugin/runtime/call.h"

namespace webhook::runtime {
namespace {

constexpr uint32_t kMostIoThreads = 256;

int IoThreadCount(uint32_t wanted) {
  if (wanted != 0) return static_cast<int>(std::min(wanted, kMostIoThreads));
  return static_cast<int>(std::clamp(std::thread::hardware_concurrency(), 1u, 4u));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Plugin>> Plugin::Create(const lri_host* host,
                                                       const lri_plugin_options* options) {
  if (absl::Status status = Host::Check(host); !status.ok()) return status;
  // Before OpenSSL is used. It lives in the plugin, so the openssl.cnf of the engine is not meant
  // for it; what that names could break it, and would load modules that stay in the process.
  OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, nullptr);
  Limits limits;
  if (options != nullptr && LRI_HAS(options, limits)) {
    std::set<absl::string_view> given;
    for (size_t i = 0; i < options->limits.count; ++i) {
      const absl::string_view name = FromView(At(options->limits, i).name);
      absl::Status status = SetLimit(name, FromView(At(options->limits, i).value), limits);
      if (!status.ok()) return status;
      if (!given.insert(name).second) {
        return absl::InvalidArgumentError(absl::StrCat("the limit ", name, " is given twice"));
      }
    }
  }
  // simdjson chooses its code for this processor at its first use, which allocates and cannot fail.
  // Here that is no request's.
  simdjson::get_active_implementation()->name();
  const uint32_t threads =
      options != nullptr && LRI_HAS(options, io_threads) ? options->io_threads : 0;
  return std::make_unique<Plugin>(Host(*host), limits, threads);
}

Plugin::Plugin(const Host& host, const Limits& limits, uint32_t io_threads)
    : host_(host),
      limits_(limits),
      calls_(static_cast<uint32_t>(limits.calls_in_flight)),
      parsers_(static_cast<uint32_t>(limits.calls_in_flight)),
      judges_(2 * static_cast<uint32_t>(limits.calls_in_flight)),
      done_slots_(static_cast<uint32_t>(limits.calls_in_flight)),
      io_thread_count_(IoThreadCount(io_threads)) {}

Plugin::~Plugin() = default;

bool Plugin::ReserveMemory(int64_t bytes) {
  return http::AddWithin(reserved_bytes_, bytes, limits_.expanded_bytes_in_flight);
}

absl::StatusOr<http::IoThreads*> Plugin::io_threads() {
  const std::lock_guard lock(starting_);
  if (io_threads_ == nullptr) {
    auto started = http::IoThreads::Start(io_thread_count_);
    if (!started.ok()) return started.status();
    io_threads_ = *std::move(started);
  }
  return io_threads_.get();
}

}  // namespace webhook::runtime
