// The configurations of instances in a database that hosts share are sealed, since they hold
// secrets: AES-256-GCM, each with a random nonce, and tied to its place, so that bytes of another
// store, instance or generation do not open. Internal.
#ifndef HOST_STUB_STORE_POSTGRES_SEALING_H_
#define HOST_STUB_STORE_POSTGRES_SEALING_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "host_stub/store/postgres/connection.h"

namespace host_stub {

// Where a sealed text belongs.
struct SealedPlace {
  std::string store;  // its identity
  std::string uid;
  int64_t generation = 0;
};

// Any thread. The keys are wiped when it ends.
class Sealing {
 public:
  struct Sealed {
    std::string bytes;   // nonce, ciphertext, tag; or the text itself, where there is no key
    std::string key_id;  // 16 hexadecimal digits that tell nothing of the key; empty: not sealed
  };

  // Keys of 32 bytes as 64 hexadecimal digits: the first seals, all open. None: nothing is sealed.
  explicit Sealing(const std::vector<std::string>& keys);
  ~Sealing();
  Sealing(const Sealing&) = delete;
  Sealing& operator=(const Sealing&) = delete;

  bool has_key() const { return !keys_.empty(); }
  absl::StatusOr<Sealed> Seal(absl::string_view text, const SealedPlace& place) const;
  // FAILED_PRECONDITION names the key that is not here; DATA_LOSS: the row was changed by somebody
  // who has no key.
  absl::StatusOr<std::string> Open(const Sealed& sealed, const SealedPlace& place) const;

 private:
  struct Key {
    std::string id;
    std::string bytes;
  };

  std::vector<Key> keys_;
};

struct Rekeyed {
  int instances = 0;
  std::vector<std::string> faults;  // a line for each that no key opens; it stays as it was
};

// Seals all configurations with the first key anew, in one transaction. Hosts look at them again.
absl::StatusOr<Rekeyed> RekeyInstances(PostgresConnection& connection, const Sealing& sealing);

}  // namespace host_stub

#endif  // HOST_STUB_STORE_POSTGRES_SEALING_H_
