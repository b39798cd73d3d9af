// The plugin's table, called in any order that the header permits, and with the mistakes that the
// header says are answered: each execute that is taken is completed once, each command is done
// once, nothing is created without credentials, nothing is read after its time, nothing leaks.
//
// The input is a list of steps: a byte that names the step, and what that step reads.
#include <ctime>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "plugin/testing/entry_fuzz_host.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/strict_json.h"

extern "C" const lri_plugin_table* lri_plugin_entry_v1(uint32_t);

namespace webhook {
namespace {

using fuzz::Input;
using fuzz::IsMessage;
using fuzz::MayBeJson;
using fuzz::Require;
using Texts = std::vector<std::pair<std::string, std::string>>;

lri_view View(const std::string& text) { return {text.data(), text.size()}; }

enum class Credentials { kNone, kBasic, kHeader };

struct Configured {
  Credentials credentials;
  Texts parameters;
  bool valid = true;
};

// The listen port has a fuzz target of its own (plugin/http); here it would only cost time.
const std::vector<Configured>& Configurations() {
  static const auto* const all = new std::vector<Configured>{
      {Credentials::kNone, {}},
      {Credentials::kBasic, {{"username", "user"}, {"password", "pass"}}},
      {Credentials::kHeader, {{"username", "_header:X-Token"}, {"password", "secret"}}},
      {Credentials::kBasic,
       {{"username", "user"}, {"password", "pass"}, {"store_samples", "true"}}},
      {Credentials::kNone,
       {{"store_samples", "true"},
        {"incidentType", "T\"\n"},
        {"duplication_key", "id, headers.x-id"},
        {"mirror_direction", "Incoming And Outgoing"},
        {"mirror_tags", "a,\"b\""}}},
      {Credentials::kBasic,
       {{"username", "user"}, {"passwords", R"([{"password":"pass"},{"password":"other"}])"}}},
      {Credentials::kNone, {{"password", "pass"}}, false},
      {Credentials::kNone, {{"a\nb\xff", "x"}}, false},
      {Credentials::kNone, {{"duplication_key", "[\"\xff\n"}}, false},
      {Credentials::kNone, {{"mirror_direction", "\x01"}}, false},
  };
  return *all;
}

enum class State { kNone, kStopped, kServing, kStopping };

struct Slot {
  State state = State::kNone;
  lri_instance* instance = nullptr;
  const Configured* configured = nullptr;
  lri_update* update = nullptr;
  const Configured* next = nullptr;
  uint64_t ticket = 0;  // of a head that was checked with the right credentials
};

class Driver {
 public:
  explicit Driver(Input& input) : input_(input) {
    const std::string name = "calls_in_flight", value = "4";
    const lri_pair pair{View(name), View(value)};
    const lri_plugin_options options{sizeof options, 1, {&pair, 1, sizeof pair}};
    Require(table_.plugin_create(host_.table(), &options, &plugin_, nullptr) == LRI_OK);
    host_.nested = [this] { Execute(slots_[0], true); };
  }

  ~Driver() {
    for (Slot& slot : slots_) Destroy(slot);
    table_.plugin_destroy(plugin_);
    for (const std::unique_ptr<int>& done : commands_) Require(*done == 1);
  }

  void Run() {
    while (!input_.empty()) Step();
  }

 private:
  void Step() {
    const size_t step = input_.Below(16);
    Slot& slot = slots_[input_.Below(std::size(slots_))];
    switch (step) {
      case 0:
        return Create(slot);
      case 1:
        return Start(slot);
      case 2:
        return CheckHead(slot);
      case 3:
      case 4:
      case 5:
        return Execute(slot, false);
      case 6:
        if (slot.instance != nullptr) table_.cancel(slot.instance, host_.AnyCall(input_.Byte()));
        return;
      case 7:
        host_.FinishBatch(input_.Byte());
        return;
      case 8:
        return Prepare(slot);
      case 9:
        return Resolve(slot, input_.Below(2) == 0);
      case 10:
        return Command(slot);
      case 11:
        return Stop(slot, 0);
      case 12:
        return Destroy(slot);
      case 13:
        return Describe(slot);
      case 14:
        return ChooseReplies();
      default:
        host_.FinishContext(input_.Byte());
        return Misuse();
    }
  }

