// What a source costs beside the parsing of the same body: a signed push of GitHub's and a batch of
// Alertmanager's.
#include <benchmark/benchmark.h>

#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "plugin/base/testing/padded_text.h"
#include "plugin/core/incidents.h"
#include "plugin/sources/evaluate.h"

namespace webhook::sources {
namespace {

constexpr char kSecret[] = "It's a Secret to Everybody";

// As large as an ordinary push, 7 KB: of a repository, three commits and who made them.
std::string Push() {
  const auto urls = [](const char* of) {
    std::string members;
    for (const char* const what : {"keys", "forks", "hooks", "teams", "issues", "events", "tags",
                                   "blobs", "labels", "merges", "commits", "trees"}) {
      absl::StrAppend(&members, ",\"", of, "_", what, "_url\":\"https://api.github.com/repos/octo/",
                      "hello/", what, "{/", of, "}\"");
    }
    return members;
  };
  std::string body = "{\"ref\":\"refs/heads/main\",\"before\":\"6113728f27ae\",\"repository\":{";
  absl::StrAppend(&body, "\"id\":186853002,\"full_name\":\"octo/hello\",\"private\":false",
                  urls("repository"), urls("owner"), ",\"stargazers_count\":12},\"commits\":[");
  for (int i = 0; i < 3; ++i) {
    absl::StrAppend(&body, i == 0 ? "" : ",",
                    "{\"id\":\"c441029cf673\",\"message\":\"Fix \\\"it\\\"\"", urls("commit"),
                    ",\"added\":[],\"removed\":[\"a/b.cc\"]}");
  }
  absl::StrAppend(&body, "],\"head_commit\":{\"timestamp\":\"2019-05-15T15:20:41Z\"", urls("head"),
                  "},\"sender\":{\"login\":\"octo\"", urls("sender"), "}}");
  return body;
}

std::string Alerts() {
  std::string body = "{\"version\":\"4\",\"groupKey\":\"{}\",\"status\":\"firing\",\"alerts\":[";
  for (int i = 0; i < 20; ++i) {
    absl::StrAppend(&body, i == 0 ? "" : ",",
                    "{\"status\":\"firing\",\"labels\":{\"alertname\":\"HighLoad\",\"severity\":"
                    "\"critical\",\"instance\":\"host-",
                    i, "\"},\"annotations\":{\"summary\":\"the load is high on host-", i,
                    "\"},\"startsAt\":\"2025-10-09T08:53:20Z\",\"endsAt\":\"0001-01-01T00:00:00Z\","
                    "\"generatorURL\":\"http://prometheus/graph\",\"fingerprint\":\"c6eadffa33f",
                    i, "\"}");
  }
  return body + "]}";
}

void BM_Unsigned(benchmark::State& state) {
  const std::string body = state.range(0) == 0 ? Push() : Alerts();
  const base::PaddedText text(body);
  core::IncidentParser parser{Limits()};
  core::ParsedRequest parsed;
  for (auto _ : state) {
    if (!parser.Parse(text.view(), {}, {}, parsed).ok()) state.SkipWithError("bad");
  }
  state.SetLabel(absl::StrCat(body.size(), " bytes"));
}
BENCHMARK(BM_Unsigned)->Arg(0)->Arg(1);

void BM_Source(benchmark::State& state) {
  const bool push = state.range(0) == 0;
  const std::string body = push ? Push() : Alerts();
  const base::PaddedText text(body);
  Settings settings;
  settings.profile = FindProfile(push ? "github" : "alertmanager").value();
  settings.signing_secrets = {{kSecret}};
  const auto source = Source::Create(std::move(settings)).value();
  const absl::string_view view = text.view();
  const std::string signature = absl::StrCat(
      "sha256=", absl::BytesToHexString(Hmac(Hash::kSha256, kSecret, std::span(&view, 1))));
  const core::HeaderView headers[] = {{"Host", "localhost:8000"},
                                      {"User-Agent", "GitHub-Hookshot/044aadd"},
                                      {"Accept", "*/*"},
                                      {"Content-Type", "application/json"},
                                      {"X-GitHub-Delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958"},
                                      {"X-GitHub-Event", "push"},
                                      {"Authorization", "Bearer It's a Secret to Everybody"},
                                      {"X-Hub-Signature-256", signature}};
  const Request request{"POST", "", headers, absl::UnixEpoch()};
  const auto decode = [&](size_t) -> absl::StatusOr<absl::string_view> { return view; };
  const Limits limits;
  Evaluator evaluator(limits);
  Result result;
  core::IncidentParser parser(limits);
  core::ParsedRequest parsed;
  for (auto _ : state) {
    evaluator.EvaluateHead(*source, request, result);
    if (state.range(1) == 0) continue;
    evaluator.Evaluate(*source, request, Body{view, decode}, result);
    if (result.outcome != Outcome::kAccept) state.SkipWithError(result.explanation.c_str());
    if (state.range(1) == 1) continue;
    if (!evaluator.Parse(result, parser, {}, {}, parsed).ok()) state.SkipWithError("bad");
  }
}
// The head alone, with the body, with its incidents.
BENCHMARK(BM_Source)->ArgsProduct({{0, 1}, {0, 1, 2}});

void BM_Hmac(benchmark::State& state) {
  const std::string body = Push();
  const absl::string_view view = body;
  for (auto _ : state) {
    benchmark::DoNotOptimize(Hmac(Hash::kSha256, kSecret, std::span(&view, 1)));
  }
}
BENCHMARK(BM_Hmac);

}  // namespace
}  // namespace webhook::sources

BENCHMARK_MAIN();
