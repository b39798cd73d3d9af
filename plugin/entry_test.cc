// The plugin as a host sees it: through its table alone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <functional>
#include <initializer_list>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "plugin/abi/long_running_integration.h"

extern "C" const lri_plugin_table* lri_plugin_entry_v1(uint32_t);

namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using Headers = std::vector<std::pair<std::string, std::string>>;

lri_view View(const std::string& text) { return {text.data(), text.size()}; }
std::string Text(lri_view view) { return std::string(view.data, view.size); }

struct Answer {
  int status = 0;
  Headers headers;
  std::string body;

  std::string Header(const std::string& name) const {
    for (const auto& [key, value] : headers) {
      if (key == name) return value;
    }
    return "(none)";
  }
};

Answer Copy(const lri_answer& answer) {
  Answer copy{.status = answer.status, .headers = {}, .body = Text(answer.body)};
  for (size_t i = 0; i < answer.headers.count; ++i) {
    copy.headers.emplace_back(Text(answer.headers.data[i].name),
                              Text(answer.headers.data[i].value));
  }
  return copy;
}

struct Incident {
  std::string name, type, occurred, details;
  std::string request_address, request_query;  // of its batch
};

// A host that keeps incidents in a vector, and answers in the way that a test chooses.
class FakeHost {
 public:
  FakeHost() {
    table_.struct_size = sizeof table_;
    table_.context = this;
    table_.create_incidents = [](void* context, lri_host_instance*,
                                 const lri_incident_batch* batch) {
      return static_cast<FakeHost*>(context)->Create(*batch);
    };
    table_.complete = [](void* context, lri_call*, const lri_answer* answer) {
      static_cast<FakeHost*>(context)->answers.push_back(Copy(*answer));
    };
    table_.now = [](void* context) { return static_cast<FakeHost*>(context)->now_ns; };
    table_.log = [](void* context, lri_host_instance*, int32_t, lri_view line) {
      static_cast<FakeHost*>(context)->log.push_back(Text(line));
    };
  }

  const lri_host* table() const { return &table_; }

  void CompleteHeld() { std::exchange(held_, nullptr)(); }

  std::function<void()> TakeHeld() { return std::exchange(held_, nullptr); }

  std::vector<Incident> incidents;
  std::vector<Answer> answers;
  int32_t create_code = LRI_OK;   // what create_incidents returns
  int32_t outcome = LRI_CREATED;  // what done tells
  int32_t outcome_code = LRI_OK;
  int64_t now_ns = 1'714'557'600'000'000'000;  // 2024-05-01 10:00
  std::vector<std::string> log;
  bool hold = false;  // done waits for CompleteHeld

 private:
  int32_t Create(const lri_incident_batch& batch) {
    if (create_code != LRI_OK) return create_code;
    for (size_t i = 0; i < batch.incidents.count; ++i) {
      const lri_incident& incident = batch.incidents.data[i];
      std::string details;
      for (size_t s = 0; s < incident.details.count; ++s) {
        details += Text(incident.details.data[s]);
      }
      incidents.push_back({Text(incident.name), Text(incident.type), Text(incident.occurred),
                           details, Text(batch.request_address), Text(batch.request_query)});
    }
    held_ = [this, &batch] { Done(batch); };
    if (!hold) CompleteHeld();
    return LRI_OK;
  }

  void Done(const lri_incident_batch& batch) {
    std::vector<std::string> ids;
    for (size_t i = 0; i < batch.incidents.count; ++i) ids.push_back(std::to_string(++last_id_));
    const std::string created = "2024-05-01T10:00:01Z";
    std::vector<lri_created_incident> results(ids.size());
    for (size_t i = 0; i < ids.size(); ++i)
      results[i] = {View(ids[i]), View(created), 0, 0, {}, {}, {}};
    lri_create_result result{};
    result.struct_size = sizeof result;
    result.outcome = outcome;
    result.code = outcome_code;
    if (outcome == LRI_CREATED) {
      result.incidents = results.data();
      result.count = results.size();
      result.stride = sizeof(lri_created_incident);
    }
    batch.done(batch.done_context, &result);
  }

  lri_host table_{};
  int last_id_ = 0;
  std::function<void()> held_;
};

class EntryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    lri_plugin_options options{};
    options.struct_size = sizeof options;
    ASSERT_EQ(table_->plugin_create(host_.table(), &options, &plugin_, nullptr), LRI_OK);
  }

  void TearDown() override {
    if (instance_ != nullptr) {
      EXPECT_EQ(table_->stop(instance_, 0, nullptr), LRI_OK);
      table_->destroy(instance_);
    }
    table_->plugin_destroy(plugin_);
  }

  template <typename Call>
  int32_t WithOptions(const Headers& parameters, const std::string& name, Call call) {
    std::vector<lri_pair> pairs;
    for (const auto& [key, value] : parameters) pairs.push_back({View(key), View(value)});
    const std::string url = "https://my.xsoar.live";
    lri_instance_options options{};
    options.struct_size = sizeof options;
    options.name = View(name);
    options.product = View(product_);
    options.platform_url = View(url);
    options.parameters = {pairs.data(), pairs.size(), sizeof(lri_pair)};
    return call(options);
  }

  std::string Create(const Headers& parameters, const std::string& name = "webhook") {
    lri_error error{sizeof(lri_error), {}};
    const int32_t code = WithOptions(parameters, name, [&](const lri_instance_options& options) {
      return table_->create(plugin_, &options, &instance_, &error);
    });
    return code == LRI_OK ? "ok" : error.message;
  }

  void Change(const Headers& parameters) {
    lri_update* update = nullptr;
    ASSERT_EQ(WithOptions(parameters, "webhook",
                          [&](const lri_instance_options& options) {
                            return table_->update_prepare(instance_, &options, &update, nullptr);
                          }),
              LRI_OK);
    table_->update_commit(update);
  }

  void Start(const Headers& parameters) {
    ASSERT_EQ(Create(parameters), "ok");
    ASSERT_EQ(table_->start(instance_, nullptr), LRI_OK);
  }

  struct Sent {
    std::string method = "POST";
    std::string remainder;
    Headers headers;
    std::string body;
    std::string query;
    std::string peer;
    uint32_t peer_flags = 0;
  };

  int32_t Execute(const Sent& sent, uint64_t ticket = 0) {
    std::vector<lri_pair> pairs;
    for (const auto& [key, value] : sent.headers) pairs.push_back({View(key), View(value)});
    lri_request_head head{};
    head.struct_size = sizeof head;
    head.method = View(sent.method);
    head.remainder = View(sent.remainder);
    head.query = View(sent.query);
    head.peer_address = View(sent.peer);
    head.peer_flags = sent.peer_flags;
    head.headers = {pairs.data(), pairs.size(), sizeof(lri_pair)};
    head.content_length = sent.body.size();
    // A held batch reads the body later, so it lives as long as the test.
    bodies_.push_back(sent.body + std::string(LRI_BODY_PADDING, '\0'));
    lri_request request{};
    request.struct_size = sizeof request;
    request.head = &head;
    request.body = {bodies_.back().data(), sent.body.size()};
    request.head_ticket = ticket;
    return table_->execute(instance_, &request);
  }

  Answer Ask(const Sent& sent) {
    const size_t before = host_.answers.size();
    EXPECT_EQ(Execute(sent), LRI_OK);
    EXPECT_EQ(host_.answers.size(), before + 1);
    return host_.answers.back();
  }

  struct Judged {
    lri_head_verdict verdict{sizeof(lri_head_verdict), 0, 0, 0};
    Answer answer;
  };

  // What check_head says of a POST with these headers.
  Judged CheckHead(lri_instance* instance, const Headers& headers) {
    std::vector<lri_pair> pairs;
    for (const auto& [key, value] : headers) pairs.push_back({View(key), View(value)});
    const std::string method = "POST";
    lri_request_head head{};
    head.struct_size = sizeof head;
    head.method = View(method);
    head.headers = {pairs.data(), pairs.size(), sizeof(lri_pair)};
    head.content_length = LRI_LENGTH_UNKNOWN;
    Judged judged;
    const auto sink = [](void* context, const lri_answer* answer) {
      *static_cast<Answer*>(context) = Copy(*answer);
    };
    EXPECT_EQ(table_->check_head(instance, &head, sink, &judged.answer, &judged.verdict), LRI_OK);
    return judged;
  }

  // Of a POST that carries the ticket.
  int StatusWithTicket(uint64_t ticket, const Headers& headers = {}) {
    EXPECT_EQ(Execute({.headers = headers, .body = "{}"}, ticket), LRI_OK);
    return host_.answers.back().status;
  }

  const lri_plugin_table* const table_ = lri_plugin_entry_v1(LRI_ABI_MINOR);
  FakeHost host_;
  lri_plugin* plugin_ = nullptr;
  lri_instance* instance_ = nullptr;
  std::string product_ = "XSOAR_8_ON_PREM";  // asks for no parameter
  std::deque<std::string> bodies_;
};

const Headers kBasic = {{"username", "user"}, {"password", "pass"}};
const std::pair<std::string, std::string> kGood = {"Authorization", "Basic dXNlcjpwYXNz"};

TEST_F(EntryTest, HostWithoutRequiredFunctionsIsRefusedWithTheirNames) {
  lri_host empty{};
  empty.struct_size = sizeof empty;
  lri_plugin* plugin = nullptr;
  lri_error error{sizeof(lri_error), {}};
  EXPECT_EQ(table_->plugin_create(&empty, nullptr, &plugin, &error), LRI_INVALID_ARGUMENT);
  EXPECT_THAT(error.message, HasSubstr("create_incidents"));
}

TEST_F(EntryTest, UnknownLimitIsRefused) {
  const std::string name = "bodies", value = "1";
  const lri_pair pair{View(name), View(value)};
  lri_plugin_options options{sizeof(lri_plugin_options), 0, {&pair, 1, sizeof pair}};
  lri_plugin* plugin = nullptr;
  lri_error error{sizeof(lri_error), {}};
  EXPECT_EQ(table_->plugin_create(host_.table(), &options, &plugin, &error), LRI_INVALID_ARGUMENT);
  EXPECT_THAT(error.message, HasSubstr("unknown limit \"bodies\""));
}

