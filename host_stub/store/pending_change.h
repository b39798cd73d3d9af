// What was written to a file and not yet synced, and what a disk makes of it when the power fails.
// Tests only.
#ifndef HOST_STUB_STORE_PENDING_CHANGE_H_
#define HOST_STUB_STORE_PENDING_CHANGE_H_

#include <cstdint>
#include <random>
#include <string>

struct PendingChange {
  int64_t offset = 0;
  std::string data;
  int64_t truncate_to = -1;  // 0 or more: a truncation
};

// Does it to `bytes`.
void Apply(const PendingChange& change, std::string& bytes);

// Loses, keeps or tears each sector of it.
void ApplyByChance(const PendingChange& change, std::mt19937& random, std::string& bytes);

#endif  // HOST_STUB_STORE_PENDING_CHANGE_H_