  int32_t WithOptions(const Configured& configured,
                      const std::function<int32_t(const lri_instance_options&)>& use) {
    const std::string name = "webhook", product = "XSOAR_8_ON_PREM", url = "https://h";
    std::vector<lri_pair> pairs;
    for (const auto& [key, value] : configured.parameters)
      pairs.push_back({View(key), View(value)});
    lri_instance_options options{};
    options.struct_size = sizeof options;
    options.host_instance = reinterpret_cast<lri_host_instance*>(&options);
    options.name = View(name);
    options.product = View(product);
    options.platform_url = View(url);
    options.parameters = {pairs.data(), pairs.size(), sizeof(lri_pair)};
    return use(options);
  }

  const Configured& AnyConfigured() {
    return Configurations()[input_.Below(Configurations().size())];
  }

  void Create(Slot& slot) {
    if (slot.state != State::kNone) return;
    const Configured& configured = AnyConfigured();
    FuzzError error(input_.Below(3));
    const int32_t code = error.Checked(WithOptions(configured, [&](const auto& options) {
      return table_.create(plugin_, &options, &slot.instance, error.get());
    }));
    Require(code == (configured.valid ? LRI_OK : LRI_INVALID_ARGUMENT));
    if (code != LRI_OK) return;
    slot.state = State::kStopped;
    slot.configured = &configured;
  }

  void Start(Slot& slot) {
    if (slot.state != State::kStopped && slot.state != State::kServing) return;
    FuzzError error(input_.Below(3));
    const int32_t code = error.Checked(table_.start(slot.instance, error.get()));
    const bool refused = slot.state == State::kServing || slot.update != nullptr;
    Require(code == (refused ? LRI_FAILED_PRECONDITION : LRI_OK));
    if (code == LRI_OK) slot.state = State::kServing;
  }

  // A request that may be almost right, and whether its credentials are.
  FuzzRequest AnyRequest(const Slot& slot, bool& may_create) {
    static constexpr const char* kMethods[] = {"POST", "POST", "POST", "GET", ""};
    static constexpr const char* kRemainders[] = {"", "", "/", "/other"};
    static constexpr const char* kBodies[] = {
        "{}", "[]", R"({"name":"n","rawJson":{"a":1},"occurred":"x"})", R"([{"id":1},{},{}])",
        R"({"headers":{},"mirror_tags":1,"x":"\ud83d\ude00"})"};
    FuzzRequest request;
    request.method = kMethods[input_.Below(std::size(kMethods))];
    request.remainder = kRemainders[input_.Below(std::size(kRemainders))];
    const size_t sent = input_.Byte();
    if (sent & 1) request.headers.emplace_back("authorization", "Basic dXNlcjpwYXNz");
    if (sent & 2) request.headers.emplace_back("X-TOKEN", "secret");
    static constexpr const char* kCodings[] = {"gzip", "deflate", "br", "zstd"};
    if (sent & 4)
      request.headers.emplace_back("Content-Encoding", kCodings[sent / 8 % 2 + sent / 32 % 2 * 2]);
    if (sent & 16) {
      request.headers.emplace_back(std::string(input_.Text()), std::string(input_.Text()));
    }
    const size_t body = input_.Below(std::size(kBodies) + 1);
    request.body = body < std::size(kBodies) ? kBodies[body] : std::string(input_.Text());
    may_create = false;
    if (slot.configured != nullptr) {
      const Credentials wanted = slot.configured->credentials;
      // What the fuzzer makes up may be right too.
      may_create = wanted == Credentials::kNone || (sent & 16) != 0 ||
                   (wanted == Credentials::kBasic ? (sent & 1) != 0 : (sent & 2) != 0);
    }
    return request;
  }

