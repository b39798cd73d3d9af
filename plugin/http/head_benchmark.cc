// What it costs to read a head.
#include <benchmark/benchmark.h>

#include <string>

#include "plugin/http/head_parser.h"

namespace webhook::http {
namespace {

std::string Head(int64_t more_fields) {
  std::string head =
      "POST /instance/execute/webhook HTTP/1.1\r\nHost: localhost:8000\r\n"
      "Authorization: Basic dXNlcjpwYXNz\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n"
      "Content-Type: application/json\r\nContent-Length: 85\r\n";
  for (int64_t i = 0; i < more_fields; ++i) {
    head += "X-Field-" + std::to_string(i) + ": some value of it\r\n";
  }
  return head + "\r\n";
}

void BM_HeadParse(benchmark::State& state) {
  const std::string head = Head(state.range(0));
  const Limits limits;
  HeadParser parser;
  for (auto _ : state) {
    parser.Begin(limits);
    if (parser.Feed(head.data(), head.size()) != HeadParser::Result::kDone) {
      state.SkipWithError("bad");
    }
    benchmark::DoNotOptimize(parser.head().path.data());
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(head.size()));
}
BENCHMARK(BM_HeadParse)->Arg(0)->Arg(20);

}  // namespace
}  // namespace webhook::http

BENCHMARK_MAIN();
