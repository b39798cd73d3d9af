#include "host_stub/store/testing/postgres_server.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "host_stub/store/postgres/connection.h"
#include "host_stub/store/postgres/schema.h"

namespace host_stub {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(60);

[[noreturn]] void Fail(const std::string& why) {
  std::fprintf(stderr, "the PostgreSQL of the tests: %s\n", why.c_str());
  std::exit(1);
}

std::unique_ptr<PostgresConnection> Connect(const std::string& url) {
  auto connection = PostgresConnection::Open({.url = url, .statement_timeout = absl::Seconds(60)});
  if (!connection.ok()) Fail(std::string(connection.status().message()));
  return *std::move(connection);
}

}  // namespace

// The tests' own folder has a path that is too long for a socket, and no other user can enter it.
PostgresServer::PostgresServer(const std::vector<std::string>& options, const std::string& parent)
    : folder_(parent + "/webhook-postgres-XXXXXX") {
  if (::mkdtemp(folder_.data()) == nullptr) Fail("no folder");
  const char* const program = "tools/postgres-server";
  std::vector<const char*> arguments = {program, folder_.c_str()};
  for (const std::string& option : options) arguments.push_back(option.c_str());
  arguments.push_back(nullptr);
  pid_ = ::fork();
  if (pid_ == 0) {
    const std::string log = folder_ + "/log";
    if (std::freopen(log.c_str(), "w", stderr) == nullptr ||
        std::freopen(log.c_str(), "a", stdout) == nullptr) {
      ::_exit(1);
    }
    ::execv(program, const_cast<char**>(arguments.data()));
    std::perror(program);
    ::_exit(1);
  }
  const absl::Time give_up = absl::Now() + kPatience;
  while (PQping(UrlOf("postgres").c_str()) != PQPING_OK) {
    if (absl::Now() > give_up || ::waitpid(pid_, nullptr, WNOHANG) != 0) {
      std::ifstream log(folder_ + "/log");
      std::cerr << log.rdbuf();
      Fail("it does not start");
    }
    absl::SleepFor(absl::Milliseconds(20));
  }
}

PostgresServer::~PostgresServer() {
  ::kill(pid_, SIGQUIT);  // without a checkpoint: nothing of it is needed again
  ::waitpid(pid_, nullptr, 0);
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

PostgresServer& PostgresServer::Shared() {
  static PostgresServer server;
  return server;
}

std::string PostgresServer::UrlOf(const std::string& database) const {
  return absl::StrCat("postgresql:///", database, "?host=", folder_, "&user=webhook");
}

std::string PostgresServer::NewDatabase(bool with_tables) {
  const std::string name = absl::StrCat("test", ++databases_);
  const auto run = [this](const std::string& database, const std::string& sql) {
    const absl::Status status = Connect(UrlOf(database))->RunScript(sql);
    if (!status.ok()) Fail(std::string(status.message()));
  };
  if (!with_tables) {
    run("postgres", absl::StrCat("CREATE DATABASE ", name));
    return UrlOf(name);
  }
  if (!std::exchange(has_template_, true)) {
    run("postgres", "CREATE DATABASE tables");
    const absl::Status status = UpgradePostgresSchema(*Connect(UrlOf("tables")), /*host_role=*/"");
    if (!status.ok()) Fail(std::string(status.message()));
  }
  run("postgres", absl::StrCat("CREATE DATABASE ", name, " TEMPLATE tables"));
  run(name,
      absl::StrCat("UPDATE generic_webhook.meta SET identity = lpad('", databases_, "', 16, '0')"));
  return UrlOf(name);
}

}  // namespace host_stub