TEST_F(EntryTest, BadConfigurationIsRefusedWithTheParametersName) {
  EXPECT_THAT(Create({{"password", "pass"}}), HasSubstr("username"));
}

TEST_F(EntryTest, NothingIsServedBeforeStartAndAfterStop) {
  ASSERT_EQ(Create(kBasic), "ok");
  EXPECT_EQ(Execute({.headers = {kGood}, .body = "{}"}), LRI_UNAVAILABLE);
  ASSERT_EQ(table_->start(instance_, nullptr), LRI_OK);
  EXPECT_EQ(table_->start(instance_, nullptr), LRI_FAILED_PRECONDITION);
  ASSERT_EQ(table_->stop(instance_, 0, nullptr), LRI_OK);
  EXPECT_EQ(Execute({.headers = {kGood}, .body = "{}"}), LRI_UNAVAILABLE);
  EXPECT_TRUE(host_.answers.empty());
}

TEST_F(EntryTest, AddressThatIsNotAllowedIs403BeforeEverythingElse) {
  Start({{"allow", "192.0.2.0/24, 2001:db8::/32"}});
  host_.log.clear();
  const std::string refused[] = {"198.51.100.1", "2001:db9::1", "unix", "", "nonsense"};
  for (const std::string& peer : refused) {
    const Answer answer =
        Ask({.method = "GET", .remainder = "/other", .body = "no JSON", .peer = peer});
    EXPECT_EQ(answer.status, 403) << peer;
    EXPECT_EQ(answer.body, "Your address may not send here.");
  }
  ASSERT_EQ(host_.log.size(), 1u);
  EXPECT_THAT(host_.log[0], HasSubstr("from 198.51.100.1 was refused: its address is not in"));
  EXPECT_EQ(Ask({.body = "{}", .peer = "192.0.2.1", .peer_flags = LRI_PEER_DOUBTFUL}).status, 403);
  EXPECT_TRUE(host_.incidents.empty());
  EXPECT_EQ(Ask({.body = "{}", .peer = "192.0.2.1"}).status, 200);
  EXPECT_EQ(Ask({.body = "{}", .peer = "::ffff:192.0.2.1"}).status, 200);
  EXPECT_EQ(Ask({.body = "{}", .peer = "2001:db8::1"}).status, 200);
}

TEST_F(EntryTest, AddressOfManyWrongCredentialsIsSlowedDownAndRightOnesNeverAre) {
  Start(kBasic);
  const Headers wrong = {{"Authorization", "Basic dXNlcjp3cm9uZw=="}};
  const std::string sender = "2001:db8:1:2::1", neighbour = "2001:db8:1:2::ffff";
  const auto guess = [&](int times) {
    for (int i = 0; i < times; ++i) {
      EXPECT_EQ(Ask({.headers = wrong, .body = "{}", .peer = sender}).status, 401);
    }
  };
  guess(100);
  const Answer answer = Ask({.headers = wrong, .body = "{}", .peer = neighbour});
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(answer.Header("Retry-After"), "10");
  EXPECT_EQ(answer.Header("WWW-Authenticate"), "(none)");
  EXPECT_EQ(Ask({.headers = {kGood}, .body = "{}", .peer = "192.0.2.7"}).status, 200);
  EXPECT_EQ(Ask({.headers = wrong, .body = "{}", .peer = sender}).status, 503);
  EXPECT_EQ(Ask({.headers = {kGood}, .body = "{}", .peer = sender}).status, 200);
  guess(100);  // it has started anew
  EXPECT_EQ(Ask({.headers = wrong, .body = "{}", .peer = sender}).status, 503);
  EXPECT_EQ(Ask({.headers = wrong, .body = "{}", .peer = "192.0.2.1"}).status, 401);
  EXPECT_EQ(Ask({.body = "{}", .peer = sender}).status, 401);    // none: it waits for a challenge
  EXPECT_EQ(Ask({.headers = wrong, .body = "{}"}).status, 401);  // not known whose it is
  host_.now_ns += int64_t{10 * 60} * 1'000'000'000;
  EXPECT_EQ(Ask({.headers = wrong, .body = "{}", .peer = sender}).status, 401);
}

TEST_F(EntryTest, MoreRequestsThanASecondMayHaveAre503WithRetryAfter) {
  Start({{"username", "user"}, {"password", "pass"}, {"requests_per_second", "3"}});
  host_.log.clear();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Ask({.headers = {kGood}, .body = "{}"}).status, 200);
  const Answer answer = Ask({.headers = {kGood}, .body = "{}"});
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(answer.Header("Retry-After"), "1");
  EXPECT_EQ(CheckHead(instance_, {kGood}).verdict.refused, 1u);
  ASSERT_EQ(host_.log.size(), 1u);
  EXPECT_THAT(host_.log[0], HasSubstr("more came than requests_per_second allows"));
  // Strangers use up nothing.
  host_.now_ns += 400'000'000;
  for (int i = 0; i < 9; ++i) EXPECT_EQ(Ask({.body = "{}"}).status, 401);
  // With its ticket a request is not counted twice.
  const Judged judged = CheckHead(instance_, {kGood});
  EXPECT_EQ(judged.verdict.refused, 0u);
  EXPECT_EQ(StatusWithTicket(judged.verdict.ticket, {kGood}), 200);
  EXPECT_EQ(Ask({.headers = {kGood}, .body = "{}"}).status, 503);
  host_.now_ns -= int64_t{3600} * 1'000'000'000;  // the clock is set back
  EXPECT_EQ(Ask({.headers = {kGood}, .body = "{}"}).status, 200);
}

