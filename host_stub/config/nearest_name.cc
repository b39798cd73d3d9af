#include "host_stub/config/nearest_name.h"

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace host_stub {
namespace {

// Longer names are not compared, so that a hostile one costs nothing.
constexpr size_t kLongestName = 64;

// The least number of insertions, deletions, replacements and swaps of neighbours.
size_t Distance(absl::string_view a, absl::string_view b) {
  std::vector<std::vector<size_t>> rows(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) rows[i][0] = i;
  for (size_t j = 0; j <= b.size(); ++j) rows[0][j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = rows[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      rows[i][j] = std::min({rows[i - 1][j] + 1, rows[i][j - 1] + 1, replaced});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) rows[i][j] = std::min(rows[i][j], rows[i - 2][j - 2] + 1);
    }
  }
  return rows[a.size()][b.size()];
}

// The known name that is nearest to `name`; empty if none is near.
absl::string_view NearestName(absl::string_view name, std::span<const absl::string_view> known) {
  if (name.empty() || name.size() > kLongestName) return "";
  const std::string lower = absl::AsciiStrToLower(name);
  absl::string_view nearest;
  size_t least = std::max<size_t>(1, name.size() / 3) + 1;
  for (absl::string_view candidate : known) {
    const size_t distance = Distance(lower, absl::AsciiStrToLower(candidate));
    if (distance >= least) continue;
    least = distance;
    nearest = candidate;
  }
  return nearest;
}

}  // namespace

std::string DidYouMean(absl::string_view name, std::span<const absl::string_view> known) {
  const absl::string_view nearest = NearestName(name, known);
  if (nearest.empty()) return absl::StrCat("known are: ", absl::StrJoin(known, ", "));
  return absl::StrCat("did you mean \"", nearest, "\"?");
}

}  // namespace host_stub
