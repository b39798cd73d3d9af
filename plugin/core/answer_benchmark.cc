// The cost of writing the answer, by the number of incidents.
#include <benchmark/benchmark.h>

#include "plugin/core/answer.h"

namespace webhook::core {
namespace {

void BM_Answer(benchmark::State& state) {
  TextBuffer answer;
  for (auto _ : state) {
    answer.Clear();
    AnswerWriter writer(&answer, "Generic Webhook", "webhook");
    for (int64_t i = 0; i < state.range(0); ++i) {
      writer.Add({"12345",
                  "incident created via generic webhook",
                  "Phishing",
                  "2024-05-01T10:00:00.123Z",
                  "2024-05-01T10:00:00.124111Z",
                  false,
                  {}});
    }
    writer.Finish();
    benchmark::DoNotOptimize(answer.text().data());
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(answer.size()));
}
BENCHMARK(BM_Answer)->Arg(1)->Arg(1000);

}  // namespace
}  // namespace webhook::core

BENCHMARK_MAIN();
