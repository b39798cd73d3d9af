#include "tests/border/abi_host.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "tests/border/failing_allocations.h"

namespace border {

LoadedPlugin::LoadedPlugin(const char* file) {
  handle_ = dlopen(file, RTLD_NOW | RTLD_LOCAL);
  void* const symbol = handle_ == nullptr ? nullptr : dlsym(handle_, LRI_PLUGIN_ENTRY_SYMBOL);
  if (symbol == nullptr) {
    std::fprintf(stderr, "%s\n", dlerror());
    std::abort();
  }
  table_ = reinterpret_cast<lri_plugin_entry_function>(symbol)(LRI_ABI_MINOR);
}

void LoadedPlugin::Unload() {
  if (handle_ != nullptr) dlclose(std::exchange(handle_, nullptr));
}

AbiHost::AbiHost() {
  table_.struct_size = sizeof table_;
  table_.abi_minor = LRI_ABI_MINOR;
  table_.context = this;
  table_.create_incidents = [](void* context, lri_host_instance*, const lri_incident_batch* batch) {
    AbiHost& host = From(context);
    return host.create ? host.create(*batch) : host.Create(*batch);
  };
  table_.complete = [](void* context, lri_call* call, const lri_answer* answer) {
    AbiHost& host = From(context);
    {
      const Spared spared;
      const std::lock_guard lock(host.mutex_);
      host.answers_.push_back({call, answer->status, Text(answer->body)});
    }
    if (host.completed) host.completed(call, *answer);
  };
}

std::vector<AbiHost::Answered> AbiHost::TakeAnswers() {
  const std::lock_guard lock(mutex_);
  return std::exchange(answers_, {});
}

int64_t AbiHost::incidents() const {
  const std::lock_guard lock(mutex_);
  return incidents_;
}

int32_t AbiHost::Create(const lri_incident_batch& batch) {
  {
    const std::lock_guard lock(mutex_);
    incidents_ += static_cast<int64_t>(batch.incidents.count);
  }
  Done(batch);
  return LRI_OK;
}

void AbiHost::Done(const lri_incident_batch& batch, int64_t count) {
  std::vector<lri_created_incident> created;
  static const std::string id = "1", time = "2024-05-01T10:00:00Z";
  {
    const Spared spared;
    created.resize(count < 0 ? batch.incidents.count : static_cast<size_t>(count));
    for (lri_created_incident& one : created) one = {View(id), View(time), 0, 0, {}, {}, {}};
  }
  lri_create_result result{};
  result.struct_size = sizeof result;
  result.outcome = LRI_CREATED;
  result.incidents = created.data();
  result.count = created.size();
  result.stride = sizeof(lri_created_incident);
  batch.done(batch.done_context, &result);
}

Options::Options(Pairs parameters, std::string name, std::string product)
    : parameters_(std::move(parameters)),
      name_(std::move(name)),
      product_(std::move(product)),
      url_("https://xsoar.example.com") {
  for (const auto& [key, value] : parameters_) pairs_.push_back({View(key), View(value)});
  options_.struct_size = sizeof options_;
  options_.name = View(name_);
  options_.product = View(product_);
  options_.platform_url = View(url_);
  options_.parameters = {pairs_.data(), pairs_.size(), sizeof(lri_pair)};
}

Post::Post(std::string body, Pairs headers, lri_call* call)
    : body_(std::move(body)), address_("127.0.0.1"), headers_(std::move(headers)) {
  const size_t size = body_.size();
  body_.resize(size + LRI_BODY_PADDING);
  for (const auto& [key, value] : headers_) pairs_.push_back({View(key), View(value)});
  head_.struct_size = sizeof head_;
  head_.method = View(method_);
  head_.path = View(path_);
  head_.headers = {pairs_.data(), pairs_.size(), sizeof(lri_pair)};
  head_.peer_address = View(address_);
  head_.content_length = size;
  request_.struct_size = sizeof request_;
  request_.call = call;
  request_.head = &head_;
  request_.body = {body_.data(), size};
}

Pairs Basic() { return {{"username", "user"}, {"password", "pass"}}; }
std::pair<std::string, std::string> BasicHeader() {
  return {"Authorization", "Basic dXNlcjpwYXNz"};
}

std::string FreePort() {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  bind(socket, reinterpret_cast<sockaddr*>(&address), sizeof address);
  getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size);
  close(socket);
  return std::to_string(ntohs(address.sin_port));
}

}  // namespace border