TEST_F(EntryTest, MoreRequestsAtOnceThanConcurrentRequestsAreRefusedUntilOneIsDone) {
  Start({{"concurrent_requests", "1"}, {"rate_limit_status", "429"}});
  host_.hold = true;
  EXPECT_EQ(Execute({.body = "{}"}), LRI_OK);
  EXPECT_TRUE(host_.answers.empty());
  const Answer answer = Ask({.body = "{}"});
  EXPECT_EQ(answer.status, 429);
  EXPECT_EQ(answer.Header("Retry-After"), "1");
  EXPECT_EQ(CheckHead(instance_, {}).answer.status, 429);
  host_.CompleteHeld();
  EXPECT_EQ(host_.answers.back().status, 200);
  host_.hold = false;
  EXPECT_EQ(Ask({.body = "{}"}).status, 200);
  // A request that is refused for its body is over, too.
  EXPECT_EQ(Ask({.body = "no JSON"}).status, 400);
  EXPECT_EQ(Ask({.body = "{}"}).status, 200);
}

TEST_F(EntryTest, TokenThatASourceHasInItsUrlIsKeptOutOfHeadersThatRepeatIt) {
  Start({{"source", "alertmanager"}, {"signing_secrets", "a-token-of-sixteen"}});
  const Headers repeats = {{"X-Original-Uri", "/hook?token=a-token-of%2Dsixteen"},
                           {"Content-Type", "application/json"},
                           {"X-Kept", "value"}};
  EXPECT_EQ(Ask({.headers = repeats,
                 .body = R"({"alerts":[{"labels":{"alertname":"a"}}]})",
                 .query = "token=a-token-of%2Dsixteen"})
                .status,
            200);
  EXPECT_THAT(host_.incidents.back().details,
              AllOf(HasSubstr("x-kept"), Not(HasSubstr("x-original-uri"))));
}

TEST_F(EntryTest, RequestIsStoredOnlyWhereItIsAskedFor) {
  EXPECT_THAT(Create({{"store_request", "yes"}}), HasSubstr("store_request must be true or false"));
  const Sent sent = {.body = "{}", .query = "a=1&b", .peer = "192.0.2.1"};
  Start({});
  Ask(sent);
  EXPECT_EQ(host_.incidents.back().request_address, "");
  EXPECT_EQ(host_.incidents.back().request_query, "");
  Change({{"store_request", "true"}});
  Ask(sent);
  EXPECT_EQ(host_.incidents.back().request_address, "192.0.2.1");
  EXPECT_EQ(host_.incidents.back().request_query, "a=1&b");
  Ask({.body = "{}"});
  EXPECT_EQ(host_.incidents.back().request_address, "");
  EXPECT_EQ(host_.incidents.back().request_query, "");
  // A host may pass on anything.
  Ask({.body = "{}", .query = std::string(5000, 'a') + "=1", .peer = std::string(5000, '1')});
  EXPECT_EQ(host_.incidents.back().request_address, std::string(4096, '1'));
  EXPECT_EQ(host_.incidents.back().request_query, "...");
}

TEST_F(EntryTest, QueryIsStoredWithoutTheSecretOfUsername) {
  Start({{"username", "_query:who"}, {"password", "s3cret"}, {"store_request", "true"}});
  EXPECT_EQ(Ask({.body = "{}", .query = "a=1&w%68o=s3c%72et&again=[s3cre%74]&s3cret"}).status, 200);
  EXPECT_EQ(host_.incidents.back().request_query, "a=1&w%68o=***&again=***&***");
}

// Nothing in the name of PagerDuty's, or of our own, says what it is.
TEST_F(EntryTest, QueryIsStoredWithoutWhatTheSourceTakesForASecret) {
  Start({{"source",
          R"({"profile":1,"name":"own","authenticate":[{"kind":"token","from":"query:who"}],)"
          R"("redact":["query:what"],"incidents":"documented"})"},
         {"signing_secrets", "a-token-of-sixteen"},
         {"store_request", "true"}});
  EXPECT_EQ(Ask({.headers = {{"Content-Type", "application/json"}},
                 .body = "{}",
                 .query = "who=a-token-of-sixteen&what=else&kept=1"})
                .status,
            200);
  EXPECT_EQ(host_.incidents.back().request_query, "who=***&what=***&kept=1");
}

