// The listen port of an instance, from outside: through sockets and the plugin's table alone.
#include <sys/socket.h>

#include <fstream>
#include <thread>

#include "absl/time/clock.h"
#include "plugin/testing/listen_port_fixture.h"

namespace webhook {
namespace {

using http::Post;
using runtime::MakeTestCertificate;
using runtime::TestCertificate;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::StartsWith;

const absl::Time kNow = absl::FromUnixSeconds(1'714'557'600);

TEST_F(ListenPortTest, OnePortForTwoInstancesIsRefusedByName) {
  Serve();
  ASSERT_EQ(Create({}, "second").code, LRI_OK);
  const Result second = Start(1);
  EXPECT_EQ(second.code, LRI_ALREADY_EXISTS);
  EXPECT_THAT(second.message, StartsWith("longRunningPort: port " + std::to_string(port_)));
  EXPECT_THAT(second.message, HasSubstr("instance webhook"));
  // The rule is one port for one instance, whatever the address.
  ASSERT_EQ(Create({{"bind_address", "127.0.0.1"}}, "third").code, LRI_OK);
  EXPECT_THAT(Start(2).message, HasSubstr("instance webhook"));
}

TEST_F(ListenPortTest, PortInUseIsReportedByNameAndNumberAtStartAndByTest) {
  ASSERT_EQ(Create().code, LRI_OK);
  ASSERT_EQ(Start().code, LRI_OK);
  lri_plugin* const first = plugin_;
  // Another plugin knows nothing of the first one's ports.
  lri_plugin_options options{};
  options.struct_size = sizeof options;
  ASSERT_EQ(table_->plugin_create(host_.table(), &options, &plugin_, nullptr), LRI_OK);
  ASSERT_EQ(Create({}, "second").code, LRI_OK);
  for (const Result& result : {Start(1), Test(1)}) {
    EXPECT_EQ(result.code, LRI_ALREADY_EXISTS);
    EXPECT_THAT(result.message, StartsWith("longRunningPort: port " + std::to_string(port_)));
    EXPECT_THAT(result.message, HasSubstr("in use"));
  }
  ASSERT_EQ(table_->stop(instances_[0], 0, nullptr), LRI_OK);
  EXPECT_EQ(Test(1).message, "\"ok\"");
  EXPECT_EQ(Start(1).code, LRI_OK);
  for (lri_instance* instance : instances_) {
    ASSERT_EQ(table_->stop(instance, 0, nullptr), LRI_OK);
    table_->destroy(instance);
  }
  instances_.clear();
  table_->plugin_destroy(first);
}

TEST_F(ListenPortTest, AddressOfAnotherMachineIsRefusedAtStartByParameter) {
  ASSERT_EQ(Create({{"bind_address", "192.0.2.1"}}).code, LRI_OK);
  const Result started = Start();
  EXPECT_EQ(started.code, LRI_INVALID_ARGUMENT);
  EXPECT_THAT(started.message, StartsWith("bind_address: 192.0.2.1 is no address"));
  EXPECT_THAT(Create({{"bind_address", "localhost"}}, "b").message, HasSubstr("bind_address must"));
}

TEST_F(ListenPortTest, RequestThatIsRefusedCreatesNothing) {
  Serve();
  EXPECT_EQ(Ask(Post("/", "{}")).status, 401);
  EXPECT_EQ(Ask(Post("/", "{}")).body, "Authorization failed.");
  EXPECT_THAT(Ask(Post("/", "{}")).Header("www-authenticate"), StartsWith("Basic realm="));
  for (const char* path : {"/instance/execute/webhook", "///", "/a", "/%2F", "/%2e", "/?/x/../y"}) {
    EXPECT_EQ(Ask(Post(path, "{}", kGood)).status, path[1] == '?' ? 200 : 404) << path;
  }
  EXPECT_EQ(Ask(Post("//", "{}", kGood)).status, 200);
  const http::Answer get = Ask("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(get.status, 405);
  EXPECT_EQ(get.Header("allow"), "POST");
  EXPECT_EQ(Ask(Post("/", "no JSON", kGood)).status, 400);
  EXPECT_EQ(host_.created(), 2);
}

TEST_F(ListenPortTest, StrangerIsTurnedAwayBeforeTheBody) {
  Serve();
  EXPECT_EQ(Ask("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5000\r\n\r\n").status, 401);
  EXPECT_EQ(Ask(std::string("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999\r\n") + kGood +
                "\r\n")
                .status,
            413);
}

TEST_F(ListenPortTest, EveryAnswerCountsAndAnUpdateKeepsTheCounts) {
  Serve();
  const std::string good = kGood;
  EXPECT_EQ(Ask(Post("/", "{}")).status, 401);
  EXPECT_EQ(Ask(Post("/other", "{}", good)).status, 404);
  EXPECT_EQ(Ask("GET / HTTP/1.1\r\nHost: h\r\n\r\n").status, 405);
  EXPECT_EQ(
      Ask("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999\r\n" + good + "\r\n").status,
      413);
  EXPECT_EQ(Ask(Post("/", "no JSON", good)).status, 400);
  EXPECT_EQ(Ask(Post("/", "{}", good)).status, 200);
  host_.FailBatches();
  EXPECT_EQ(Ask(Post("/", "{}", good)).status, 503);
  EXPECT_EQ(AnswerCounts(), (std::vector<uint64_t>{1, 5, 1}));
  Change({{"password", "new"}, {"longRunningPort", std::to_string(FreePorts(1)[0])}});
  EXPECT_EQ(AnswerCounts(), (std::vector<uint64_t>{1, 5, 1}));
}

TEST_F(ListenPortTest, HeadersKeepTheDocumentsRules) {
  Serve();
  const std::string good = kGood;
  EXPECT_THAT(Ask(Post("/", "{}", good + "X-Name: M\xc3\xbcller\r\n")).body,
              HasSubstr("a header is not ASCII"));
  EXPECT_THAT(Ask(Post("/", "{}", good + "Content-Language: M\xc3\xbcller\r\n")).body,
              HasSubstr("ASCII characters alone"));
  EXPECT_EQ(Ask(Post("/", "{}", "Authorization: Basic \xff\r\n")).status, 400);
  EXPECT_EQ(Ask(Post("/", "{}", good + "X\xc3\xbc: 1\r\n")).status, 400);
  EXPECT_EQ(Ask(Post("/", "{}", good + "X-A: 1\r\n b\r\n")).status, 400);
  EXPECT_EQ(Ask(Post("/", "{}", good + "X-A: " + std::string(70'000, 'a') + "\r\n")).status, 431);
  EXPECT_EQ(Ask(Post("/", "{}", "AUTHORIZATION: Basic dXNlcjpwYXNz\r\n")).status, 200);
}

TEST_F(ListenPortTest, DocumentedExampleCreatesItsIncident) {
  Serve();
  const http::Answer answer = Ask(Post("/",
                                       R"({"name":"incident created via generic webhook",)"
                                       R"("rawJson":{"some_field":"some_value"}})",
                                       kGood));
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.Header("content-type"), "application/json");
  EXPECT_EQ(answer.body, R"([{"id":"7","name":"incident created via generic webhook","type":"",)"
                         R"("occurred":"2024-05-01T10:00:00Z","created":"2024-05-01T10:00:01Z",)"
                         R"("sourceBrand":"Generic Webhook","sourceInstance":"webhook"}])");
}

TEST_F(ListenPortTest, AnswersFromTheHostsThreadReachPipelinedRequestsInOrder) {
  Serve();
  host_.Hold();
  TestClient client(port_);
  client.Send(Post("/", R"({"name":"a"})", kGood) + Post("/", R"({"name":"b"})", kGood));
  host_.WaitUntilHeld(1);
  host_.Release();
  for (const char* name : {"\"a\"", "\"b\""}) {
    const auto answer = client.ReadAnswer();
    ASSERT_TRUE(answer.has_value());
    EXPECT_THAT(answer->body, HasSubstr(name));
  }
}

TEST_F(ListenPortTest, HostThatTakesNothingIsAnswered503) {
  Serve();
  host_.Refuse(LRI_UNAVAILABLE);
  const http::Answer answer = Ask(Post("/", "{}", kGood));
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(answer.Header("retry-after"), "1");
}

TEST_F(ListenPortTest, SenderThatGoesAwayLeavesNothingBehind) {
  Serve();
  host_.Hold();
  {
    TestClient client(port_);
    client.Send(Post("/", "{}", kGood));
    host_.WaitUntilHeld(1);
    client.Reset();
  }
  EXPECT_EQ(table_->stop(instances_[0], 0, nullptr), LRI_DEADLINE_EXCEEDED);
  host_.Release();
  EXPECT_EQ(table_->stop(instances_[0], 0, nullptr), LRI_OK);
}

TEST_F(ListenPortTest, StopTakesNoConnectionsAndAnswersWhatIsInFlight) {
  Serve();
  host_.Hold();
  TestClient client(port_), idle(port_);
  client.Send(Post("/", "{}", kGood));
  host_.WaitUntilHeld(1);
  std::future<int32_t> stopped = std::async(
      std::launch::async, [this] { return table_->stop(instances_[0], InAMinute(), nullptr); });
  ASSERT_TRUE(idle.ReadUntilClosed());  // the drain has begun
  EXPECT_FALSE(TestClient(port_).connected());
  host_.Release();
  const auto answer = client.ReadAnswer();
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->status, 200);
  EXPECT_TRUE(client.ReadUntilClosed());
  EXPECT_EQ(stopped.get(), LRI_OK);
}

TEST_F(ListenPortTest, StoppedInstanceServesAgainOnTheSamePort) {
  Serve();
  ASSERT_EQ(Ask(Post("/", "{}", kGood)).status, 200);
  ASSERT_EQ(table_->stop(instances_[0], 0, nullptr), LRI_OK);
  ASSERT_EQ(Start().code, LRI_OK);
  EXPECT_EQ(Ask(Post("/", "{}", kGood)).status, 200);
}

TEST_F(ListenPortTest, ExpiredPasswordStopsWorkingOnTime) {
  Serve({{"passwords", R"([{"password": "old", "expires": "2024-05-01T10:00:10Z"}])"}});
  const char* const old = "Authorization: Basic dXNlcjpvbGQ=\r\n";
  host_.PassTime(9);
  EXPECT_EQ(Ask(Post("/", "{}", old)).status, 200);
  host_.PassTime(1);
  EXPECT_EQ(Ask(Post("/", "{}", old)).status, 401);
  EXPECT_EQ(Ask(Post("/", "{}", kGood)).status, 200);
}

TEST_F(ListenPortTest, ManyInstancesShareTheThreads) {
  const std::vector<uint16_t> ports = FreePorts(50);
  Serve();
  const auto threads = [] {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with("Threads:")) return line;
    }
    return std::string();
  };
  const std::string before = threads();
  for (size_t i = 0; i < ports.size(); ++i) {
    ASSERT_EQ(Create({{"longRunningPort", std::to_string(ports[i])}}, "i" + std::to_string(i)).code,
              LRI_OK);
    ASSERT_EQ(Start(i + 1).code, LRI_OK);
  }
  for (const uint16_t port : ports) EXPECT_EQ(AskAt(port, Post("/", "{}", kGood)).status, 200);
  EXPECT_EQ(threads(), before);
}

TEST_F(ListenPortTest, ListenerThatDiesIsPutUpAgainAndTheHostIsTold) {
  Serve();
  EXPECT_EQ(host_.health().first, LRI_HEALTHY);
  TestClient before(port_);
  ASSERT_EQ(AskOn(before, Post("/", "{}", kGood)).status, 200);
  shutdown(ListeningSocket(port_), SHUT_RDWR);
  while (ListeningSocket(port_) < 0 || !TestClient(port_).connected()) std::this_thread::yield();
  EXPECT_EQ(host_.AwaitHealth(LRI_HEALTHY), "serves");
  EXPECT_EQ(Ask(Post("/", "{}", kGood)).status, 200);
  EXPECT_THAT(host_.logs(), Contains(HasSubstr("does not listen")));
  EXPECT_THAT(host_.logs(), Contains(HasSubstr("listens again")));
  EXPECT_EQ(Test().message, "\"ok\"");
}

// ---- HTTPS
// ---------------------------------------------------------------------------------------

TestCertificate Certificate(const std::string& name, absl::Duration valid_for = absl::Hours(9999)) {
  return MakeTestCertificate(name, kNow - absl::Hours(9999), kNow + valid_for);
}

Parameters Https(const TestCertificate& one) {
  return {{"certificate", one.certificate}, {"key", one.key}};
}

TEST_F(ListenPortTest, CertificateThatCannotServeIsRefusedWhenConfigured) {
  const TestCertificate one = Certificate("one");
  EXPECT_THAT(Create({{"certificate", one.certificate}, {"key", Certificate("other").key}}).message,
              StartsWith("key: it does not belong"));
  EXPECT_THAT(Create({{"certificate", one.certificate}, {"key", one.encrypted_key}}).message,
              StartsWith("key: it is encrypted"));
  EXPECT_THAT(Create({{"certificate", one.certificate}}).message, StartsWith("key is missing"));
}

TEST_F(ListenPortTest, PlainHttpIsNotServedWhereHttpsIs) {
  Serve(Https(Certificate("one")));
  const http::Answer plain = Ask(Post("/", "{}", kGood));
  EXPECT_EQ(plain.status, 400);
  EXPECT_THAT(plain.body, HasSubstr("this port speaks HTTPS"));
  EXPECT_EQ(host_.created(), 0);
  TlsClient client(port_);
  EXPECT_EQ(client.ServerName(), "one");
  EXPECT_THAT(client.Ask(Post("/", "{}", kGood)), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(client.Ask(Post("/", "{}")), StartsWith("HTTP/1.1 401"));
}

TEST_F(ListenPortTest, SenderWithoutTheRightClientCertificateIsRefused) {
  const TestCertificate authority = Certificate("authority");
  // The handshake is judged by the system's clock, not the host's.
  const TestCertificate known = MakeTestCertificate("known", absl::Now() - absl::Hours(1),
                                                    absl::Now() + absl::Hours(1), &authority);
  const TestCertificate ours =
      MakeTestCertificate("authority", absl::Now() - absl::Hours(1), absl::Now() + absl::Hours(1));
  const TestCertificate client_of_ours = MakeTestCertificate("known", absl::Now() - absl::Hours(1),
                                                             absl::Now() + absl::Hours(1), &ours);
  Parameters parameters = Https(Certificate("one"));
  parameters.emplace_back("client_ca", ours.certificate);
  Serve(parameters);
  EXPECT_EQ(TlsClient(port_).Ask(Post("/", "{}", kGood)), "");
  EXPECT_EQ(TlsClient(port_, known.certificate, known.key).Ask(Post("/", "{}", kGood)), "");
  EXPECT_THAT(
      TlsClient(port_, client_of_ours.certificate, client_of_ours.key).Ask(Post("/", "{}", kGood)),
      StartsWith("HTTP/1.1 200"));
}

TEST_F(ListenPortTest, ChangedTrustEndsOpenConnections) {
  Serve();
  TestClient plain(port_);
  ASSERT_EQ(AskOn(plain, Post("/", "{}", kGood)).status, 200);
  Parameters parameters = Https(Certificate("one"));
  Change(parameters);
  EXPECT_EQ(AskOn(plain, Post("/", "{}", kGood)).status, 0);
  TlsClient stranger(port_);
  ASSERT_THAT(stranger.Ask(Post("/", "{}", kGood)), StartsWith("HTTP/1.1 200"));
  const TestCertificate known =
      MakeTestCertificate("known", absl::Now() - absl::Hours(1), absl::Now() + absl::Hours(1));
  parameters.emplace_back("client_ca", known.certificate);
  Change(parameters);
  EXPECT_EQ(stranger.Ask(Post("/", "{}", kGood)), "");
  TlsClient client(port_, known.certificate, known.key);
  ASSERT_THAT(client.Ask(Post("/", "{}", kGood)), StartsWith("HTTP/1.1 200"));
  // Connections to a port that is given up may ask once more, but not those of another policy.
  parameters.back().second = Certificate("nobody").certificate;
  parameters.emplace_back("longRunningPort", std::to_string(FreePorts(1)[0]));
  Change(parameters);
  EXPECT_EQ(client.Ask(Post("/", "{}", kGood)), "");
}

TEST_F(ListenPortTest, AuthorityThatHasExpiredIsNamedInHealthAndTest) {
  Parameters parameters = Https(Certificate("one"));
  parameters.emplace_back("client_ca", Certificate("authority", absl::Hours(-1)).certificate);
  Serve(parameters);
  EXPECT_THAT(host_.health().second, StartsWith("client_ca: it expired on 2024-05-01"));
  EXPECT_THAT(Test().message, StartsWith("client_ca: it expired on 2024-05-01"));
}

TEST_F(ListenPortTest, ExpiredCertificateIsWarnedOfEverywhereButServed) {
  Serve(Https(Certificate("one", absl::Hours(-1))));
  EXPECT_THAT(host_.logs(), Contains(HasSubstr("certificate: it expired on 2024-05-01")));
  EXPECT_EQ(host_.health().first, LRI_DEGRADED);
  EXPECT_THAT(host_.health().second, HasSubstr("it expired on"));
  EXPECT_EQ(Test().code, LRI_FAILED_PRECONDITION);
  EXPECT_THAT(Test().message, StartsWith("certificate: it expired on"));
  std::vector<std::string> warnings;
  const auto sink = [](void* context, const lri_description* description) {
    for (size_t i = 0; i < description->warnings.count; ++i) {
      static_cast<std::vector<std::string>*>(context)->push_back(
          Text(description->warnings.data[i]));
    }
  };
  ASSERT_EQ(table_->describe(instances_[0], sink, &warnings), LRI_OK);
  EXPECT_THAT(warnings, Contains(HasSubstr("it expired on")));
  EXPECT_THAT(TlsClient(port_).Ask(Post("/", "{}", kGood)), StartsWith("HTTP/1.1 200"));
}

// ---- update
// --------------------------------------------------------------------------------------

TEST_F(ListenPortTest, UpdateThatCannotBeChangesNothing) {
  Serve();
  lri_update* update = nullptr;
  EXPECT_THAT(Prepare({{"key", "PEM"}}, &update).message, StartsWith("certificate is missing"));
  EXPECT_THAT(Prepare({}, &update, "renamed").message, HasSubstr("name of instance webhook"));
  EXPECT_THAT(Prepare({{"bind_address", "nowhere"}}, &update).message,
              StartsWith("bind_address must be"));
  EXPECT_EQ(update, nullptr);
  EXPECT_EQ(Ask(Post("/", "{}", kGood)).status, 200);
}

TEST_F(ListenPortTest, PortOfAnotherProgramIsRefusedWhenAnUpdateIsPrepared) {
  Serve();
  lri_plugin* const first = plugin_;
  lri_plugin_options options{};
  options.struct_size = sizeof options;
  lri_plugin* other = nullptr;
  ASSERT_EQ(table_->plugin_create(host_.table(), &options, &other, nullptr), LRI_OK);
  plugin_ = other;
  const std::string taken = std::to_string(FreePorts(1)[0]);
  ASSERT_EQ(Create({{"longRunningPort", taken}}, "second").code, LRI_OK);
  ASSERT_EQ(Start(1).code, LRI_OK);
  plugin_ = first;
  lri_update* update = nullptr;
  const Result prepared = Prepare({{"longRunningPort", taken}}, &update);
  EXPECT_EQ(prepared.code, LRI_ALREADY_EXISTS);
  EXPECT_THAT(prepared.message, StartsWith("longRunningPort: port " + taken));
  EXPECT_EQ(Ask(Post("/", "{}", kGood)).status, 200);
  ASSERT_EQ(table_->stop(instances_[1], 0, nullptr), LRI_OK);
  table_->destroy(instances_[1]);
  instances_.pop_back();
  table_->plugin_destroy(other);
}

TEST_F(ListenPortTest, AbortedUpdateGivesItsPortBack) {
  const std::vector<uint16_t> ports = FreePorts(1);
  Serve();
  lri_update* update = nullptr;
  ASSERT_EQ(Prepare({{"longRunningPort", std::to_string(ports[0])}}, &update).code, LRI_OK);
  EXPECT_GE(ListeningSocket(ports[0]), 0);
  table_->update_abort(update);
  EXPECT_LT(ListeningSocket(ports[0]), 0);
  EXPECT_EQ(Create({{"longRunningPort", std::to_string(ports[0])}}, "second").code, LRI_OK);
  EXPECT_EQ(Ask(Post("/", "{}", kGood)).status, 200);
}

TEST_F(ListenPortTest, NewPasswordHoldsOnAnOpenConnectionAndForAHeadThatWasJudgedBefore) {
  Serve();
  TestClient open(port_), half(port_);
  ASSERT_EQ(AskOn(open, Post("/", "{}", kGood)).status, 200);
  const std::string request = Post("/", R"({"name":"half"})", kGood);
  half.Send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n" + std::string(kGood) + "\r\n");
  TestClient held(port_);
  host_.Hold();
  held.Send(request);
  host_.WaitUntilHeld(1);
  Change({{"password", "new"}});
  EXPECT_EQ(AskOn(open, Post("/", "{}", kGood)).status, 401);
  half.Send("{}");
  EXPECT_EQ(half.ReadAnswer().value_or(http::Answer{}).status, 401);
  host_.Release();
  EXPECT_EQ(held.ReadAnswer().value_or(http::Answer{}).status, 200);
  EXPECT_EQ(AskOn(open, Post("/", "{}", "Authorization: Basic dXNlcjpuZXc=\r\n")).status, 200);
}

TEST_F(ListenPortTest, NewCertificateIsShownToNewConnectionsAndOldOnesLiveOn) {
  Serve(Https(Certificate("old")));
  TlsClient before(port_);
  ASSERT_EQ(before.ServerName(), "old");
  Change(Https(Certificate("new")));
  TlsClient after(port_);
  EXPECT_EQ(after.ServerName(), "new");
  EXPECT_THAT(before.Ask(Post("/", "{}", kGood)), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(after.Ask(Post("/", "{}", kGood)), StartsWith("HTTP/1.1 200"));
}

TEST_F(ListenPortTest, NewPortServesAndTheOldOneIsDrained) {
  const uint16_t moved = FreePorts(1)[0];
  Serve();
  host_.Hold();
  TestClient in_flight(port_), idle(port_);
  in_flight.Send(Post("/", "{}", kGood));
  host_.WaitUntilHeld(1);
  Change({{"longRunningPort", std::to_string(moved)}});
  EXPECT_FALSE(TestClient(port_).connected());
  host_.Release();
  // It knows nothing of the new port, and may ask once more.
  EXPECT_EQ(AskOn(idle, Post("/", "{}", kGood)).Header("connection"), "close");
  EXPECT_EQ(in_flight.ReadAnswer().value_or(http::Answer{}).status, 200);
  EXPECT_EQ(AskAt(moved, Post("/", "{}", kGood)).status, 200);
  // Nobody has the old port any more.
  EXPECT_EQ(Create({}, "second").code, LRI_OK);
  EXPECT_EQ(Start(1).code, LRI_OK);
}

TEST_F(ListenPortTest, MissingPortIsRefusedAndTheOldOneServesOn) {
  Serve();
  lri_update* update = nullptr;
  EXPECT_THAT(Prepare({{"longRunningPort", ""}, {"bind_address", ""}}, &update).message,
              StartsWith("longRunningPort is required for XSOAR_6"));
  EXPECT_EQ(Ask(Post("/", "{}", kGood)).status, 200);
}

TEST_F(ListenPortTest, PortGoesAndComesBackWithThePlatform) {
  Serve();
  product_ = "XSOAR_8_ON_PREM";
  Change({{"longRunningPort", ""}, {"bind_address", ""}});
  product_ = "XSOAR_6";
  lri_update* update = nullptr;
  ASSERT_EQ(Prepare({{"longRunningPort", std::to_string(FreePorts(1)[0])}}, &update).code, LRI_OK);
  table_->update_abort(update);
  const uint16_t again = FreePorts(1)[0];
  Change({{"longRunningPort", std::to_string(again)}});
  EXPECT_EQ(AskAt(again, Post("/", "{}", kGood)).status, 200);
}

TEST_F(ListenPortTest, InstanceThatDoesNotServeIsChangedWithoutBeingStarted) {
  ASSERT_EQ(Create().code, LRI_OK);
  const uint16_t moved = FreePorts(1)[0];
  Change({{"longRunningPort", std::to_string(moved)}});
  EXPECT_LT(ListeningSocket(moved), 0);
  ASSERT_EQ(Start().code, LRI_OK);
  EXPECT_EQ(AskAt(moved, Post("/", "{}", kGood)).status, 200);
}

// ---- test
// ----------------------------------------------------------------------------------------

TEST_F(ListenPortTest, TestNamesWhatIsWrongWithTheHost) {
  Serve();
  host_.FailBatches();
  EXPECT_EQ(Test().code, LRI_UNAVAILABLE);
  EXPECT_THAT(Test().message, HasSubstr("the disk is full"));
  host_.Refuse(LRI_UNAVAILABLE);
  EXPECT_EQ(Test().code, LRI_UNAVAILABLE);
  EXPECT_THAT(Test().message, HasSubstr("the host takes no incidents"));
}

TEST_F(ListenPortTest, TestNeverTripsOverItsOwnPort) {
  ASSERT_EQ(Create().code, LRI_OK);
  const auto press = [this] {
    for (int i = 0; i < 20; ++i) EXPECT_EQ(Test().message, "\"ok\"");
  };
  std::thread other(press);
  press();
  other.join();
  EXPECT_LT(ListeningSocket(port_), 0);
  ASSERT_EQ(Start().code, LRI_OK);
  std::thread another(press);
  press();
  another.join();
  EXPECT_EQ(host_.created(), 0);
  EXPECT_EQ(Ask(Post("/", "{}", kGood)).status, 200);
}

TEST_F(ListenPortTest, TestTellsWarningsBesideTheOk) {
  Serve({{"username", ""}, {"password", ""}});
  const Result result = Test();
  EXPECT_EQ(result.code, LRI_OK);
  EXPECT_THAT(result.message, StartsWith(R"({"result":"ok","warnings":["no credentials are set)"));
  EXPECT_THAT(result.message, HasSubstr("unexpected requests"));
}

TEST_F(ListenPortTest, TestOfPasswordsThatHaveAllExpiredSaysSo) {
  Serve({{"password", ""},
         {"passwords", R"([{"password": "p", "expires": "2024-05-01T10:00:10Z"}])"}});
  EXPECT_EQ(Test().message, "\"ok\"");
  host_.PassTime(10);
  EXPECT_EQ(Test().code, LRI_FAILED_PRECONDITION);
  EXPECT_THAT(Test().message, StartsWith("passwords: all of them have expired"));
}

TEST_F(ListenPortTest, StopWaitsForATestThatIsInFlight) {
  Serve();
  host_.Hold();
  std::future<Result> tested = std::async(std::launch::async, [this] { return Test(); });
  host_.WaitUntilHeld(1);
  EXPECT_EQ(table_->stop(instances_[0], 0, nullptr), LRI_DEADLINE_EXCEEDED);
  host_.Release();
  EXPECT_EQ(tested.get().message, "\"ok\"");
  EXPECT_EQ(table_->stop(instances_[0], 0, nullptr), LRI_OK);
}

}  // namespace
}  // namespace webhook
