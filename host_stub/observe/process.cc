#include "host_stub/observe/process.h"

#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <system_error>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"

namespace host_stub {
namespace {

// The fields of /proc/self/stat (proc(5)) from the third on: the name before them may contain
// blanks and parentheses.
std::vector<std::string> ReadStat() {
  std::ifstream file("/proc/self/stat");
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const size_t end = text.rfind(')');
  if (end == std::string::npos) return {};
  return absl::StrSplit(text.substr(end + 1), ' ', absl::SkipEmpty());
}

}  // namespace

ProcessUse ReadProcessUse() {
  ProcessUse use;
  const std::vector<std::string> stat = ReadStat();
  const auto field = [&stat](size_t number) {
    int64_t value = 0;
    return number - 3 < stat.size() && absl::SimpleAtoi(stat[number - 3], &value) ? value : 0;
  };
  const auto ticks_a_second = static_cast<double>(::sysconf(_SC_CLK_TCK));
  use.processor = absl::Seconds(static_cast<double>(field(14) + field(15)) / ticks_a_second);
  use.threads = field(20);
  use.virtual_bytes = field(23);
  use.resident_bytes = field(24) * ::sysconf(_SC_PAGESIZE);
  double up_seconds = 0;
  std::ifstream("/proc/uptime") >> up_seconds;
  use.started =
      absl::Now() - absl::Seconds(up_seconds - static_cast<double>(field(22)) / ticks_a_second);
  std::error_code error;
  std::filesystem::directory_iterator descriptors("/proc/self/fd", error);
  // One of them reads the folder.
  if (!error) use.open_descriptors = std::distance(begin(descriptors), end(descriptors)) - 1;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    use.most_descriptors = static_cast<int64_t>(limit.rlim_cur);
  }
  return use;
}

int64_t ResidentBytes() {
  int64_t total_pages = 0;
  int64_t resident_pages = 0;
  std::ifstream("/proc/self/statm") >> total_pages >> resident_pages;
  return resident_pages * ::sysconf(_SC_PAGESIZE);
}

}  // namespace host_stub