TEST_F(EntryTest, SecretInTheUrlIsCheckedAtEveryUseAndKeptOutOfHeadersThatRepeatIt) {
  Start({{"username", "_query:key"}, {"password", "s3cret"}});
  EXPECT_EQ(Ask({.body = "{}"}).status, 401);
  EXPECT_EQ(Ask({.body = "{}", .query = "key=wrong"}).status, 401);
  EXPECT_EQ(Ask({.body = "{}", .query = "key=s3cret&key=s3cret"}).status, 401);
  const Headers repeats = {{"Referer", "https://a/?key=%733cret"}, {"X-Kept", "value"}};
  EXPECT_EQ(Ask({.headers = repeats, .body = "{}", .query = "a=b&key=%733cret"}).status, 200);
  ASSERT_EQ(host_.incidents.size(), 1u);
  EXPECT_THAT(host_.incidents[0].details, HasSubstr("x-kept"));
  EXPECT_THAT(host_.incidents[0].details, Not(HasSubstr("3cret")));
  EXPECT_THAT(host_.log.front(), HasSubstr("a secret in the URL without TLS"));
  for (const std::string& line : host_.log) EXPECT_THAT(line, Not(HasSubstr("s3cret")));
}

TEST_F(EntryTest, OtherPathIs404BeforeCredentials) {
  Start(kBasic);
  EXPECT_EQ(Ask({.remainder = "/other", .body = "{}"}).status, 404);
}

TEST_F(EntryTest, OtherMethodIs405WithAllow) {
  Start(kBasic);
  for (const char* method : {"GET", "PUT", "HEAD", "OPTIONS", "post"}) {
    const Answer answer = Ask({.method = method, .headers = {kGood}, .body = "{}"});
    EXPECT_EQ(answer.status, 405) << method;
    EXPECT_EQ(answer.Header("Allow"), "POST") << method;
  }
}

TEST_F(EntryTest, WrongPasswordIsRejectedBeforeTheBodyIsParsed) {
  Start(kBasic);
  for (const Headers& headers :
       {Headers{}, Headers{{"Authorization", "Basic dXNlcjp3cm9uZw=="}}, Headers{kGood, kGood}}) {
    const Answer answer = Ask({.headers = headers, .body = "no JSON"});
    EXPECT_EQ(answer.status, 401);
    EXPECT_EQ(answer.body, "Authorization failed.");
    EXPECT_THAT(answer.Header("WWW-Authenticate"), StartsWith("Basic realm="));
  }
  EXPECT_TRUE(host_.incidents.empty());
}

TEST_F(EntryTest, CredentialsThatAProxyTookAwayAreNotLoggedAsWrong) {
  const std::pair<const char*, const char*> cases[] = {
      {"user", "it lacks the header Authorization"},
      {"_header:X-Token", "it lacks the header that `username` names"},
      {"_query:key", "it lacks the URL parameter that `username` names"}};
  Start(kBasic);
  for (const auto& [username, why] : cases) {
    Change({{"username", username}, {"password", "s3cret"}});
    host_.log.clear();
    EXPECT_EQ(Ask({.body = "{}"}).status, 401);
    ASSERT_EQ(host_.log.size(), 1u);
    EXPECT_THAT(host_.log[0], HasSubstr(why));
  }
}

TEST_F(EntryTest, RefusedCredentialsAreLoggedOnceASecondWithPeerAndNumberAndWithoutSecrets) {
  Start(kBasic);
  host_.log.clear();
  const Headers wrong = {{"Authorization", "Basic dXNlcjp3cm9uZw=="}};
  for (int i = 0; i < 150; ++i) {
    EXPECT_EQ(Ask({.headers = wrong, .body = "{}"}).status, 401);  // of execute
    EXPECT_EQ(CheckHead(instance_, wrong).verdict.refused, 1u);
  }
  ASSERT_EQ(host_.log.size(), 1u);
  host_.now_ns += 2'000'000'000;
  EXPECT_EQ(Ask({.headers = wrong, .body = "{}"}).status, 401);
  ASSERT_EQ(host_.log.size(), 2u);
  EXPECT_THAT(host_.log[1], HasSubstr("its username or password is wrong"));
  EXPECT_THAT(host_.log[1], HasSubstr("299 more"));
  for (const std::string& line : host_.log) EXPECT_THAT(line, Not(HasSubstr("dXNl")));
}

TEST_F(EntryTest, BodyThatIsNoJsonIs400WithTheKnownText) {
  Start(kBasic);
  for (const char* body : {"", " ", "no JSON", "5", "\"text\"", "null", "[1]", "{\"rawJson\":5}"}) {
    const Answer answer = Ask({.headers = {kGood}, .body = body});
    EXPECT_EQ(answer.status, 400) << body;
    EXPECT_THAT(answer.body,
                StartsWith("Request, and rawJson field if exists must be in JSON format"))
        << body;
  }
}

TEST_F(EntryTest, OneBadIncidentRefusesTheWholeBatchAndIsNamed) {
  Start(kBasic);
  const Answer answer =
      Ask({.headers = {kGood}, .body = R"([{"a":1},{"b":2},{"c":3},{"rawJson":[1]}])"});
  EXPECT_EQ(answer.status, 400);
  EXPECT_THAT(answer.body, HasSubstr(": incident 3: rawJson must be an object"));
  EXPECT_TRUE(host_.incidents.empty());
}

