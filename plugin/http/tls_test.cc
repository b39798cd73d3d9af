// TLS against openssl's and curl's own programs.
#include "plugin/http/tls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <future>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
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
  EXPECT_EQ(Problem(one.key, one.key), "certificate: number 1 of the PEM text is no CERTIFICATE");
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

TEST(TlsContextTest, PartsThatAReaderOfPemPassesOverAreRefusedWithTheirNumber) {
  const Pair one("one"), other("other");
  const auto problem = [&](const std::string& second) {
    return Problem(one.certificate, one.key, one.certificate + second);
  };
  const std::string number = "client CA: number 2 of the PEM text ";
  const auto replaced = [&](const char* from, const char* to) {
    return absl::StrReplaceAll(other.certificate, {{from, to}});
  };
  EXPECT_THAT(problem("  " + replaced("\n", "\n  ")), HasSubstr(number + "is indented"));
  EXPECT_THAT(problem("\t" + other.certificate), HasSubstr(number + "is indented"));
  EXPECT_EQ(problem(replaced("-----BEGIN", "----BEGIN")),
            number + "begins with less than five dashes");
  EXPECT_EQ(problem(replaced("-----BEGIN", "BEGIN")), number + "begins with less than five dashes");
  EXPECT_EQ(problem(replaced("-----BEGIN", "x-----BEGIN")), number + "does not begin its line");
  EXPECT_EQ(problem(replaced("CERTIFICATE-----\nM", "CERTIFICATE----\nM")),
            number + "has a malformed BEGIN line");
  EXPECT_EQ(problem(replaced("BEGIN ", "BEGIN")), number + "has a malformed BEGIN line");
  EXPECT_EQ(problem(replaced("-----END", "----END")), number + "has no END line");
  EXPECT_EQ(problem(other.certificate.substr(0, 100) + "\n" + one.certificate),
            number + "has no END line");
  EXPECT_EQ(problem(other.certificate.substr(30)), number + "has no BEGIN line");
  EXPECT_EQ(problem(other.key), number + "is no CERTIFICATE");
  EXPECT_EQ(Problem(one.certificate, one.key + other.key),
            "private key: number 2 of the PEM text is a second private key");
  EXPECT_THAT(Problem("  " + one.certificate, one.key), HasSubstr("number 1 of the PEM text is"));
  EXPECT_THAT(Problem(one.certificate, "  " + one.key), HasSubstr("number 1 of the PEM text is"));
}

TEST(TlsContextTest, PemIsReadWhereItsLineEndsBecameBlanksOrWereLost) {
  const Pair one("one"), other("other");
  const std::string both = one.certificate + other.certificate;
  for (const char* end : {" ", "\t", "\r", "\r\n", " \n", ""}) {
    const auto changed = [end](const std::string& text) {
      return absl::StrReplaceAll(text, {{"\n", end}});
    };
    EXPECT_EQ(Problem(changed(both), changed(one.key), changed(both)), "none") << end;
  }
  EXPECT_EQ(Problem("\xEF\xBB\xBF" + both, "\xEF\xBB\xBF" + one.key), "none");
  EXPECT_EQ(Problem("subject=CN = one\n" + both + "\nthe end\n", both + one.key), "none");
}

TEST(TlsContextTest, AuthorityThatCanNeverMatchIsRefused) {
  const Pair one("one");
  const auto authority = [](const std::string& options) {
    return RunCommand("openssl req -x509 -nodes -keyout /dev/null -subj /CN=a -days 2 " + options +
                      " 2>/dev/null");
  };
  const std::string good = authority("-newkey ec -pkeyopt ec_paramgen_curve:P-256");
  EXPECT_EQ(Problem(one.certificate, one.key,
                    good + authority("-newkey ec -pkeyopt ec_paramgen_curve:P-256 "
                                     "-addext extendedKeyUsage=serverAuth")),
            "client CA: certificate 2 may neither sign client certificates nor be one");
  EXPECT_EQ(Problem(one.certificate, one.key, good + authority("-newkey rsa:1024")),
            "client CA: certificate 2 has a key that is too small or unknown");
  EXPECT_EQ(Problem(one.certificate, one.key, good), "none");
}

