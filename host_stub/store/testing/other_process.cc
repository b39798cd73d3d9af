#include "host_stub/store/testing/other_process.h"

#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <utility>

namespace host_stub {
namespace {

constexpr char kOpen = 'o';
constexpr char kClose = 'c';
constexpr char kDone = 'd';

sqlite3* OpenDatabase(const std::string& database, const std::string& sql) {
  sqlite3* handle = nullptr;
  if (sqlite3_open_v2(database.c_str(), &handle, SQLITE_OPEN_READWRITE, "unix") == SQLITE_OK) {
    sqlite3_db_config(handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
    if (sqlite3_exec(handle, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK) return handle;
  }
  sqlite3_close(handle);
  return nullptr;
}

[[noreturn]] void Obey(const std::string& database, const std::string& sql, int commands,
                       int answers) {
  sqlite3* handle = nullptr;
  for (char command = 0; read(commands, &command, 1) == 1;) {
    char answer = kDone;
    if (command == kOpen) {
      handle = OpenDatabase(database, sql);
      if (handle == nullptr) answer = 0;
    } else {
      sqlite3_close(std::exchange(handle, nullptr));
    }
    if (write(answers, &answer, 1) != 1) break;
  }
  _exit(0);
}

}  // namespace

OtherProcess::OtherProcess(std::string database, std::string sql) {
  int commands[2];
  int answers[2];
  if (pipe(commands) != 0 || pipe(answers) != 0) std::abort();
  pid_ = fork();
  if (pid_ < 0) std::abort();
  if (pid_ == 0) {
    close(commands[1]);
    close(answers[0]);
    Obey(database, sql, commands[0], answers[1]);
  }
  close(commands[0]);
  close(answers[1]);
  commands_ = commands[1];
  answers_ = answers[0];
}

OtherProcess::~OtherProcess() {
  close(commands_);
  close(answers_);
  waitpid(pid_, nullptr, 0);
}

bool OtherProcess::Open() { return is_open_ = Ask(kOpen); }

void OtherProcess::Close() {
  if (std::exchange(is_open_, false)) Ask(kClose);
}

bool OtherProcess::Ask(char command) {
  char answer = 0;
  return write(commands_, &command, 1) == 1 && read(answers_, &answer, 1) == 1 && answer == kDone;
}

}  // namespace host_stub