TEST_F(EntryTest, UnknownContentCodingIs415) {
  Start(kBasic);
  for (const Headers& headers : {Headers{kGood, {"Content-Encoding", "compress"}},
                                 Headers{kGood, {"Content-Type", "a/b;charset=x"}}}) {
    const Answer answer = Ask({.headers = headers, .body = "{}"});
    EXPECT_EQ(answer.status, 415);
    EXPECT_EQ(answer.Header("Accept-Encoding"), "gzip, deflate, br, zstd");
  }
}

TEST_F(EntryTest, HeaderOutsideAsciiIsRefusedOnlyWhereItHasAMeaning) {
  Start({{"username", "_header:X-Token"},
         {"password", "secret"},
         {"duplication_key", "headers.x-id"}});
  const std::pair<std::string, std::string> good = {"X-Token", "secret"};
  for (const char* name :
       {"Host", "Content-Type", "CONTENT-Language", "Expect", "Forwarded", "X-Forwarded-For",
        "X-Id", "X-Token", "Authorization", "X-Hub-Signature-256", "X-My-Signature",
        "X-Request-Timestamp", "X-GitHub-Delivery", "Transfer-Encoding"}) {
    EXPECT_EQ(Ask({.headers = {good, {name, "S\xC3\xA3o"}}, .body = "{}"}).status, 400) << name;
  }
  for (const char* value : {"a\nb", "a\rb", "\x7F", "\xC3\xA3\x01"}) {
    EXPECT_EQ(Ask({.headers = {good, {"X-Region", value}}, .body = "{}"}).status, 400);
  }
  EXPECT_TRUE(host_.incidents.empty());
  for (const auto& [value, stored] :
       {std::pair("S\xC3\xA3o", "S\xC3\xA3o"), std::pair("S\xE3o", "S\xC3\xA3o")}) {
    const Answer answer = Ask({.headers = {good, {"cf-region", value}}, .body = "{\"a\":1}"});
    EXPECT_EQ(answer.status, 200);
    EXPECT_THAT(answer.body, HasSubstr("\"warnings\":[\"a header is not ASCII"));
    EXPECT_THAT(host_.incidents.back().details,
                HasSubstr(std::string("\"cf-region\":\"") + stored + "\""));
  }
}

TEST_F(EntryTest, EmptyArrayIsAnsweredWithAnEmptyArray) {
  Start(kBasic);
  const Answer answer = Ask({.headers = {kGood}, .body = "[]"});
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, "[]");
}

TEST_F(EntryTest, DocumentedExampleCreatesItsIncident) {
  Start({{"username", "user"}, {"password", "pass"}, {"incidentType", "Phishing"}});
  const Answer answer = Ask({.headers = {kGood, {"Content-Type", "application/json"}},
                             .body = R"({"name":"incident created via generic webhook",)"
                                     R"("rawJson":{"some_field":"some_value"}})"});
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.Header("Content-Type"), "application/json");
  EXPECT_EQ(answer.body,
            R"([{"id":"1","name":"incident created via generic webhook","type":"Phishing",)"
            R"("occurred":"2024-05-01T10:00:00Z","created":"2024-05-01T10:00:01Z",)"
            R"("sourceBrand":"Generic Webhook","sourceInstance":"webhook"}])");
  ASSERT_EQ(host_.incidents.size(), 1u);
  EXPECT_EQ(host_.incidents[0].details,
            R"({"some_field":"some_value","headers":{"content-type":"application/json"}})");
}

TEST_F(EntryTest, DocumentedHeaderExampleIsAccepted) {
  Start({{"username", "_header:Authorization"}, {"password", "Basic MYIvOkEyMw=="}});
  EXPECT_EQ(Ask({.headers = {{"authorization", "Basic MYIvOkEyMw=="}}, .body = "{}"}).status, 200);
  EXPECT_THAT(host_.incidents[0].details, Not(HasSubstr("MYIvOkEyMw")));
  EXPECT_EQ(Ask({.headers = {{"authorization", "Basic MYIvOkEyMw="}}, .body = "{}"}).status, 401);
}

TEST_F(EntryTest, CheckHeadAnswersARefusalAndATicketSparesTheSecondCheck) {
  Start(kBasic);
  const Judged refused = CheckHead(instance_, {});
  EXPECT_EQ(refused.verdict.refused, 1u);
  EXPECT_EQ(refused.answer.status, 401);

  const Judged accepted = CheckHead(instance_, {kGood});
  EXPECT_EQ(accepted.verdict.refused, 0u);
  EXPECT_EQ(accepted.verdict.body_limit_bytes, 8u * 1024 * 1024);
  ASSERT_NE(accepted.verdict.ticket, 0u);

  // A ticket that the plugin did not give is worth nothing.
  EXPECT_EQ(StatusWithTicket(accepted.verdict.ticket + 1), 401);
}

TEST_F(EntryTest, TicketOfAnotherHeadSparesNoCheck) {
  Start(kBasic);
  const Judged accepted = CheckHead(instance_, {kGood});
  EXPECT_EQ(StatusWithTicket(accepted.verdict.ticket), 401);
  EXPECT_EQ(StatusWithTicket(CheckHead(instance_, {kGood}).verdict.ticket,
                             {{"Authorization", "Basic dXNlcjpwYXNx"}}),
            401);
  EXPECT_TRUE(host_.incidents.empty());
}

