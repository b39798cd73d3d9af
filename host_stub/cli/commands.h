// The commands of host_stub. Each adds itself to the command line; when it is the chosen one it
// runs while the line is parsed, and sets the exit code.
#ifndef HOST_STUB_CLI_COMMANDS_H_
#define HOST_STUB_CLI_COMMANDS_H_

namespace CLI {
class App;
}

namespace host_stub {

void AddServeCommand(CLI::App& app, int& exit_code);
void AddExecuteCommand(CLI::App& app, int& exit_code);
void AddIncidentsCommand(CLI::App& app, int& exit_code);
void AddInstancesCommand(CLI::App& app, int& exit_code);
void AddTestCommand(CLI::App& app, int& exit_code);
void AddUrlCommand(CLI::App& app, int& exit_code);
void AddSamplesCommand(CLI::App& app, int& exit_code);
void AddMapCommand(CLI::App& app, int& exit_code);

}  // namespace host_stub

#endif  // HOST_STUB_CLI_COMMANDS_H_
