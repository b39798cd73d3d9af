#include "host_stub/cli/idle_trim.h"

#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace host_stub {
namespace {

constexpr int64_t kWorthwhileBytes = 16 << 20;
// Of one processor.
constexpr double kMostBusy = 0.1;

// 0 where the system does not tell.
int64_t ResidentBytes() {
  std::FILE* const file = std::fopen("/proc/self/statm", "re");
  if (file == nullptr) return 0;
  long long total_pages = 0;
  long long resident_pages = 0;
  const int read = std::fscanf(file, "%lld %lld", &total_pages, &resident_pages);
  std::fclose(file);
  return read == 2 ? resident_pages * ::sysconf(_SC_PAGESIZE) : 0;
}

absl::Duration ProcessorTime() {
  rusage usage = {};
  ::getrusage(RUSAGE_SELF, &usage);
  return absl::DurationFromTimeval(usage.ru_utime) + absl::DurationFromTimeval(usage.ru_stime);
}

}  // namespace

IdleTrim::IdleTrim() : resident_bytes_(ResidentBytes()), processor_time_(ProcessorTime()) {}

void IdleTrim::Tick() {
  const absl::Duration before = processor_time_;
  processor_time_ = ProcessorTime();
  const int64_t resident_bytes = ResidentBytes();
  resident_bytes_ = std::min(resident_bytes_, resident_bytes);
  if (processor_time_ - before > kMostBusy * kInterval) return;
  if (resident_bytes < resident_bytes_ + kWorthwhileBytes) return;
  ::malloc_trim(0);
  resident_bytes_ = ResidentBytes();
}

}  // namespace host_stub