TEST_F(EntryTest, TicketIsUsedOnce) {
  Start({{"username", "user"},
         {"passwords", R"([{"password":"pass","expires":"2024-05-01T10:00:01Z"}])"}});
  const Judged accepted = CheckHead(instance_, {kGood});
  host_.now_ns += 2'000'000'000;  // the password has expired, which a second check would see
  EXPECT_EQ(StatusWithTicket(accepted.verdict.ticket, {kGood}), 200);
  EXPECT_EQ(StatusWithTicket(accepted.verdict.ticket, {kGood}), 401);
}

TEST_F(EntryTest, RefusedHeadHasNoTicketThatExecuteTakes) {
  Start(kBasic);
  const Judged refused = CheckHead(instance_, {{"Authorization", "Basic bm8="}});
  EXPECT_EQ(refused.verdict.refused, 1u);
  EXPECT_EQ(refused.verdict.ticket, 0u);
  EXPECT_EQ(StatusWithTicket(refused.verdict.ticket), 401);
  EXPECT_TRUE(host_.incidents.empty());
}

TEST_F(EntryTest, TicketOfAnotherInstanceSparesNoCheck) {
  Start(kBasic);
  lri_instance* const first = instance_;
  ASSERT_EQ(Create(kBasic, "another"), "ok");
  ASSERT_EQ(table_->start(instance_, nullptr), LRI_OK);
  lri_instance* const another = std::exchange(instance_, first);
  EXPECT_EQ(StatusWithTicket(CheckHead(another, {kGood}).verdict.ticket), 401);
  EXPECT_EQ(table_->stop(another, 0, nullptr), LRI_OK);
  table_->destroy(another);
}

TEST_F(EntryTest, TicketFromBeforeAnUpdateSparesNoCheck) {
  Start(kBasic);
  const Judged before = CheckHead(instance_, {kGood});
  ASSERT_EQ(before.verdict.refused, 0u);
  Change({{"username", "user"}, {"password", "another"}});
  EXPECT_EQ(StatusWithTicket(before.verdict.ticket, {kGood}), 401);
}

TEST_F(EntryTest, CallKeepsItsConfigurationWhileOthersAreCommitted) {
  Start({{"incidentType", "old"}});
  host_.hold = true;
  ASSERT_EQ(Execute({.body = "{}"}), LRI_OK);
  const auto held = host_.TakeHeld();
  host_.hold = false;
  for (const char* type : {"new", "newest"}) Change({{"incidentType", type}});
  EXPECT_THAT(Ask({.body = "{}"}).body, HasSubstr(R"("type":"newest")"));
  lri_error error{sizeof(lri_error), {}};
  EXPECT_EQ(table_->stop(instance_, 0, &error), LRI_DEADLINE_EXCEEDED);
  held();
  EXPECT_THAT(host_.answers.back().body, HasSubstr(R"("type":"old")"));
}

TEST_F(EntryTest, CallsNeverFailWhileConfigurationsAreReplaced) {
  Start({{"incidentType", "a"}, {"mirror_instance", "a"}, {"mirror_direction", "Incoming"}});
  std::atomic<bool> over{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&] {
      while (!over) EXPECT_EQ(CheckHead(instance_, {}).verdict.refused, 0u);
    });
  }
  for (int i = 0; i < 500; ++i) {
    const std::string type = i % 2 == 0 ? "b" : "a";
    Change({{"incidentType", type}, {"mirror_instance", type}, {"mirror_direction", "Incoming"}});
    ASSERT_EQ(Execute({.body = "{}"}), LRI_OK);
    EXPECT_THAT(host_.incidents.back().details, HasSubstr(R"("mirror_instance":")" + type + "\""));
    EXPECT_EQ(host_.incidents.back().type, type);
  }
  over = true;
  for (std::thread& thread : threads) thread.join();
}

TEST_F(EntryTest, HostThatTakesNoBatchIsAnswered503WithRetryAfter) {
  Start({});
  host_.create_code = LRI_UNAVAILABLE;
  const Answer answer = Ask({.body = "{}"});
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(answer.Header("Retry-After"), "1");
}

TEST_F(EntryTest, OutcomesOtherThanCreatedAreNever200) {
  Start({});
  const struct {
    int32_t outcome, code;
    int status;
  } cases[] = {{LRI_NOT_CREATED, LRI_UNAVAILABLE, 503},
               {LRI_NOT_CREATED, LRI_DEADLINE_EXCEEDED, 504},
               {LRI_NOT_CREATED, LRI_INTERNAL, 500},
               {LRI_NOT_KNOWN, LRI_UNKNOWN, 503},
               {0, LRI_OK, 500}};
  for (const auto& one : cases) {
    host_.outcome = one.outcome;
    host_.outcome_code = one.code;
    EXPECT_EQ(Ask({.body = "{}"}).status, one.status) << one.outcome << " " << one.code;
  }
}

TEST_F(EntryTest, BatchesThatFailAreLoggedOnceASecondWithTheNumberOfTheOthers) {
  Start({});
  host_.log.clear();
  host_.outcome = LRI_NOT_CREATED;
  host_.outcome_code = LRI_UNAVAILABLE;
  for (int i = 0; i < 100; ++i) EXPECT_EQ(Ask({.body = "{}"}).status, 503);
  EXPECT_EQ(host_.log.size(), 1u);
  host_.now_ns += 1'000'000'000;
  Ask({.body = "{}"});
  ASSERT_EQ(host_.log.size(), 2u);
  EXPECT_THAT(host_.log[1], HasSubstr("99 more"));
}

