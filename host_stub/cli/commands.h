// The commands of host_stub, as plain functions over their options. Each returns the exit code of
// the process. main.cc declares the options to the command line.
#ifndef HOST_STUB_CLI_COMMANDS_H_
#define HOST_STUB_CLI_COMMANDS_H_

#include <string>
#include <vector>

namespace host_stub {

// Exit codes.
constexpr int kDone = 0;
constexpr int kRefused = 1;   // the host was asked, and the answer is no
constexpr int kNotAsked = 2;  // wrong usage, or no host could be reached

struct ServeOptions {
  std::string plugin;
  std::string config;
  std::string data_dir;
  std::string http = "127.0.0.1:8080";
  std::string grpc = "127.0.0.1:50051";
  std::string admin = "127.0.0.1:8081";
  std::string admin_certificate;
  std::string admin_key;
  std::string admin_client_ca;
  std::vector<std::string> admin_token_files;
  std::vector<std::string> admin_names;
  int drain_delay_seconds = 0;
  std::string log_format = "text";
  std::string access_log = "off";
  std::string store;  // empty: what the configuration says
  std::string grpc_certificate;
  std::string grpc_key;
  std::string grpc_client_ca;
  std::string grpc_client_crl;
};
int Serve(const ServeOptions& options);

// Options of every command that asks a running host.
struct ClientOptions {
  std::string connect;  // unix:PATH or HOST:PORT; empty: the default data folder's control socket
  bool json = false;
  int timeout_seconds = 30;
  // PEM files. If `ca` and `certificate` are both empty, the connection is plain text.
  std::string ca;
  std::string certificate;
  std::string key;
  std::string name;  // the instance, where the command is about one
};

struct ExecuteOptions : ClientOptions {
  std::string data;
  std::string user;
  std::vector<std::string> headers;
  std::string method = "POST";
  std::string path;
  std::string query;
};
int Execute(const ExecuteOptions& options);

struct TryOptions : ExecuteOptions {
  std::string at;    // RFC 3339; empty: now
  std::string from;  // the sender's address
};
int Try(const TryOptions& options);

struct IncidentsOptions : ClientOptions {
  int limit = 20;
  std::string id;
  std::string instance;      // a filter; empty: all
  std::string instance_uid;  // likewise, as all up to `where`
  std::string type;
  std::string name_part;
  std::string since;  // RFC 3339, or how long ago
  std::string before;
  std::vector<std::string> where;  // PATH=VALUE
  std::string after;
  std::string format = "jsonl";
};
int ListIncidents(const IncidentsOptions& options);
int GetIncident(const IncidentsOptions& options);
int FollowIncidents(const IncidentsOptions& options);
int ExportIncidents(const IncidentsOptions& options);

struct InstanceOptions : ClientOptions {
  std::vector<std::string> parameters;  // KEY=VALUE, KEY=@FILE or KEY=@-
  std::string from_file;
  std::string etag;
  bool disabled = false;
  bool on_engine = false;
  bool validate_only = false;
  bool allow_missing = false;
};
int ListInstances(const InstanceOptions& options);
int GetInstance(const InstanceOptions& options);
int CreateInstance(const InstanceOptions& options);
int UpdateInstance(const InstanceOptions& options);
int EnableInstance(const InstanceOptions& options);
int DisableInstance(const InstanceOptions& options);
int DeleteInstance(const InstanceOptions& options);
int TestInstance(const InstanceOptions& options);
int ShowUrl(const InstanceOptions& options);

struct StoreOptions {
  std::string url;
  std::string config;
  std::string host_role;
};
int UpgradeStore(const StoreOptions& options);
int CheckStore(const StoreOptions& options);
int RekeyStore(const StoreOptions& options);

struct RefusalsOptions : ClientOptions {
  std::string reason;  // a filter; empty: all, as `name`
  int limit = 20;
  bool follow = false;
};
int ListRefusals(const RefusalsOptions& options);
int ShowStatus(const ClientOptions& options);

struct AuditOptions : ClientOptions {
  int limit = 20;
};
int ListAudit(const AuditOptions& options);

int ShowParameters(const ClientOptions& options);
int ShowLimits(const ClientOptions& options);
int ShowSources(const ClientOptions& options);

struct SamplesOptions : ClientOptions {
  std::string mapper_file;
};
int ShowSamples(const SamplesOptions& options);
int ListSampleFields(const SamplesOptions& options);
int MapSamples(const SamplesOptions& options);

}  // namespace host_stub

#endif  // HOST_STUB_CLI_COMMANDS_H_