  void CheckHead(Slot& slot) {
    if (slot.instance == nullptr) return;
    bool may_create = false;
    const FuzzRequest request = AnyRequest(slot, may_create);
    std::vector<lri_pair> pairs;
    for (const auto& [key, value] : request.headers) pairs.push_back({View(key), View(value)});
    lri_request_head head{};
    head.struct_size = sizeof head;
    head.method = View(request.method);
    head.remainder = View(request.remainder);
    head.headers = {pairs.data(), pairs.size(), sizeof(lri_pair)};
    head.content_length = input_.Below(2) == 0 ? LRI_LENGTH_UNKNOWN : request.body.size();
    lri_head_verdict verdict{};
    verdict.struct_size = sizeof verdict;
    int answers = 0;
    const int32_t code = table_.check_head(
        slot.instance, &head,
        [](void* count, const lri_answer* answer) {
          Require(answer->status >= 400 && IsMessage(Copied(answer->body)));
          ++*static_cast<int*>(count);
        },
        &answers, &verdict);
    Require(code == (slot.state == State::kServing ? LRI_OK : LRI_UNAVAILABLE));
    Require(answers == (code == LRI_OK && verdict.refused == 1 ? 1 : 0));
    if (code != LRI_OK) return;
    Require(verdict.refused <= 1 && verdict.body_limit_bytes > 0);
    Require((verdict.ticket == 0) == (verdict.refused == 1));
    if (verdict.refused == 1) return;
    Require(may_create);
    const int32_t executed =
        host_.Execute(table_, slot.instance, request, verdict.ticket, may_create);
    Require(executed == LRI_OK || executed == LRI_UNAVAILABLE);
  }

  void Execute(Slot& slot, bool nested) {
    if (slot.instance == nullptr) return;
    bool may_create = false;
    const FuzzRequest request = AnyRequest(slot, may_create);
    const size_t before = host_.calls_in_flight();
    const int32_t code = host_.Execute(table_, slot.instance, request, 0, may_create);
    if (slot.state != State::kServing) {
      Require(code == LRI_UNAVAILABLE);
    } else if (before < 4 && !nested) {
      Require(code == LRI_OK);
    } else {
      Require(code == LRI_OK || code == LRI_UNAVAILABLE);
    }
  }

  void Prepare(Slot& slot) {
    if (slot.instance == nullptr || slot.update != nullptr) return;
    const Configured& configured = AnyConfigured();
    FuzzError error(input_.Below(3));
    const int32_t code = error.Checked(WithOptions(configured, [&](const auto& options) {
      return table_.update_prepare(slot.instance, &options, &slot.update, error.get());
    }));
    Require(code == (configured.valid ? LRI_OK : LRI_INVALID_ARGUMENT));
    if (code == LRI_OK) slot.next = &configured;
  }

  void Resolve(Slot& slot, bool commit) {
    if (slot.update == nullptr) return;
    if (commit) {
      table_.update_commit(slot.update);
      slot.configured = slot.next;
    } else {
      table_.update_abort(slot.update);
    }
    slot.update = nullptr;
  }

  void Command(Slot& slot) {
    static constexpr const char* kNames[] = {"test", "samples", "fields", "map", "try", "no such"};
    if (slot.instance == nullptr) return;
    const size_t index = input_.Below(std::size(kNames));
    // Copies that end with the call.
    const std::string name = kNames[index];
    std::string arguments(input_.Text());
    if (arguments.empty() && name == "map") arguments = R"({"mapper":{"t":"name"}})";
    auto count = std::make_unique<int>(0);
    const int32_t code = table_.command(
        slot.instance, View(name), View(arguments),
        [](void* context, int32_t result_code, lri_view result) {
          ++*static_cast<int*>(context);
          const std::string text = Copied(result);
          Require(result_code == LRI_OK ? MayBeJson(text) : IsMessage(text));
        },
        count.get());
    if (index >= 4) Require(code == (index == 4 ? LRI_UNIMPLEMENTED : LRI_NOT_FOUND));
    if (code == LRI_OK) {
      commands_.push_back(std::move(count));
    } else {
      Require(*count == 0);
    }
  }

