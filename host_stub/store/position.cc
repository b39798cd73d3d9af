#include "host_stub/store/position.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "plugin/base/characters.h"

namespace host_stub {

std::string PositionAfter(const IncidentStore& store, int64_t id) {
  return absl::StrCat("1-", store.identity(), "-", id);
}

absl::StatusOr<int64_t> ReadPosition(const IncidentStore& store, absl::string_view position) {
  absl::string_view rest = position;
  int64_t id = 0;
  if (!absl::ConsumePrefix(&rest, absl::StrCat("1-", store.identity(), "-")) || rest.empty() ||
      !base::IsDigit(rest[0]) || !absl::SimpleAtoi(rest, &id) ||
      position != PositionAfter(store, id)) {
    return absl::InvalidArgumentError("is no position of this store");
  }
  return id;
}

}  // namespace host_stub
