#include "host_stub/store/pending_change.h"

#include <algorithm>
#include <cstddef>
#include <string_view>

namespace {

constexpr int64_t kSectorBytes = 512;

void Put(std::string& bytes, int64_t offset, std::string_view data) {
  const size_t end = static_cast<size_t>(offset) + data.size();
  if (bytes.size() < end) bytes.resize(end);
  std::copy(data.begin(), data.end(), bytes.begin() + static_cast<std::ptrdiff_t>(offset));
}

// One sector's part of a write: lost, kept, or torn.
void ApplySectorByChance(int64_t offset, std::string_view data, std::mt19937& random,
                         std::string& bytes) {
  const uint32_t chance = random() % 8;
  if (chance < 3) return;
  if (chance < 6) return Put(bytes, offset, data);
  const size_t kept = random() % data.size();
  // Bytes that are there already are the same however far the write came.
  if (std::string_view(bytes).substr(std::min(bytes.size(), static_cast<size_t>(offset)),
                                     data.size()) == data) {
    return;
  }
  if (kept > 0) Put(bytes, offset, data.substr(0, kept));
  if (chance == 6) return;
  std::string garbage(data.size() - kept, '\0');
  for (char& byte : garbage) byte = static_cast<char>(random());
  Put(bytes, offset + static_cast<int64_t>(kept), garbage);
}

}  // namespace

void Apply(const PendingChange& change, std::string& bytes) {
  if (change.truncate_to < 0) return Put(bytes, change.offset, change.data);
  bytes.resize(static_cast<size_t>(change.truncate_to));
}

void ApplyByChance(const PendingChange& change, std::mt19937& random, std::string& bytes) {
  if (change.truncate_to >= 0) {
    if (random() % 2 == 0) Apply(change, bytes);
    return;
  }
  const std::string_view data = change.data;
  for (size_t done = 0; done < data.size();) {
    const int64_t offset = change.offset + static_cast<int64_t>(done);
    const auto rest = static_cast<size_t>(kSectorBytes - offset % kSectorBytes);
    const std::string_view part = data.substr(done, rest);
    ApplySectorByChance(offset, part, random, bytes);
    done += part.size();
  }
}
