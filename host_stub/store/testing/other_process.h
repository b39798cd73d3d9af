// Another process that has a database open, like a person's sqlite3.
#ifndef HOST_STUB_STORE_TESTING_OTHER_PROCESS_H_
#define HOST_STUB_STORE_TESTING_OTHER_PROCESS_H_

#include <sys/types.h>

#include <string>

namespace host_stub {

// The constructor forks the process, so construct it while no other thread is running. The
// destructor ends the process.
class OtherProcess {
 public:
  // Each Open runs `sql`. A transaction that it begins stays open.
  OtherProcess(std::string database, std::string sql);
  ~OtherProcess();
  OtherProcess(const OtherProcess&) = delete;
  OtherProcess& operator=(const OtherProcess&) = delete;

  pid_t pid() const { return pid_; }
  bool is_open() const { return is_open_; }
  // False: SQLite refuses.
  bool Open();
  // Closes the database without a checkpoint. Does nothing if it is not open.
  void Close();

 private:
  bool Ask(char command);

  pid_t pid_ = -1;
  int commands_ = -1;
  int answers_ = -1;
  bool is_open_ = false;
};

}  // namespace host_stub

#endif  // HOST_STUB_STORE_TESTING_OTHER_PROCESS_H_
