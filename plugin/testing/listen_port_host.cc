#include "plugin/testing/listen_port_host.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>

#include "plugin/http/testing/free_port.h"

namespace webhook {
namespace {

sockaddr_in OurAddress(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  inet_pton(AF_INET, http::OwnAddress().c_str(), &address.sin_addr);
  return address;
}

void UseCertificate(SSL_CTX* context, const std::string& certificate, const std::string& key) {
  BIO* in = BIO_new_mem_buf(certificate.data(), static_cast<int>(certificate.size()));
  X509* const own = PEM_read_bio_X509(in, nullptr, nullptr, nullptr);
  SSL_CTX_use_certificate(context, own);
  X509_free(own);
  BIO_free(in);
  in = BIO_new_mem_buf(key.data(), static_cast<int>(key.size()));
  EVP_PKEY* const own_key = PEM_read_bio_PrivateKey(in, nullptr, nullptr, nullptr);
  SSL_CTX_use_PrivateKey(context, own_key);
  EVP_PKEY_free(own_key);
  BIO_free(in);
}

}  // namespace

TestHost::TestHost() {
  table_.struct_size = sizeof table_;
  table_.context = this;
  table_.create_incidents = [](void* context, lri_host_instance*, const lri_incident_batch* batch) {
    return static_cast<TestHost*>(context)->Create(*batch);
  };
  table_.complete = [](void*, lri_call*, const lri_answer*) { std::abort(); };
  table_.now = [](void* context) { return static_cast<TestHost*>(context)->now_.load(); };
  table_.log = [](void* context, lri_host_instance*, int32_t, lri_view message) {
    TestHost& self = *static_cast<TestHost*>(context);
    const std::lock_guard lock(self.mutex_);
    self.logs_.push_back(Text(message));
  };
  table_.set_health = [](void* context, lri_host_instance*, int32_t health, lri_view message) {
    TestHost& self = *static_cast<TestHost*>(context);
    const std::lock_guard lock(self.mutex_);
    self.health_ = {health, Text(message)};
    self.changed_.notify_all();
  };
}

int32_t TestHost::Create(const lri_incident_batch& batch) {
  if (refusal_ != LRI_OK) return refusal_;
  if (hold_) {
    const std::lock_guard lock(mutex_);
    held_.push_back(&batch);
    changed_.notify_all();
    return LRI_OK;
  }
  Finish(batch);
  return LRI_OK;
}

void TestHost::Finish(const lri_incident_batch& batch) {
  static const std::string kId = "7", kCreated = "2024-05-01T10:00:01Z", kWhy = "the disk is full";
  std::vector<lri_created_incident> created(batch.incidents.count);
  lri_create_result result{};
  result.struct_size = sizeof result;
  if (fail_) {
    result.outcome = LRI_NOT_CREATED;
    result.code = LRI_RESOURCE_EXHAUSTED;
    result.message = View(kWhy);
  } else {
    if (batch.dry_run == 0) created_ += static_cast<int>(created.size());
    for (auto& one : created) one = {View(kId), View(kCreated), 0, 0, {}, {}, {}};
    result.outcome = LRI_CREATED;
    result.incidents = created.data();
    result.count = created.size();
    result.stride = sizeof(lri_created_incident);
  }
  batch.done(batch.done_context, &result);
}

void TestHost::Release() {
  hold_ = false;
  std::vector<const lri_incident_batch*> batches;
  {
    const std::lock_guard lock(mutex_);
    batches.swap(held_);
  }
  for (const lri_incident_batch* batch : batches) Finish(*batch);
}

void TestHost::WaitUntilHeld(size_t batches) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return held_.size() >= batches; });
}

std::vector<std::string> TestHost::logs() {
  const std::lock_guard lock(mutex_);
  return logs_;
}

std::pair<int32_t, std::string> TestHost::health() {
  const std::lock_guard lock(mutex_);
  return health_;
}

std::string TestHost::AwaitHealth(int32_t health) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return health_.first == health; });
  return health_.second;
}

TlsClient::TlsClient(uint16_t port, const std::string& certificate, const std::string& key)
    : context_(SSL_CTX_new(TLS_client_method())), socket_(socket(AF_INET, SOCK_STREAM, 0)) {
  if (!certificate.empty()) UseCertificate(context_, certificate, key);
  const timeval timeout{.tv_sec = 10, .tv_usec = 0};
  setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
  const sockaddr_in address = OurAddress(port);
  if (connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return;
  tls_ = SSL_new(context_);
  SSL_set_fd(tls_, socket_);
  connected_ = SSL_connect(tls_) == 1;
}

TlsClient::~TlsClient() {
  SSL_free(tls_);
  SSL_CTX_free(context_);
  close(socket_);
}

std::string TlsClient::Ask(const std::string& request) {
  if (!connected_ || SSL_write(tls_, request.data(), static_cast<int>(request.size())) <= 0) {
    return "";
  }
  std::string answer;
  char buffer[4096];
  for (;;) {
    const int count = SSL_read(tls_, buffer, sizeof buffer);
    if (count <= 0) return "";
    answer.append(buffer, static_cast<size_t>(count));
    const size_t end = answer.find("\r\n\r\n");
    const size_t length = answer.find("Content-Length: ");
    if (end == std::string::npos || length == std::string::npos) continue;
    if (answer.size() >= end + 4 + std::stoul(answer.substr(length + 16))) return answer;
  }
}

std::string TlsClient::ServerName() const {
  if (!connected_) return "";
  X509* const certificate = SSL_get1_peer_certificate(tls_);
  char name[64] = "";
  X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name, sizeof name);
  X509_free(certificate);
  return name;
}

int ListeningSocket(uint16_t port) {
  for (int fd = 0; fd < 1024; ++fd) {
    sockaddr_in address{};
    socklen_t size = sizeof address;
    if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) continue;
    if (address.sin_family != AF_INET || ntohs(address.sin_port) != port) continue;
    int listening = 0;
    socklen_t listening_size = sizeof listening;
    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &listening_size);
    if (listening != 0) return fd;
  }
  return -1;
}

}  // namespace webhook
