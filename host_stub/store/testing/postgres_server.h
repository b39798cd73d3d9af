// A PostgreSQL of the tests' own, in a folder of its own, on a unix socket.
#ifndef HOST_STUB_STORE_TESTING_POSTGRES_SERVER_H_
#define HOST_STUB_STORE_TESTING_POSTGRES_SERVER_H_

#include <sys/types.h>

#include <string>
#include <vector>

namespace host_stub {

class PostgresServer {
 public:
  // Starts it, or ends the program with a line that says why not. `options`: of postgres, such as
  // "-c", "max_connections=20".
  // The data is in a new folder in `parent`: in memory, for tests that pull no plug.
  explicit PostgresServer(const std::vector<std::string>& options = {},
                          const std::string& parent = "/dev/shm");
  ~PostgresServer();
  PostgresServer(const PostgresServer&) = delete;
  PostgresServer& operator=(const PostgresServer&) = delete;

  // One for all tests of a program, which its end stops.
  static PostgresServer& Shared();

  // The URL of a new database: with our tables, or with nothing.
  std::string NewDatabase(bool with_tables = true);
  std::string UrlOf(const std::string& database) const;
  const std::string& folder() const { return folder_; }

 private:
  std::string folder_;
  pid_t pid_ = -1;
  int databases_ = 0;
  bool has_template_ = false;  // a database with our tables
};

}  // namespace host_stub

#endif  // HOST_STUB_STORE_TESTING_POSTGRES_SERVER_H_
