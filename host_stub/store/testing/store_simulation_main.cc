// Plays histories of the store on a failing disk: tools/store-simulation.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "host_stub/store/testing/store_simulation.h"

namespace {

constexpr char kUsage[] = "usage: store-simulation [--seed N] [--histories N]\n";

bool ReadFlag(int argc, char** argv, int i, const std::string& name, uint32_t& value) {
  return argv[i] == name && i + 1 < argc && absl::SimpleAtoi(argv[i + 1], &value);
}

}  // namespace

int main(int argc, char** argv) {
  uint32_t seed = std::random_device()();
  uint32_t histories = 0;
  bool one = false;
  for (int i = 1; i < argc; i += 2) {
    if (ReadFlag(argc, argv, i, "--seed", seed)) {
      one = true;
    } else if (!ReadFlag(argc, argv, i, "--histories", histories)) {
      std::fputs(kUsage, stderr);
      return 2;
    }
  }
  if (histories == 0) histories = one ? 1 : 10'000;
  std::printf("%u histories from seed %u on\n", histories, seed);
  const absl::Time begin = absl::Now();
  host_stub::SimulationReport all;
  for (uint32_t i = 0; i < histories; ++i) {
    const host_stub::SimulationReport report = host_stub::RunSimulation(seed + i);
    if (!report.violation.empty()) {
      std::printf("BROKEN: %s\nplay it again with --seed %u\n", report.violation.c_str(), seed + i);
      return 1;
    }
    all.Add(report);
  }
  std::printf(
      "no promise was broken: %ld lives, %ld power cuts, %ld other faults, %ld incidents "
      "acknowledged, %ld deleted, %ld duplicates (%ld of deleted ones), %ld replays, %ld expired "
      "keys, %ld batches unknown (%ld of them there), %.0f s\n",
      all.lives, all.power_cuts, all.faults, all.acknowledged, all.deleted, all.duplicates,
      all.duplicates_of_deleted, all.replays, all.expired, all.unknown, all.unknown_there,
      absl::ToDoubleSeconds(absl::Now() - begin));
  return 0;
}
