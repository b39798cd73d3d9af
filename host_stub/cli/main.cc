// The command line: which commands and options there are, and what a user is told about one that
// does not exist. CLI11 takes seconds to compile and is included here only.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "host_stub/cli/arguments.h"
#include "host_stub/cli/commands.h"
#include "host_stub/cli/text.h"
#include "host_stub/config/nearest_name.h"
#include "plugin/abi/long_running_integration.h"
#include "plugin/abi/version.h"

namespace host_stub {
namespace {

std::string VersionText() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  constexpr char kBuild[] = "sanitized";
#elif defined(NDEBUG)  // this file itself is never optimized
  constexpr char kBuild[] = "optimized";
#else
  constexpr char kBuild[] = "debug";
#endif
  return absl::StrCat("host_stub ", webhook::kVersion, ", plugin ABI 1.", LRI_ABI_MINOR, ", ",
                      kBuild, " build");
}

// An option whose default the help shows.
template <typename Value>
CLI::Option* AddOption(CLI::App& command, const char* name, Value& value, const char* type,
                       const std::string& description) {
  return command.add_option(name, value, description)->type_name(type)->capture_default_str();
}

void AddClientOptions(CLI::App& command, ClientOptions& options) {
  AddOption(
      command, "--connect", options.connect, "TARGET",
      "The host: unix:PATH or HOST:PORT (default: the control socket in " + DefaultDataDir() + ")");
  AddOption(command, "--ca", options.ca, "FILE.pem",
            "Use TLS; the host's certificate must be of this CA");
  AddOption(command, "--certificate", options.certificate, "FILE.pem",
            "Use TLS with this client certificate");
  AddOption(command, "--key", options.key, "FILE.pem", "The private key of --certificate");
  command.add_flag("--json", options.json, "Print JSON for programs");
  AddOption(command, "--timeout", options.timeout_seconds, "SECONDS",
            "Give up after this many seconds")
      ->check(CLI::Range(1, 3'600));
}

// Declares the commands, and runs the chosen one while it parses.
class CommandLine {
 public:
  CommandLine();

  // Returns the exit code.
  int Run(std::vector<std::string> arguments);

 private:
  template <typename Options>
  struct Command {
    CLI::App* app;
    std::shared_ptr<Options> options;
  };

  // A command with options of its own, to which CLI11 keeps references, and with those of a client
  // if it asks a host.
  template <typename Options>
  Command<Options> Add(CLI::App& parent, const char* name, const char* description,
                       const char* footer, int (*run)(const Options&)) {
    auto options = std::make_shared<Options>();
    CLI::App* const command = parent.add_subcommand(name, description)->footer(footer);
    command->callback([this, options, run] { exit_code_ = run(*options); });
    if constexpr (std::is_base_of_v<ClientOptions, Options>) AddClientOptions(*command, *options);
    return {command, options};
  }

  // Likewise, about the instance NAME.
  template <typename Options>
  Command<Options> AddForInstance(CLI::App& parent, const char* name, const char* description,
                                  const char* footer, int (*run)(const Options&)) {
    const auto command = Add(parent, name, description, footer, run);
    command.app->add_option("NAME", command.options->name, "The instance")->required();
    return command;
  }

  CLI::App& AddGroup(const char* name, const char* description, const char* footer) {
    return *app_.add_subcommand(name, description)->require_subcommand(1)->footer(footer);
  }

  void AddServe();
  void AddExecute();
  void AddTry();
  void AddRequestOptions(CLI::App& command, ExecuteOptions& options);
  void AddIncidents();
  void AddOperations();
  void AddInstances();
  void AddSamples();
  void AddStore();

  CLI::App app_{"Receives webhooks and creates incidents from them.\n", "host_stub"};
  int exit_code_ = kDone;
};

CommandLine::CommandLine() {
  app_.require_subcommand(1);
  app_.set_version_flag("--version", VersionText(), "Print the version and exit");
  app_.footer(
      "Exit status: 0 success; 1 the host refused; 2 wrong usage, or no host could be reached.\n"
      "`host_stub COMMAND --help` shows a command's options and an example.");
  AddServe();
  AddExecute();
  AddTry();
  AddForInstance(app_, "test", "Check an instance, as the Test button does",
                 "Prints \"ok\" or the reason. Example:\n  host_stub test webhook", &TestInstance);
  AddIncidents();
  AddOperations();
  AddInstances();
  AddForInstance(app_, "url", "Show where an instance is triggered, with a curl command to paste",
                 "Example:\n  host_stub url webhook", &ShowUrl);
  AddSamples();
  AddStore();
  Add(app_, "parameters", "Describe the parameters of an instance",
      "Example:\n  host_stub parameters", &ShowParameters);
  const auto sources =
      Add(app_, "sources", "List the senders that an instance's parameter source may name",
          "With NAME: what to configure there, what is checked, and what becomes of a body. "
          "Examples:\n  host_stub sources\n  host_stub sources github",
          &ShowSources);
  sources.app->add_option("NAME", sources.options->name, "Show this sender");
  Add(app_, "limits", "Describe the limits of the configuration file",
      "Example:\n  host_stub limits --json", &ShowLimits);
}

void CommandLine::AddServe() {
  const auto [command, options] =
      Add(app_, "serve", "Run a host until SIGTERM or SIGINT; SIGHUP reads the configuration again",
          "Example:\n  host_stub serve --config host.json --http 127.0.0.1:8080", &Serve);
  AddOption(*command, "--config", options->config, "FILE.json", "The configuration")->required();
  AddOption(*command, "--plugin", options->plugin, "FILE.so",
            "The integration (default: webhook_plugin.so beside this program)");
  AddOption(*command, "--data-dir", options->data_dir, "DIR",
            "The folder of the incidents (default: " + DefaultDataDir() + ")");
  AddOption(*command, "--http", options->http, "HOST:PORT",
            "The address for webhooks; port 0: any free port");
  AddOption(*command, "--grpc", options->grpc, "HOST:PORT",
            "The address for gRPC; port 0: any free port; off: the control socket alone");
  AddOption(*command, "--admin", options->admin, "HOST:PORT",
            "The address for metrics and health, or unix:PATH; port 0: any free port; off: none");
  AddOption(*command, "--admin-certificate", options->admin_certificate, "FILE.pem",
            "Serve --admin over TLS with this certificate chain");
  AddOption(*command, "--admin-key", options->admin_key, "FILE.pem",
            "The certificate's private key; refused if other users can read it");
  AddOption(*command, "--admin-client-ca", options->admin_client_ca, "FILE.pem",
            "Accept only clients with a certificate of this CA at --admin");
  command
      ->add_option("--admin-token-file", options->admin_token_files,
                   "A bearer token that metrics need from then on; can be repeated")
      ->type_name("FILE")
      ->allow_extra_args(false);
  command
      ->add_option("--admin-name", options->admin_names,
                   "A name by which --admin is asked, beside its address; can be repeated")
      ->type_name("NAME")
      ->allow_extra_args(false);
  AddOption(
      *command, "--drain-delay", options->drain_delay_seconds, "SECONDS",
      "When it is asked to stop: fail /readyz for so long before it refuses requests, so that "
      "balancers notice")
      ->check(CLI::Range(0, 3'600));
  AddOption(*command, "--log-format", options->log_format, "text|json",
            "Of the log, and of the access log: lines for people, or a JSON object on each line")
      ->check(CLI::IsMember({"text", "json"}));
  AddOption(
      *command, "--access-log", options->access_log, "FILE|-|off",
      "Write a line for each request there; -: standard output. SIGUSR1 opens the file again");
  AddOption(*command, "--store", options->store, "sqlite|postgresql|memory",
            "Where incidents are kept (default: in the database that the configuration names in "
            "`store`, or else with SQLite in --data-dir). With memory they are lost when the host "
            "ends")
      ->check(CLI::IsMember({"sqlite", "postgresql", "memory"}));
  AddOption(*command, "--grpc-certificate", options->grpc_certificate, "FILE.pem",
            "Serve --grpc over TLS with this certificate chain");
  AddOption(*command, "--grpc-key", options->grpc_key, "FILE.pem",
            "The certificate's private key; refused if other users can read it");
  AddOption(*command, "--grpc-client-ca", options->grpc_client_ca, "FILE.pem",
            "Accept only clients with a certificate of this CA, and serve them everything; needed "
            "for an address that other machines can reach");
  AddOption(*command, "--grpc-client-crl", options->grpc_client_crl, "FILE.pem",
            "Certificates that this CA has revoked; read at every connection");
}

void CommandLine::AddRequestOptions(CLI::App& command, ExecuteOptions& options) {
  AddOption(command, "-d,--data", options.data, "BODY",
            "The body: text, @FILE, or - for standard input");
  AddOption(command, "-u,--user", options.user, "USER:PASS",
            "Basic credentials. @FILE or @- reads them from a file or standard input: other users "
            "can read a command line while it runs");
  command
      .add_option("-H,--header", options.headers,
                  "A header; can be repeated. @FILE or @-: one header on each line")
      ->type_name("'Name: value'")
      ->allow_extra_args(false);
  AddOption(command, "-X,--request", options.method, "METHOD", "The method");
  AddOption(command, "--path", options.path, "REMAINDER",
            "The path after the instance's name, such as /extra");
  AddOption(command, "--query", options.query, "QUERY", "The query, without '?'");
}

void CommandLine::AddExecute() {
  const auto [command, options] = AddForInstance(
      app_, "execute", "Send a request to an instance",
      "Prints the body of the answer. The exit status is 0 only for a 2xx answer. Example:\n"
      "  host_stub execute webhook -u user:pass -d '{\"name\": \"first incident\"}'",
      &Execute);
  AddRequestOptions(*command, *options);
}

void CommandLine::AddTry() {
  const auto [command, options] = AddForInstance(
      app_, "try", "Show what would become of a request, step by step; nothing is created",
      "The exit status is 1 where it would be refused. Example:\n"
      "  host_stub try webhook -d @body.json -H @headers.txt --at 2024-05-01T10:00:00Z",
      &Try);
  AddRequestOptions(*command, *options);
  AddOption(*command, "--from", options->from, "ADDRESS",
            "The sender's address, for an instance with `allow`");
  AddOption(*command, "--at", options->at, "TIME",
            "The time at which the request is judged, as in 2024-05-01T10:00:00Z (default: now)");
}

void CommandLine::AddIncidents() {
  CLI::App& group = AddGroup("incidents", "Read the stored incidents",
                             "Examples:\n  host_stub incidents list --limit 5\n"
                             "  host_stub incidents list --since 1h --where status=firing");
  const auto list = Add(group, "list", "Show the newest incidents",
                        "Example:\n  host_stub incidents list --limit 5", &ListIncidents);
  AddOption(*list.app, "--limit", list.options->limit, "N", "Show at most this many")
      ->check(CLI::Range(1, 1'000'000));
  const auto get = Add(group, "get", "Show one incident with its details",
                       "Example:\n  host_stub incidents get 1", &GetIncident);
  get.app->add_option("ID", get.options->id, "The incident's id")->required();
  const auto follow = Add(group, "follow", "Show incidents as they are created",
                          "Ends with Ctrl-C. With --json, each line is one document. Example:\n"
                          "  host_stub incidents follow --json",
                          &FollowIncidents);
  AddOption(*follow.app, "--after", follow.options->after, "ID",
            "Begin after the incident with this id; 0: with the first");
  const auto all = Add(group, "export", "Print all incidents with their details, oldest first",
                       "Each line is one JSON document. Example:\n"
                       "  host_stub incidents export --since 24h > incidents.jsonl",
                       &ExportIncidents);
  AddOption(*all.app, "--format", all.options->format, "jsonl", "The format")
      ->check(CLI::IsMember({"jsonl"}));
  AddOption(*all.app, "--after", all.options->after, "ID",
            "Begin after the incident with this id, to continue an export");
  for (const auto& [command, options] : {list, follow, all}) {
    AddOption(*command, "--instance", options->instance, "NAME", "Only incidents of this instance");
    AddOption(*command, "--instance-uid", options->instance_uid, "UID",
              "Only incidents of the instance with this uid, which may have been deleted");
    AddOption(*command, "--type", options->type, "TYPE", "Only incidents of this type");
    AddOption(*command, "--name", options->name_part, "TEXT",
              "Only incidents with this text in their name; ASCII letters in any case");
    AddOption(*command, "--since", options->since, "TIME",
              "Only incidents stored since then: 2024-05-01T10:00:00Z, or how long ago, as in 90m");
    AddOption(*command, "--before", options->before, "TIME", "Only incidents stored before then");
    command
        ->add_option("--where", options->where,
                     "Only incidents whose details have this value, as in "
                     "'alerts[0].labels.severity=critical'; can be repeated")
        ->type_name("PATH=VALUE")
        ->allow_extra_args(false);
  }
}

void CommandLine::AddOperations() {
  const auto audit = Add(app_, "audit", "Show who changed what, newest first",
                         "Example:\n  host_stub audit --limit 5", &ListAudit);
  AddOption(*audit.app, "--limit", audit.options->limit, "N", "Show at most this many")
      ->check(CLI::Range(1, 100'000));
  Add(app_, "status", "Show how the host is", "Example:\n  host_stub status", &ShowStatus);
  const auto refusals =
      Add(app_, "refusals", "Show requests and connections that were refused recently, and why",
          "With NAME: only of this instance. Examples:\n  host_stub refusals\n  host_stub refusals "
          "webhook --reason credentials --follow",
          &ListRefusals);
  refusals.app->add_option("NAME", refusals.options->name, "The instance");
  AddOption(*refusals.app, "--reason", refusals.options->reason, "REASON",
            "Only with this reason, such as credentials or signature");
  AddOption(*refusals.app, "--limit", refusals.options->limit, "N", "Show at most this many")
      ->check(CLI::Range(1, 100'000));
  refusals.app->add_flag("--follow", refusals.options->follow,
                         "Go on with those that come; ends with Ctrl-C");
}

void CommandLine::AddInstances() {
  CLI::App& group = AddGroup("instances", "Show, create and change instances",
                             "Example:\n  host_stub instances list");
  Add(group, "list", "Show all instances, without their secrets",
      "Example:\n  host_stub instances list --json", &ListInstances);
  AddForInstance(group, "get", "Show one instance, without its secrets",
                 "Example:\n  host_stub instances get webhook", &GetInstance);
  const auto create = AddForInstance(
      group, "create", "Create an instance and start it",
      "Example:\n  host_stub instances create webhook -p longRunningPort=8000 -p username=user "
      "-p password=@secret.txt",
      &CreateInstance);
  const auto update =
      AddForInstance(group, "update", "Change parameters without dropping a request",
                     "Example:\n  host_stub instances update webhook -p password=@new-secret.txt",
                     &UpdateInstance);
  for (const auto& [command, options] : {create, update}) {
    command
        ->add_option("-p,--parameter", options->parameters,
                     "A documented parameter; KEY= unsets it. KEY=@FILE reads the value from a "
                     "file, KEY=@- from standard input. Use these for secrets: other users can "
                     "read a command line while it runs")
        ->type_name("KEY=VALUE")
        ->take_all();
    AddOption(*command, "--from-file", options->from_file, "FILE.json",
              "Parameters as a JSON object");
    command->add_flag("--validate-only", options->validate_only,
                      "Check everything, change nothing");
  }
  create.app->add_flag("--disabled", create.options->disabled, "Do not start it");
  create.app->add_flag("--engine", create.options->on_engine, "It runs on an engine");
  const auto enable =
      AddForInstance(group, "enable", "Let an instance serve",
                     "Example:\n  host_stub instances enable webhook", &EnableInstance);
  const auto disable =
      AddForInstance(group, "disable", "Drain an instance and keep it",
                     "Example:\n  host_stub instances disable webhook", &DisableInstance);
  const auto remove =
      AddForInstance(group, "delete", "Drain an instance and remove it; its incidents stay",
                     "Example:\n  host_stub instances delete webhook", &DeleteInstance);
  remove.app->add_flag("--allow-missing", remove.options->allow_missing,
                       "Succeed also if there is no such instance");
  for (const auto& [command, options] : {update, enable, disable, remove}) {
    AddOption(*command, "--etag", options->etag, "ETAG",
              "Refuse if somebody else has changed the instance");
  }
}

void CommandLine::AddStore() {
  CLI::App& group = AddGroup("store", "Make, upgrade and check the database that hosts share",
                             "Example:\n  host_stub store check --config host.json");
  const auto init =
      Add(group, "init", "Make the tables in an empty database",
          "Example:\n  host_stub store init --config host.json --host-role webhook", &UpgradeStore);
  const auto upgrade =
      Add(group, "upgrade", "Bring the tables up to this program's version, while hosts serve",
          "Example:\n  host_stub store upgrade --config host.json", &UpgradeStore);
  const auto check =
      Add(group, "check", "Say what is wrong with the server, and what a 200 is worth",
          "The exit status is 1 if there is a fault. Example:\n"
          "  host_stub store check --config host.json",
          &CheckStore);
  const auto rekey =
      Add(group, "rekey", "Seal the instances' configurations with the first key anew",
          "Hosts may serve meanwhile. Example:\n  host_stub store rekey --config host.json",
          &RekeyStore);
  AddOption(*rekey.app, "--config", rekey.options->config, "FILE.json",
            "The hosts' configuration, with the database and the keys in `store`");
  for (const auto& [command, options] : {init, upgrade, check}) {
    AddOption(*command, "--config", options->config, "FILE.json",
              "The hosts' configuration, which names the database in `store`");
    AddOption(*command, "--store", options->url, "URL",
              "The database, as in postgresql://HOST/DATABASE?user=NAME. Other users can read a "
              "command line: keep the password in ~/.pgpass");
  }
  for (const auto& [command, options] : {init, upgrade}) {
    AddOption(*command, "--host-role", options->host_role, "NAME",
              "Let this role use the tables, which it need not own");
  }
}

void CommandLine::AddSamples() {
  const auto samples = Add(
      app_, "samples", "Show the incidents that an instance kept as samples",
      "Examples:\n  host_stub samples webhook\n  host_stub samples fields webhook", &ShowSamples);
  const CLI::Option* const name =
      samples.app->add_option("NAME", samples.options->name, "The instance");
  const CLI::App* const fields =
      AddForInstance(*samples.app, "fields", "List every path that occurs in the samples",
                     "Example:\n  host_stub samples fields webhook", &ListSampleFields)
          .app;
  // CLI11 calls this also after the callback of `fields`.
  samples.app->callback([this, samples, name, fields] {
    if (fields->parsed()) return;
    if (name->empty()) throw CLI::RequiredError("NAME");
    exit_code_ = ShowSamples(*samples.options);
  });
  const auto map = AddForInstance(
      app_, "map", "Show what a mapper would make of an instance's samples",
      "The mapper is a file such as {\"severity\": {\"path\": \"alert.level\", \"default\": 1}}.\n"
      "Example:\n  host_stub map webhook --mapper mapper.json",
      &MapSamples);
  AddOption(*map.app, "--mapper", map.options->mapper_file, "FILE.json",
            "A path for each target field, with a default")
      ->required();
}

// The last command that was recognized: `instances` of `host_stub instances frob`.
const CLI::App& LastCommand(const CLI::App& app) {
  const auto commands = app.get_subcommands();
  return commands.empty() ? app : LastCommand(*commands.front());
}

std::string WholeName(const CLI::App& app) {
  const CLI::App* const parent = app.get_parent();
  return parent == nullptr ? app.get_name() : WholeName(*parent) + " " + app.get_name();
}

// Commands consist of letters and hyphens. Any other word may be a secret in the wrong place, which
// must not be shown.
bool LooksLikeACommand(absl::string_view word) {
  constexpr size_t kLongestCommand = 20;
  return !word.empty() && word.size() <= kLongestCommand && word[0] != '-' &&
         std::all_of(word.begin(), word.end(), [](char c) {
           return absl::ascii_isalpha(static_cast<unsigned char>(c)) || c == '-';
         });
}

// What to say where `app` needs one of its commands.
std::string ExplainMissingCommand(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    names.push_back(command->get_name());
  }
  const std::vector<absl::string_view> known(names.begin(), names.end());
  const std::vector<std::string> rest = app.remaining();
  if (rest.empty()) return absl::StrCat("a command is missing; ", DidYouMean("", known));
  if (!LooksLikeACommand(rest.front())) {
    return absl::StrCat("unknown command; ", DidYouMean("", known));
  }
  return absl::StrCat("unknown command \"", rest.front(), "\"; ", DidYouMean(rest.front(), known));
}

int CommandLine::Run(std::vector<std::string> arguments) {
  std::string message;
  try {
    std::reverse(arguments.begin(), arguments.end());  // the order that CLI11 wants
    app_.parse(std::move(arguments));
    return exit_code_;
  } catch (const CLI::ExtrasError&) {
    // CLI11's own message shows the arguments, and a password may be among them.
    message = "the command was given arguments that it does not take";
  } catch (const CLI::ParseError& error) {
    // --help and --version are "errors" with code 0.
    if (error.get_exit_code() == 0) return app_.exit(error);
    const CLI::App& command = LastCommand(app_);
    message = command.get_require_subcommand_min() > 0 ? ExplainMissingCommand(command)
                                                       : std::string(error.what());
  }
  return Fail(absl::StrCat(message, "; see ", WholeName(LastCommand(app_)), " --help"), kNotAsked);
}

}  // namespace
}  // namespace host_stub

int main(int argc, char** argv) {
  return host_stub::CommandLine().Run(host_stub::TakeArguments(argc, argv));
}
