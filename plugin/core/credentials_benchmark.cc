// The cost of checking credentials.
#include <benchmark/benchmark.h>

#include "plugin/core/credentials.h"

namespace webhook::core {
namespace {

void Check(benchmark::State& state, absl::string_view username, absl::string_view password,
           absl::string_view value) {
  const HeaderView headers[] = {{"Host", "localhost:8000"},
                                {"User-Agent", "curl/7.88.1"},
                                {"Accept", "*/*"},
                                {"Content-Type", "application/json"},
                                {"Authorization", value}};
  const absl::StatusOr<Credentials> credentials = Credentials::Create(username, password);
  const absl::Time now = absl::FromUnixSeconds(1'714'557'600);
  for (auto _ : state) {
    if (credentials->Check(headers, "", now) != CredentialCheck::kAccepted) {
      state.SkipWithError("refused");
    }
  }
}

void BM_Basic(benchmark::State& state) { Check(state, "user", "pass", "Basic dXNlcjpwYXNz"); }
BENCHMARK(BM_Basic);

void BM_Header(benchmark::State& state) {
  Check(state, "_header:Authorization", "Bearer 0123456789abcdef", "Bearer 0123456789abcdef");
}
BENCHMARK(BM_Header);

}  // namespace
}  // namespace webhook::core

BENCHMARK_MAIN();
