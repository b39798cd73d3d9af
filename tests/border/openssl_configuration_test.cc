// An engine whose OpenSSL is configured for itself: the plugin's own one reads nothing of it.
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <sstream>
#include <string>

#include "tests/border/abi_host.h"

namespace border {
namespace {

std::string Contents(const std::string& path) {
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

// What is wrong when the plugin serves HTTPS in a process with that configuration; empty: nothing.
std::string Problem(const std::string& certificate, const std::string& key) {
  LoadedPlugin plugin;
  AbiHost host;
  lri_plugin* handle = nullptr;
  lri_error error{sizeof error, ""};
  if (plugin->plugin_create(host.table(), nullptr, &handle, &error) != LRI_OK) return error.message;
  const std::string port = FreePort();
  Options options({{"longRunningPort", port},
                   {"bind_address", "127.0.0.1"},
                   {"certificate", certificate},
                   {"key", key},
                   {"duplication_key", "id"}},
                  "webhook", "XSOAR_6");
  lri_instance* instance = nullptr;
  if (plugin->create(handle, options.abi(), &instance, &error) != LRI_OK) return error.message;
  if (plugin->start(instance, &error) != LRI_OK) return error.message;
  const std::string ask = "OPENSSL_CONF=/dev/null curl -s -m 10 -k -o /dev/null -d '{\"id\":\"" +
                          std::string(4000, 'x') + "\"}' https://127.0.0.1:" + port + "/ -f";
  const int asked = system(ask.c_str());
  plugin->stop(instance, INT64_MAX, nullptr);
  plugin->destroy(instance);
  plugin->plugin_destroy(handle);
  if (asked != 0) return "no answer over HTTPS";
  const std::string maps = Contents("/proc/self/maps");
  if (maps.find("ossl-modules") != std::string::npos) return "a module of OpenSSL was loaded";
  return "";
}

TEST(OpenSslConfigurationTest, ThatOfTheEngineNeitherBreaksThePluginNorLoadsModules) {
  const std::string folder = ::testing::TempDir();
  const std::string key = folder + "/key.pem", certificate = folder + "/certificate.pem";
  const std::string make =
      "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
      "-days 2 -subj /CN=localhost -keyout " +
      key + " -out " + certificate + " 2>/dev/null";
  ASSERT_EQ(system(make.c_str()), 0);
  const std::pair<const char*, const char*> configurations[] = {
      {"legacy alone", "[init]\nproviders=p\n[p]\nlegacy=l\n[l]\nactivate=1\n"},
      {"FIPS",
       "[init]\nproviders=p\nalg_section=a\n[p]\nbase=b\nfips=b\n[b]\nactivate=1\n"
       "[a]\ndefault_properties=fips=yes\n"},
      {"a module that is not there",
       "config_diagnostics=1\n[init]\nproviders=p\n[p]\nx=x\n[x]\nmodule=/"
       "nowhere.so\nactivate=1\n"},
      {"rules for TLS",
       "[init]\nssl_conf=s\n[s]\nsystem_default=d\n[d]\nCipherString=NOTHING\nMaxProtocol=TLSv1\n"},
      {"damaged", "[init\n"},
  };
  for (const auto& [name, text] : configurations) {
    const std::string path = folder + "/openssl.cnf";
    std::ofstream(path) << "openssl_conf=init\n" << text;
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
      setenv("OPENSSL_CONF", path.c_str(), 1);
      const std::string problem = Problem(Contents(certificate), Contents(key));
      if (!problem.empty()) fprintf(stderr, "%s: %s\n", name, problem.c_str());
      _exit(problem.empty() ? 0 : 1);
    }
    int status = -1;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0) << name;
  }
}

}  // namespace
}  // namespace border
