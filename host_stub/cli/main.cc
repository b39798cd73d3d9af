#include <CLI/CLI.hpp>
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "host_stub/cli/commands.h"
#include "host_stub/cli/connection.h"
#include "host_stub/cli/secret_arguments.h"

int main(int argc, char** argv) {
  CLI::App app("Receives webhooks and makes incidents of them.\n", "host_stub");
  app.require_subcommand(1);
  app.footer(
      "Exit status: 0 done; 1 the host refused; 2 wrong usage, or no host was reached.\n"
      "`host_stub COMMAND --help` shows a command's options and an example.");
  int exit_code = host_stub::kDone;
  host_stub::AddServeCommand(app, exit_code);
  host_stub::AddExecuteCommand(app, exit_code);
  host_stub::AddTestCommand(app, exit_code);
  host_stub::AddIncidentsCommand(app, exit_code);
  host_stub::AddInstancesCommand(app, exit_code);
  host_stub::AddUrlCommand(app, exit_code);
  host_stub::AddSamplesCommand(app, exit_code);
  host_stub::AddMapCommand(app, exit_code);
  try {
    std::vector<std::string> arguments = host_stub::TakeArguments(argc, argv);
    std::reverse(arguments.begin(), arguments.end());  // as CLI11 wants them
    app.parse(std::move(arguments));
  } catch (const CLI::ExtrasError&) {
    // CLI11 would show them, and a password may be among them.
    host_stub::PrintError(
        "there are arguments that this command does not take; see host_stub --help");
    return host_stub::kNotAsked;
  } catch (const CLI::ParseError& error) {
    // Help is an "error" of code 0.
    if (error.get_exit_code() == 0) return app.exit(error);
    host_stub::PrintError(std::string(error.what()) + "; see host_stub --help");
    return host_stub::kNotAsked;
  }
  return exit_code;
}
