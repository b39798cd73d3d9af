#include <CLI/CLI.hpp>
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "host_stub/cli/commands.h"
#include "host_stub/cli/connection.h"
#include "host_stub/cli/secret_arguments.h"

namespace {

// The command that was reached: `instances` of `host_stub instances frob`.
const CLI::App* Reached(const CLI::App* app) {
  while (!app->get_subcommands().empty()) app = app->get_subcommands().front();
  return app;
}

std::string WholeName(const CLI::App* app) {
  const CLI::App* const parent = app->get_parent();
  return parent == nullptr ? app->get_name() : WholeName(parent) + " " + app->get_name();
}

// Not what stood in the command's place: it may be a secret that was put there by mistake.
std::string CommandsOf(const CLI::App* app) {
  std::string names;
  for (const CLI::App* command : app->get_subcommands([](const CLI::App*) { return true; })) {
    names += (names.empty() ? "" : ", ") + command->get_name();
  }
  return names;
}

std::string Explain(const CLI::App* app, const CLI::ParseError& error) {
  const bool lacks_command = app->get_require_subcommand_min() > 0;
  const std::string what =
      lacks_command ? "say one of these commands after " + WholeName(app) + ": " + CommandsOf(app)
                    : error.what();
  return what + "; see " + WholeName(app) + " --help";
}

}  // namespace

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
    host_stub::PrintError("there are arguments that this command does not take; see " +
                          WholeName(Reached(&app)) + " --help");
    return host_stub::kNotAsked;
  } catch (const CLI::ParseError& error) {
    // Help is an "error" of code 0.
    if (error.get_exit_code() == 0) return app.exit(error);
    host_stub::PrintError(Explain(Reached(&app), error));
    return host_stub::kNotAsked;
  }
  return exit_code;
}
