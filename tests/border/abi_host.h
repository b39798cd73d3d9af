// A host of a few lines, for tests that look at the plugin through its table alone.
#ifndef TESTS_BORDER_ABI_HOST_H_
#define TESTS_BORDER_ABI_HOST_H_

#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "plugin/abi/long_running_integration.h"

namespace border {

using Pairs = std::vector<std::pair<std::string, std::string>>;

inline constexpr char kPlugin[] = "plugin/webhook_plugin.so";

inline lri_view View(const std::string& text) { return {text.data(), text.size()}; }
inline std::string Text(lri_view view) { return std::string(view.data, view.size); }

// A loaded shared object; ends the test's process with a line where it cannot be loaded.
class LoadedPlugin {
 public:
  explicit LoadedPlugin(const char* file = kPlugin);
  ~LoadedPlugin() { Unload(); }
  LoadedPlugin(const LoadedPlugin&) = delete;
  LoadedPlugin& operator=(const LoadedPlugin&) = delete;

  const lri_plugin_table* operator->() const { return table_; }
  const lri_plugin_table& table() const { return *table_; }
  void Unload();

 private:
  void* handle_ = nullptr;
  const lri_plugin_table* table_ = nullptr;
};

// Creates every batch at once, unless a test sets a function in place of its own. Thread-safe; what
// it allocates itself is spared from failing.
class AbiHost {
 public:
  AbiHost();
  AbiHost(const AbiHost&) = delete;
  AbiHost& operator=(const AbiHost&) = delete;

  lri_host* table() { return &table_; }

  struct Answered {
    lri_call* call;
    int status;
    std::string body;
  };
  std::vector<Answered> TakeAnswers();
  int64_t incidents() const;

  // Calls a batch's done: kCreated with an id for each incident, `count` of them if that is not -1.
  static void Done(const lri_incident_batch& batch, int64_t count = -1);

  // In place of creating. Returns what create_incidents returns.
  std::function<int32_t(const lri_incident_batch&)> create;
  // Besides keeping the answer.
  std::function<void(lri_call*, const lri_answer&)> completed;

 private:
  static AbiHost& From(void* context) { return *static_cast<AbiHost*>(context); }
  int32_t Create(const lri_incident_batch& batch);

  lri_host table_{};
  mutable std::mutex mutex_;  // guards the two below
  std::vector<Answered> answers_;
  int64_t incidents_ = 0;
};

// lri_instance_options that own their texts.
class Options {
 public:
  explicit Options(Pairs parameters, std::string name = "webhook",
                   std::string product = "XSOAR_8_ON_PREM");
  Options(const Options&) = delete;
  Options& operator=(const Options&) = delete;
  lri_instance_options* abi() { return &options_; }

 private:
  Pairs parameters_;
  std::string name_, product_, url_;
  std::vector<lri_pair> pairs_;
  lri_instance_options options_{};
};

// A POST that owns its texts; the padding behind its body is readable.
class Post {
 public:
  explicit Post(std::string body, Pairs headers = {}, lri_call* call = nullptr);
  Post(const Post&) = delete;
  Post& operator=(const Post&) = delete;
  lri_request* abi() { return &request_; }
  lri_request_head* head() { return &head_; }

 private:
  std::string method_ = "POST", path_ = "/xsoar/instance/execute/webhook", body_, address_;
  Pairs headers_;
  std::vector<lri_pair> pairs_;
  lri_request_head head_{};
  lri_request request_{};
};

// `user` and `pass`, and the header that carries them.
Pairs Basic();
std::pair<std::string, std::string> BasicHeader();

// A port of 127.0.0.1 that nobody listened on a moment ago.
std::string FreePort();

}  // namespace border

#endif  // TESTS_BORDER_ABI_HOST_H_