TEST(TlsContextTest, ValidityOfTheCertificateIsKnown) {
  const Pair pair("soon");
  const auto context = pair.Make();
  ASSERT_TRUE(context.ok());
  EXPECT_LE((*context)->not_before(), absl::Now());
  EXPECT_GT((*context)->not_after(), absl::Now());
}

// Processor time of the server for one ClientHello; none where it is refused.
std::optional<int64_t> NanosecondsOf(const std::shared_ptr<const TlsContext>& context, int version,
                                     const char* group) {
  SSL_CTX* const client_context = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_min_proto_version(client_context, version);
  SSL_CTX_set_max_proto_version(client_context, version);
  if (SSL_CTX_set1_groups_list(client_context, group) != 1) ADD_FAILURE() << group;
  SSL* const client = SSL_new(client_context);
  BIO* const hello = BIO_new(BIO_s_mem());
  SSL_set_bio(client, BIO_new(BIO_s_mem()), hello);
  SSL_connect(client);
  char* octets = nullptr;
  const long size = BIO_get_mem_data(hello, &octets);
  int sockets[2];
  EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
  const auto session = TlsSession::Create(context, sockets[0], 0);
  session->Feed({octets, static_cast<size_t>(size)});
  const auto now = [] {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return time.tv_sec * int64_t{1'000'000'000} + time.tv_nsec;
  };
  const int64_t begin = now();
  const TlsSession::Result result = session->Handshake();
  const int64_t took = now() - begin;
  close(sockets[0]);
  close(sockets[1]);
  SSL_free(client);
  SSL_CTX_free(client_context);
  if (result == TlsSession::Result::kWantRead) return took;
  return std::nullopt;
}

// Of each version: 1.3 does more for a ClientHello than 1.2, whatever the group, and how much more
// depends on what else the processor does.
TEST(TlsCostTest, CostliestClientHelloCostsAtMostTwiceTheCheapest) {
  const auto context = *Pair("cost").Make();
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    std::map<std::string, int64_t> least;
    for (int round = 0; round < 15; ++round) {
      for (const char* group : {"X25519", "P-256", "P-384", "P-521", "X448", "ffdhe2048",
                                "ffdhe3072", "ffdhe4096", "ffdhe6144", "ffdhe8192"}) {
        const auto took = NanosecondsOf(context, version, group);
        if (!took.has_value()) continue;
        const auto found = least.try_emplace(group, *took).first;
        found->second = std::min(found->second, *took);
      }
    }
    // TLS 1.2 wants the group of the certificate, too, so that X25519 alone does not do there.
    ASSERT_EQ(least.size(), version == TLS1_2_VERSION ? 1u : 2u);
    const auto [cheapest, costliest] = std::minmax_element(
        least.begin(), least.end(), [](auto& a, auto& b) { return a.second < b.second; });
    EXPECT_LE(costliest->second, 2 * cheapest->second) << costliest->first;
  }
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

TEST_F(TlsServerTest, OnlyTwoCheapGroupsAreAgreedOn) {
  test_.options.limits.idle_timeout_ms = 200;  // ends a client that gets in, and so the test
  test_.options.tls = *pair_.Make();
  test_.Listen();
  for (const char* good : {"X25519", "P-256"}) {
    EXPECT_THAT(Client(absl::StrCat("-tls1_3 -groups ", good), request_),
                HasSubstr("HTTP/1.1 200 OK"))
        << good;
  }
  for (const char* bad : {"P-384", "P-521", "X448", "ffdhe2048", "ffdhe8192"}) {
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
  test_.options.limits.first_byte_timeout_ms = 50;
  test_.options.tls = *pair_.Make();
  test_.Listen();
  TestClient silent(test_.server->port()), half(test_.server->port());
  half.Send("\x16\x03\x01");
  EXPECT_TRUE(silent.ReadUntilClosed());
  EXPECT_TRUE(half.ReadUntilClosed());
}

TEST_F(TlsServerTest, DrainDoesNotWaitForHandshakesThatDoNotGoOn) {
  test_.options.limits.drain_request_timeout_ms = 50;
  test_.options.limits.tls_handshake_timeout_ms = 3'600'000;
  test_.options.limits.first_byte_timeout_ms = 3'600'000;
  test_.options.tls = *pair_.Make();
  test_.Listen();
  TestClient silent(test_.server->port()), half(test_.server->port());
  half.Send("\x16\x03\x01");
  while (test_.server->connections() < 2) std::this_thread::yield();
  test_.server->Drain(absl::Seconds(60));
  EXPECT_TRUE(silent.ReadUntilClosed());
  EXPECT_TRUE(half.ReadUntilClosed());
}

TEST_F(TlsServerTest, HandshakeThatTheClientEndsIsToldWithItsAlert) {
  const Pair other("other");
  std::promise<std::string> unknown, rude;
  std::atomic<int> told{0};
  test_.handler.on_answered = [&](const Answered& answered) {
    if (answered.reason != LRI_REASON_TLS_HANDSHAKE) return;
    (told++ == 0 ? unknown : rude).set_value(std::string(answered.detail));
  };
  test_.options.tls = *pair_.Make();
  test_.Listen();
  EXPECT_EQ(Curl("--cacert " + other.certificate_path + " -d a "), "");
  EXPECT_THAT(unknown.get_future().get(), HasSubstr("missing in `certificate`"));
  TestClient(test_.server->port()).Send("\x16\x03\x01");
  EXPECT_EQ(rude.get_future().get(), "its sender ended the TLS handshake without saying why");
  test_.server.reset();  // before what its handler uses
}

TEST_F(TlsServerTest, PlainHttpToATlsPortIsToldSo) {
  test_.options.tls = *pair_.Make();
  test_.Listen();
  for (const std::string& request : {Post("/", "x"), std::string("DELETE / HTTP/1.1\r\n\r\n"),
                                     std::string("P"), std::string("A\r\n")}) {
    TestClient client(test_.server->port());
    client.Send(request);
    const std::optional<Answer> answer = client.ReadAnswer();
    ASSERT_TRUE(answer.has_value()) << request;
    EXPECT_EQ(answer->status, 400);
    EXPECT_EQ(answer->body, "this port speaks HTTPS; use https:// in the URL\n");
    EXPECT_TRUE(client.ReadUntilClosed());
  }
  TestClient garbage(test_.server->port());
  garbage.Send("\x80\x01");
  garbage.Send("POST");
  EXPECT_TRUE(garbage.ReadUntilClosed());
}

TEST_F(TlsServerTest, ClientThatSpeaksNoHttp1GetsTheAlertOfAlpn) {
  test_.options.limits.idle_timeout_ms = 200;
  test_.options.tls = *pair_.Make();
  test_.Listen();
  EXPECT_THAT(Client("-alpn h2"), HasSubstr("no application protocol"));
  EXPECT_THAT(Client("-alpn h2,http/1.0", request_), HasSubstr("ALPN protocol: http/1.0"));
  EXPECT_THAT(Client("", request_), HasSubstr("No ALPN negotiated"));
}

// A client of TLS in this thread, by OpenSSL's own hand.
class KeyUpdater {
 public:
  explicit KeyUpdater(uint16_t port) : context_(SSL_CTX_new(TLS_client_method())) {
    tls_ = SSL_new(context_);
    BIO* const bio = BIO_new_connect(absl::StrCat("127.0.0.1:", port).c_str());
    SSL_set_bio(tls_, bio, bio);
    connected_ = SSL_connect(tls_) == 1;
  }
  ~KeyUpdater() {
    SSL_free(tls_);
    SSL_CTX_free(context_);
  }

  // Updates the keys that often and then asks. True: there is an answer.
  bool Ask(int updates, int kind, const std::string& request) {
    for (int i = 0; connected_ && i < updates; ++i) {
      if (SSL_key_update(tls_, kind) != 1 || SSL_do_handshake(tls_) != 1) return false;
    }
    char buffer[1024];
    return SSL_write(tls_, request.data(), static_cast<int>(request.size())) > 0 &&
           SSL_read(tls_, buffer, sizeof buffer) > 0;
  }

 private:
  SSL_CTX* context_;
  SSL* tls_;
  bool connected_ = false;
};

TEST_F(TlsServerTest, FloodOfKeyUpdatesEndsTheConnection) {
  signal(SIGPIPE, SIG_IGN);
  test_.options.limits.key_updates_of_a_connection = 10;
  test_.options.tls = *pair_.Make();
  test_.Listen();
  for (const int kind : {SSL_KEY_UPDATE_REQUESTED, SSL_KEY_UPDATE_NOT_REQUESTED}) {
    KeyUpdater updater(test_.server->port());
    EXPECT_TRUE(updater.Ask(4, kind, Post("/", "x")));
    EXPECT_TRUE(updater.Ask(6, kind, Post("/", "x")));
    EXPECT_FALSE(updater.Ask(1, kind, Post("/", "x")));
  }
}

// A change of who is trusted, while connections are open.
class TlsPolicyTest : public TlsServerTest {
 protected:
  static std::string Openssl(const std::string& arguments) {
    return RunCommand(absl::StrCat("cd ", ::testing::TempDir(), " && openssl ", arguments));
  }
  // A certificate that `issuer` has signed, in NAME.pem and NAME.key.
  static void Issue(const std::string& name, const std::string& issuer,
                    const std::string& extension, const std::string& days = "2") {
    std::ofstream(Path("extensions")) << extension << "\n";
    Openssl("req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=" + name +
            " -keyout " + name + ".key -out " + name + ".csr");
    Openssl("x509 -req -extfile extensions -CA " + issuer + ".pem -CAkey " + issuer +
            ".key -CAcreateserial -in " + name + ".csr -out " + name + ".pem -days " + days);
  }
  // The list of what `issuer` has revoked: the given certificates.
  static std::string List(const std::string& issuer, const std::string& revoked,
                          const std::string& time = "-crldays 2") {
    const std::string database = Path("index.txt");
    std::ofstream(database).close();
    std::ofstream(Path("ca.conf"))
        << "[ca]\ndefault_ca=a\n[a]\ndatabase=" << database << "\ndefault_md=sha256\n";
    const std::string ca =
        absl::StrCat("ca -config ca.conf -cert ", issuer, ".pem -keyfile ", issuer, ".key ");
    if (!revoked.empty()) Openssl(ca + "-revoke " + revoked + ".pem");
    Openssl(absl::StrCat(ca, "-gencrl ", time, " -out ", issuer, ".crl"));
    return Contents(Path(issuer + ".crl"));
  }
  std::string As(const std::string& name) {
    return Curl(absl::StrCat("--cacert ", pair_.certificate_path, " -d a --cert ", Path(name),
                             ".pem --key ", Path(name), ".key -w '%{http_code}' -o /dev/null"));
  }
  void Trust(const std::string& authorities, const std::string& lists = "") {
    const auto made = TlsContext::Create({pair_.certificate, pair_.key, authorities, lists});
    ASSERT_TRUE(made.ok()) << made.status();
    if (test_.server == nullptr) {
      test_.options.tls = *made;
      test_.Listen();
    } else {
      test_.server->SetTls(*made);
    }
  }

  const std::string authority_ = "basicConstraints=critical,CA:TRUE";
  const std::string leaf_ = "extendedKeyUsage=clientAuth";
};

TEST_F(TlsPolicyTest, AuthorityIsTrustedAsItStands) {
  const Pair root("root");
  Issue("issuing", "root", authority_);
  Issue("client", "issuing", leaf_);
  Issue("other", "root", leaf_);
  Trust(Contents(Path("issuing.pem")));
  EXPECT_EQ(As("client"), "200");
  EXPECT_EQ(As("other"), "000");
  Trust(Contents(Path("other.pem")));
  EXPECT_EQ(As("client"), "000");
  EXPECT_EQ(As("other"), "200");
}

TEST_F(TlsPolicyTest, RevokedCertificateIsRefusedAndAMissingListIsNamed) {
  const Pair root("root"), stranger("stranger");
  Issue("issuing", "root", authority_);
  Issue("good", "issuing", leaf_);
  Issue("bad", "issuing", leaf_);
  const std::string authority = Contents(Path("issuing.pem"));
  const std::string list = List("issuing", "bad");
  Trust(authority, list);
  EXPECT_EQ(As("good"), "200");
  EXPECT_EQ(As("bad"), "000");
  Trust(authority, List("root", "") + list);
  EXPECT_EQ(As("good"), "200");
  const auto problem = [&](const std::string& authorities, const std::string& lists) {
    return std::string(
        TlsContext::Create({pair_.certificate, pair_.key, authorities, lists}).status().message());
  };
  EXPECT_EQ(problem(authority, "x"), "client CRL: no PEM revocation list in the text");
  EXPECT_EQ(problem(authority, authority), "client CRL: number 1 of the PEM text is no CRL");
  EXPECT_EQ(problem(authority + root.certificate, list),
            "client CRL: there is no list that certificate 2 of the client CA has signed");
  EXPECT_EQ(problem(stranger.certificate, List("stranger", "")), "");
  // The authority's own certificate is on its superior's list.
  Trust(root.certificate, List("root", "issuing") + list);
  std::ofstream(Path("chain.pem")) << Contents(Path("good.pem")) << authority;
  std::ofstream(Path("chain.key")) << Contents(Path("good.key"));
  EXPECT_EQ(As("chain"), "000");
}

TEST_F(TlsPolicyTest, TimeByWhichAListIsToBeRenewedIsKnown) {
  const Pair root("root");
  Issue("client", "root", leaf_);
  const auto made = TlsContext::Create(
      {pair_.certificate, pair_.key, root.certificate, List("root", "", "-crlsec 1")});
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_LT((*made)->client_crl_not_after(), absl::Now() + absl::Seconds(2));
  EXPECT_GT((*made)->client_ca_not_after(), absl::Now() + absl::Hours(1));
}

TEST_F(TlsPolicyTest, NothingIsResumedWhereClientsShowCertificates) {
  const Pair root("root");
  Issue("client", "root", leaf_);
  Trust(root.certificate);
  const std::string session = Path("session");
  const std::string identity =
      absl::StrCat(" -cert ", Path("client.pem"), " -key ", Path("client.key"));
  for (const std::string version : {"-tls1_2", "-tls1_3"}) {
    remove(session.c_str());
    EXPECT_THAT(Client(version + identity + " -sess_out " + session, request_),
                HasSubstr("HTTP/1.1 200"));
    EXPECT_THAT(Client(version + identity + " -sess_in " + session, request_),
                ::testing::Not(HasSubstr("Reused")))
        << version;
  }
}

TEST_F(TlsPolicyTest, ConnectionsOfAnotherPolicyEndAtTheChange) {
  const Pair root("root");
  std::atomic<Exchange*> held{nullptr};
  test_.handler.on_request = [&](Exchange& exchange) {
    if (exchange.body() == "hold") {
      held = &exchange;
    } else {
      Reply(exchange, 200, "answer");
    }
  };
  test_.Listen();
  TestClient idle(test_.server->port()), busy(test_.server->port()), half(test_.server->port());
  idle.Send(Post("/", "x"));
  EXPECT_EQ(idle.ReadAnswer().value_or(Answer{}).status, 200);
  busy.Send(Post("/", "hold") + Post("/", "x"));
  const std::string request = Post("/", "x");
  half.Send(request.substr(0, request.size() - 1));
  TestClient silent(test_.server->port());
  while (held == nullptr || test_.server->connections() < 4) usleep(1000);
  // They are counted before their threads have them: the one that accepts is the first.
  for (int thread = 0; thread < test_.threads->size(); ++thread) {
    Signal reached;
    test_.threads->Post(thread, [&reached] { reached.Notify(); });
    reached.WaitForNotification();
  }
  test_.server->SetTls(nullptr);  // changes nothing
  Trust(root.certificate);
  EXPECT_TRUE(idle.ReadUntilClosed());
  EXPECT_TRUE(silent.ReadUntilClosed());
  half.Send(request.substr(request.size() - 1));
  const Answer last = half.ReadAnswer().value_or(Answer{});
  EXPECT_EQ(last.status, 200);
  EXPECT_EQ(last.Header("connection"), "close");
  Reply(*held.load(), 200, "late");
  const Answer late = busy.ReadAnswer().value_or(Answer{});
  EXPECT_EQ(late.body, "late");
  EXPECT_EQ(late.Header("connection"), "close");
  EXPECT_TRUE(busy.ReadUntilClosed());  // the second request is not answered
}

}  // namespace
}  // namespace webhook::http