TEST_F(EntryTest, ExpandedBodiesPastTheirLimitAre503UntilOthersAreAnswered) {
  const std::string gzip(
      "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xab\x56"
      "\x4a\x54\xb2\x32\xac\x05\x00\xaf\xac\x1b\x56\x07"
      "\x00\x00\x00",
      27);
  const std::string name = "expanded_bytes_in_flight", value = "10";
  const lri_pair pair{View(name), View(value)};
  lri_plugin_options options{sizeof(lri_plugin_options), 0, {&pair, 1, sizeof pair}};
  table_->plugin_destroy(plugin_);
  ASSERT_EQ(table_->plugin_create(host_.table(), &options, &plugin_, nullptr), LRI_OK);
  Start({});
  const Sent sent{.headers = {{"Content-Encoding", "gzip"}}, .body = gzip};  // 7 bytes expanded
  host_.hold = true;
  ASSERT_EQ(Execute(sent), LRI_OK);
  const auto first = host_.TakeHeld();
  host_.hold = false;
  const Answer refused = Ask(sent);
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(refused.Header("Retry-After"), "1");
  first();
  EXPECT_EQ(host_.answers.back().status, 200);
  EXPECT_EQ(Ask(sent).status, 200);
}

// The index of a large body takes up to four times its size.
TEST_F(EntryTest, LargeBodyWhoseParsingNeedsMoreThanIsLeftIs503) {
  const std::string name = "expanded_bytes_in_flight", value = "2000000";
  const lri_pair pair{View(name), View(value)};
  lri_plugin_options options{sizeof(lri_plugin_options), 0, {&pair, 1, sizeof pair}};
  table_->plugin_destroy(plugin_);
  ASSERT_EQ(table_->plugin_create(host_.table(), &options, &plugin_, nullptr), LRI_OK);
  Start({});
  std::string dense = "{\"a\":[1";
  while (dense.size() < 1'200'000) dense += ",[]";
  const std::string text = "{\"a\":\"" + std::string(1'200'000, 'x') + "\"}";
  for (int i = 0; i < 3; ++i) {  // what was reserved is given back
    EXPECT_EQ(Ask({.body = dense + "]}"}).status, 503);
    EXPECT_EQ(Ask({.body = text}).status, 200);
  }
}

TEST_F(EntryTest, SlowCreationDoesNotDelayOtherRequests) {
  Start({});
  host_.hold = true;
  ASSERT_EQ(Execute({.body = R"({"name":"slow"})"}), LRI_OK);
  const auto slow = host_.TakeHeld();
  host_.hold = false;
  EXPECT_THAT(Ask({.body = R"({"name":"quick"})"}).body, HasSubstr("quick"));
  slow();
  EXPECT_THAT(host_.answers.back().body, HasSubstr("slow"));
}

TEST_F(EntryTest, StopWaitsForACallInFlightAndRefusesNewOnes) {
  Start({});
  host_.hold = true;
  ASSERT_EQ(Execute({.body = "{}"}), LRI_OK);
  lri_error error{sizeof(lri_error), {}};
  EXPECT_EQ(table_->stop(instance_, 0, &error), LRI_DEADLINE_EXCEEDED);
  EXPECT_THAT(error.message, HasSubstr("1 call in flight"));
  EXPECT_EQ(Execute({.body = "{}"}), LRI_UNAVAILABLE);
  host_.CompleteHeld();
  EXPECT_EQ(host_.answers.back().status, 200);
  EXPECT_EQ(table_->stop(instance_, 0, nullptr), LRI_OK);
}

TEST_F(EntryTest, UnknownCommandIsNotFound) {
  Start({});
  const auto done = [](void*, int32_t, lri_view) { FAIL() << "done without OK"; };
  const std::string unknown = "dance";
  EXPECT_EQ(table_->command(instance_, View(unknown), {}, done, nullptr), LRI_NOT_FOUND);
}

TEST_F(EntryTest, DescriptionTellsTheFrontItsRules) {
  product_ = "XSOAR_6";
  ASSERT_EQ(Create({{"longRunningPort", "8000"}}), "ok");
  bool described = false;
  const auto sink = [](void* context, const lri_description* description) {
    *static_cast<bool*>(context) = true;
    EXPECT_EQ(Text(description->path_prefix), "/instance/execute/");
    EXPECT_EQ(description->external_key_needed, 1u);
    EXPECT_EQ(Text(description->webhook_url), "https://my.xsoar.live/instance/execute/webhook");
    EXPECT_EQ(Text(description->listen_url), "http://my.xsoar.live:8000/");
    EXPECT_EQ(Text(description->record_noun), "incident");
    EXPECT_EQ(description->warnings.count, 1u);
  };
  EXPECT_EQ(table_->describe(instance_, sink, &described), LRI_OK);
  EXPECT_TRUE(described);
}

}  // namespace
