// The speed of turning a body into incidents, beside simdjson's DOM parser over the same bytes.
#include <benchmark/benchmark.h>
#include <simdjson.h>

#include <string>

#include "plugin/base/testing/padded_text.h"
#include "plugin/core/incidents.h"

namespace webhook::core {
namespace {

std::string ArrayOf(int count) {
  std::string body = "[";
  for (int i = 0; i < count; ++i) {
    if (i != 0) body += ',';
    body += R"({"name":"incident )" + std::to_string(i) +
            R"(","type":"Phishing","rawJson":{"source":"10.0.0.1","severity":3}})";
  }
  return body + "]";
}

std::string Body(int64_t objects) {
  if (objects == 0) {
    return R"({"name":"incident created via generic webhook","rawJson":{"some_field":"some_value"}})";
  }
  return ArrayOf(static_cast<int>(objects));
}

constexpr HeaderView kHeaders[] = {{"Host", "localhost:8000"},
                                   {"User-Agent", "curl/7.88.1"},
                                   {"Accept", "*/*"},
                                   {"Content-Type", "application/json"},
                                   {"Content-Length", "85"}};

void BM_Incidents(benchmark::State& state) {
  const std::string body = Body(state.range(0));
  const base::PaddedText text(body);
  IncidentParser parser{Limits()};
  ParsedRequest request;
  const Defaults defaults{"Phishing", absl::FromUnixSeconds(1'714'557'600), "authorization"};
  for (auto _ : state) {
    if (!parser.Parse(text.view(), kHeaders, defaults, request).ok()) state.SkipWithError("bad");
    benchmark::DoNotOptimize(request.incidents().data());
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * body.size()));
}
BENCHMARK(BM_Incidents)->Arg(0)->Arg(1000);

void BM_SimdjsonDom(benchmark::State& state) {
  const std::string body = Body(state.range(0));
  const base::PaddedText text(body);
  simdjson::dom::parser parser;
  for (auto _ : state) {
    auto document = parser.parse(text.view().data(), text.view().size(), false);
    if (document.error()) state.SkipWithError("bad");
    benchmark::DoNotOptimize(document);
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * body.size()));
}
BENCHMARK(BM_SimdjsonDom)->Arg(0)->Arg(1000);

}  // namespace
}  // namespace webhook::core

BENCHMARK_MAIN();