  void Stop(Slot& slot, int64_t deadline_mono_ns) {
    if (slot.instance == nullptr) return;
    FuzzError error(input_.Below(3));
    const int32_t code = error.Checked(table_.stop(slot.instance, deadline_mono_ns, error.get()));
    Require(code == LRI_OK || code == LRI_DEADLINE_EXCEEDED);
    slot.state = code == LRI_OK ? State::kStopped : State::kStopping;
  }

  void Destroy(Slot& slot) {
    if (slot.instance == nullptr) return;
    Resolve(slot, false);
    // Whatever is held is let go, and then nothing may keep the instance.
    host_.SetContext(Reply::kNow, LRI_NOT_FOUND, "");
    host_.creation = Reply::kNow;
    for (bool first = true; first || slot.state != State::kStopped; first = false) {
      while (host_.FinishBatch(0) || host_.FinishContext(0)) {
      }
      timespec now{};
      clock_gettime(CLOCK_MONOTONIC, &now);
      Stop(slot, now.tv_sec * 1'000'000'000 + now.tv_nsec + 100'000'000);
    }
    table_.destroy(slot.instance);
    slot = Slot();
  }

  void Describe(Slot& slot) {
    table_.info([](void*, const lri_plugin_info* info) { Require(IsMessage(Copied(info->name))); },
                nullptr);
    if (slot.instance == nullptr) return;
    int calls = 0;
    Require(table_.describe(
                slot.instance,
                [](void* count, const lri_description* description) {
                  Require(IsMessage(Copied(description->path_prefix)));
                  for (size_t i = 0; i < description->warnings.count; ++i) {
                    Require(IsMessage(Copied(description->warnings.data[i])));
                  }
                  ++*static_cast<int*>(count);
                },
                &calls) == LRI_OK);
    Require(calls == 1);
  }

  void ChooseReplies() {
    static constexpr int32_t kOutcomes[] = {LRI_CREATED, LRI_CREATED, LRI_NOT_CREATED,
                                            LRI_NOT_KNOWN};
    static constexpr int32_t kCodes[] = {LRI_UNAVAILABLE, LRI_DEADLINE_EXCEEDED, LRI_INTERNAL,
                                         LRI_RESOURCE_EXHAUSTED};
    constexpr size_t kReplies = static_cast<size_t>(Reply::kCount);
    host_.creation = static_cast<Reply>(input_.Below(kReplies));
    host_.outcome = kOutcomes[input_.Below(std::size(kOutcomes))];
    host_.outcome_code = kCodes[input_.Below(std::size(kCodes))];
    const auto context = static_cast<Reply>(input_.Below(kReplies));
    static constexpr int32_t kContextCodes[] = {LRI_OK, LRI_NOT_FOUND, LRI_INTERNAL};
    host_.SetContext(context, kContextCodes[input_.Below(std::size(kContextCodes))],
                     std::string(input_.Text()));
  }

  // A plugin of a host that lacks a function, or of a limit that nobody knows.
  void Misuse() {
    lri_host host = *host_.table();
    const std::string name = "no_such\n\xff", value = "1";
    const lri_pair pair{View(name), View(value)};
    const lri_plugin_options options{sizeof options, 0, {&pair, 1, sizeof pair}};
    const bool without_function = input_.Below(2) == 0;
    if (without_function) host.complete = nullptr;
    lri_plugin* plugin = nullptr;
    FuzzError error(input_.Below(3));
    const int32_t code = error.Checked(
        table_.plugin_create(&host, without_function ? nullptr : &options, &plugin, error.get()));
    Require(code == LRI_INVALID_ARGUMENT && plugin == nullptr);
  }

  const lri_plugin_table& table_ = *lri_plugin_entry_v1(LRI_ABI_MINOR);
  Input& input_;
  FuzzHost host_;
  lri_plugin* plugin_ = nullptr;
  Slot slots_[2];
  std::vector<std::unique_ptr<int>> commands_;  // how often each was done
};

}  // namespace
}  // namespace webhook

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr size_t kMostBytes = 400;  // some hundred steps
  webhook::fuzz::Input input(data, std::min(size, kMostBytes));
  webhook::Driver(input).Run();
  return 0;
}
