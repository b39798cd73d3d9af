// TLS against openssl's and curl's own programs.
#include "plugin/http/tls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdio.h>

#include <atomic>
#include <fstream>
#include <sstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "plugin/http/testing/test_client.h"
#include "plugin/http/testing/test_server.h"

namespace webhook::http {
namespace {

using ::testing::HasSubstr;

std::string Path(absl::string_view name) { return absl::StrCat(::testing::TempDir(), "/", name); }

std::string Contents(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string RunCommand(const std::string& command) {
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  std::string output;
  char buffer[4096];
  while (const size_t count = fread(buffer, 1, sizeof buffer, pipe)) output.append(buffer, count);
  pclose(pipe);
  return output;
}

// A key and a certificate for localhost, signed by itself.
struct Pair {
  explicit Pair(const std::string& name, const std::string& days = "2")
      : key_path(Path(name + ".key")), certificate_path(Path(name + ".pem")) {
    RunCommand(absl::StrCat(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ", key_path,
        " -out ", certificate_path, " -days ", days, " -subj /CN=", name,
        " -addext subjectAltName=DNS:localhost"));
    key = Contents(key_path);
    certificate = Contents(certificate_path);
  }

  absl::StatusOr<std::shared_ptr<const TlsContext>> Make(absl::string_view client_ca = "") const {
    return TlsContext::Create({certificate, key, client_ca});
  }

  std::string key_path, certificate_path, key, certificate;
};

std::string Problem(absl::string_view certificate, absl::string_view key,
                    absl::string_view client_ca = "") {
  const auto made = TlsContext::Create({certificate, key, client_ca});
  return made.ok() ? "none" : std::string(made.status().message());
}

TEST(TlsContextTest, WhatIsWrongIsNamedAndNeverQuoted) {
  const Pair one("one"), other("other");
  const std::string encrypted =
      RunCommand("openssl pkcs8 -topk8 -passout pass:secret -in " + one.key_path);
  std::string broken = one.certificate;
  broken.replace(200, 10, "!!!!!!!!!!");
  EXPECT_EQ(Problem("", one.key), "certificate: no PEM certificate in the text");
  EXPECT_EQ(Problem(one.key, one.key), "certificate: no PEM certificate in the text");
  EXPECT_EQ(Problem(broken, one.key), "certificate: malformed PEM certificate");
  EXPECT_EQ(Problem(one.certificate + broken, one.key),
            "certificate: number 2 of the chain is malformed");
  EXPECT_EQ(Problem(one.certificate, ""), "private key: no PEM private key in the text");
  EXPECT_EQ(Problem(one.certificate, other.key),
            "private key: it does not belong to the certificate");
  EXPECT_EQ(Problem(one.certificate, encrypted),
            "private key: it is encrypted; give it without a passphrase");
  EXPECT_EQ(Problem(one.certificate, one.key, "x"), "client CA: no PEM certificate in the text");
  EXPECT_EQ(Problem(one.certificate, one.key), "none");
}

TEST(TlsContextTest, ValidityOfTheCertificateIsKnown) {
  const Pair pair("soon");
  const auto context = pair.Make();
  ASSERT_TRUE(context.ok());
  EXPECT_LE((*context)->not_before(), absl::Now());
  EXPECT_GT((*context)->not_after(), absl::Now());
}

class TlsServerTest : public ::testing::Test {
 protected:
  std::string Client(const std::string& arguments, const std::string& input = "") {
    return RunCommand(absl::StrCat("printf '", input, "' | openssl s_client -connect 127.0.0.1:",
                                   test_.server->port(), " -ign_eof ", arguments));
  }
  std::string Curl(const std::string& arguments) {
    return RunCommand(absl::StrCat("curl -s -m 10 --resolve localhost:", test_.server->port(),
                                   ":127.0.0.1 https://localhost:", test_.server->port(), "/ ",
                                   arguments));
  }

  const std::string request_ =
      "POST / HTTP/1.1\\r\\nHost: a\\r\\nConnection: close\\r\\n"
      "Content-Length: 4\\r\\n\\r\\nbody";
  Pair pair_{"first"};
  TestServer test_;
};

TEST_F(TlsServerTest, OldProtocolsAndWeakCiphersAreRefused) {
  test_.options.tls = *pair_.Make();
  test_.Listen();
  EXPECT_THAT(Client("-tls1_1 -cipher DEFAULT@SECLEVEL=0"), HasSubstr("Cipher is (NONE)"));
  EXPECT_THAT(Client("-tls1_2 -cipher ECDHE-ECDSA-AES128-SHA256"), HasSubstr("Cipher is (NONE)"));
  EXPECT_THAT(Client("-tls1_2 -cipher AES128-GCM-SHA256"), HasSubstr("Cipher is (NONE)"));
}

TEST_F(TlsServerTest, OnlyThreeGroupsAreAgreedOn) {
  test_.options.limits.idle_timeout_ms = 200;  // ends a client that gets in, and so the test
  test_.options.tls = *pair_.Make();
  test_.Listen();
  for (const char* good : {"X25519", "P-256", "P-384"}) {
    EXPECT_THAT(Client(absl::StrCat("-tls1_3 -groups ", good), request_),
                HasSubstr("HTTP/1.1 200 OK"))
        << good;
  }
  for (const char* bad : {"P-521", "X448", "ffdhe2048", "ffdhe8192"}) {
    EXPECT_THAT(Client(absl::StrCat("-tls1_3 -groups ", bad)), HasSubstr("Cipher is (NONE)"))
        << bad;
  }
}

TEST_F(TlsServerTest, BothVersionsSpeakHttp11) {
  test_.options.tls = *pair_.Make();
  test_.Listen();
  for (const char* version : {"-tls1_2", "-tls1_3"}) {
    const std::string out = Client(absl::StrCat(version, " -alpn h2,http/1.1"), request_);
    EXPECT_THAT(out, HasSubstr("ALPN protocol: http/1.1")) << version;
    EXPECT_THAT(out, HasSubstr("HTTP/1.1 200 OK")) << version;
    EXPECT_THAT(out, HasSubstr("Compression: NONE")) << version;
  }
}

TEST_F(TlsServerTest, SessionsAreResumed) {
  test_.options.tls = *pair_.Make();
  test_.Listen();
  const std::string session = Path("session");
  EXPECT_THAT(Client("-tls1_3 -sess_out " + session, request_), HasSubstr("New, TLSv1.3"));
  EXPECT_THAT(Client("-tls1_3 -sess_in " + session, request_), HasSubstr("Reused, TLSv1.3"));
}

TEST_F(TlsServerTest, LargeBodiesGoBothWays) {
  test_.options.tls = *pair_.Make();
  test_.Listen();
  const std::string file = Path("large");
  std::ofstream(file) << std::string(3'000'000, 'x');
  const std::string out = Curl("--cacert " + pair_.certificate_path + " --data-binary @" + file +
                               " -o " + file + ".out");
  EXPECT_TRUE(Contents(file + ".out") == std::string(3'000'000, 'x')) << out;
}

TEST_F(TlsServerTest, RotationServesTheNewCertificateAndKeepsOpenConnections) {
  const Pair second("second");
  test_.options.tls = *pair_.Make();
  std::atomic<Server*> server{nullptr};
  test_.handler.on_request = [&](Exchange& exchange) {
    server.load()->SetTls(*second.Make());
    Reply(exchange, 200, "rotated");
  };
  test_.Listen();
  server = test_.server.get();
  // Two requests on one connection, the second after the rotation.
  const std::string url = absl::StrCat("https://localhost:", test_.server->port(), "/");
  EXPECT_EQ(Curl(absl::StrCat("--cacert ", pair_.certificate_path, " -d a ", url,
                              " -w '%{num_connects}'")),
            "rotated1rotated0");
  EXPECT_THAT(Client("", request_), HasSubstr("subject=CN = second"));
  test_.server.reset();  // before what its handler uses
}

TEST_F(TlsServerTest, ClientWithoutTheRightCertificateGetsNothing) {
  const Pair client("client"), stranger("stranger");
  std::atomic<int> requests{0};
  test_.options.tls = *pair_.Make(client.certificate);
  test_.handler.on_request = [&](Exchange& exchange) {
    ++requests;
    Reply(exchange, 200, "in");
  };
  test_.Listen();
  const std::string ca = "--cacert " + pair_.certificate_path + " -d a ";
  EXPECT_EQ(Curl(ca), "");
  EXPECT_EQ(Curl(ca + "--cert " + stranger.certificate_path + " --key " + stranger.key_path), "");
  EXPECT_EQ(requests, 0);
  EXPECT_EQ(Curl(ca + "--cert " + client.certificate_path + " --key " + client.key_path), "in");
}

TEST_F(TlsServerTest, HandshakeThatDoesNotEndIsClosed) {
  test_.options.limits.tls_handshake_timeout_ms = 50;
  test_.options.tls = *pair_.Make();
  test_.Listen();
  TestClient silent(test_.server->port()), half(test_.server->port());
  half.Send("\x16\x03\x01");
  EXPECT_TRUE(silent.ReadUntilClosed());
  EXPECT_TRUE(half.ReadUntilClosed());
}

TEST_F(TlsServerTest, PlainHttpToATlsPortIsClosed) {
  test_.options.tls = *pair_.Make();
  test_.Listen();
  TestClient client(test_.server->port());
  client.Send(Post("/", "x"));
  EXPECT_TRUE(client.ReadUntilClosed());
}

}  // namespace
}  // namespace webhook::http
