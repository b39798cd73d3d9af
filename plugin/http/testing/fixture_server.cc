// Serves FixtureHandler until its standard input ends.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <sstream>

#include "plugin/http/server.h"
#include "plugin/http/testing/fixture_handler.h"

namespace {

std::string Contents(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("An HTTP server to try and to measure plugin/http with");
  webhook::http::ServerOptions options;
  int threads = 1;
  std::string credentials, certificate, key;
  app.add_option("--address", options.address);
  app.add_option("--port", options.port);
  app.add_option("--threads", threads);
  app.add_option("--auth", credentials, "user:password");
  app.add_option("--certificate", certificate, "PEM file; then TLS is spoken");
  app.add_option("--key", key, "PEM file");
  app.add_option("--connections", options.limits.connections);
  CLI11_PARSE(app, argc, argv);
  options.limits.connections_from_one_address = options.limits.connections;
  options.limits.requests_of_a_connection = 1'000'000'000;

  if (!certificate.empty()) {
    const std::string certificate_pem = Contents(certificate), key_pem = Contents(key);
    auto tls = webhook::http::TlsContext::Create({certificate_pem, key_pem, ""});
    if (!tls.ok()) {
      std::cerr << tls.status() << "\n";
      return 1;
    }
    options.tls = *std::move(tls);
  }
  auto io = webhook::http::IoThreads::Start(threads);
  webhook::http::FixtureHandler handler(credentials);
  auto server = webhook::http::Server::Listen(options, **io, handler);
  if (!server.ok()) {
    std::cerr << server.status() << "\n";
    return 1;
  }
  std::cout << "listening on port " << (*server)->port() << std::endl;
  while (std::getchar() != EOF) {
  }
  (*server)->Drain(absl::Seconds(1));
  return 0;
}
