// Histories of the SQLite store on a failing disk. Each is drawn from a seed, and checked against a
// model of what the store promises. Tests only.
//
// A history has several lives of one store in one folder. In a life there are single incidents and
// batches, alone or several in one commit; new and repeated delivery keys; instances and contexts;
// writes, syncs, reads and opens that fail; a full disk; another process that reads. A life ends
// with a close, a kill, or a power cut at any write or sync. Then the disk is repaired, the store
// is opened, and everything is read:
//   - everything acknowledged is there, byte for byte, under its id, and no id was given twice
//   - a batch with an unknown outcome is there as a whole or not at all; a refused one is not there
//   - ids grow, and a repeated key gets the id of the first incident
//   - after a failed sync nothing is acknowledged before the database has been opened again
//   - the database is not opened again while another process has it open
// The store copies its WAL on the writer's thread, and there is one caller, so a seed gives the
// same run each time.
#ifndef HOST_STUB_STORE_TESTING_STORE_SIMULATION_H_
#define HOST_STUB_STORE_TESTING_STORE_SIMULATION_H_

#include <cstdint>
#include <string>

namespace host_stub {

struct SimulationReport {
  // Adds the counts of another history.
  void Add(const SimulationReport& other);

  std::string violation;  // which promise was broken, and where; empty: none
  uint64_t trace = 0;     // of everything that the disk did
  int64_t lives = 0;
  int64_t power_cuts = 0;
  int64_t faults = 0;         // that were injected and took effect
  int64_t unknown = 0;        // batches with an unknown outcome
  int64_t unknown_there = 0;  // those of them that turned out to be stored
  int64_t acknowledged = 0;   // incidents
  int64_t duplicates = 0;
  int64_t replays = 0;  // batches that were known by their replay key alone
  int64_t expired = 0;  // keys that came again after their lifetime
  int64_t deleted = 0;  // by retention
  int64_t duplicates_of_deleted = 0;
  int64_t refused_after_failed_sync = 0;
};

// Runs the history of that seed in a new temporary folder.
SimulationReport RunSimulation(uint32_t seed);

}  // namespace host_stub

#endif  // HOST_STUB_STORE_TESTING_STORE_SIMULATION_H_
