// SPDX-License-Identifier: Apache-2.0
// Rules that aggregate 100 updates of the 4M base's adapter, on one thread, beside one read of the
// same memory. bench/rules_beside_numpy.py runs NumPy's in turn with these.
#include <benchmark/benchmark.h>

#include <cstring>
#include <vector>

#include "aggregator/krum.h"
#include "aggregator/robust_rules.h"
#include "aggregator/server_optimizer.h"
#include "base/instruction_levels.h"
#include "base/random.h"

namespace coppice {
namespace {

constexpr std::size_t kClients = 100;
constexpr std::size_t kParameters = 155'648;
constexpr std::size_t kFaulty = 20;

const std::vector<std::vector<float>>& updates() {
  static const auto kUpdates = [] {
    std::vector<std::vector<float>> values(kClients, std::vector<float>(kParameters));
    KeyedRandom random({.experiment = 1});
    for (auto& row : values) {
      for (float& value : row) value = random.uniform_float() - 0.5F;
    }
    return values;
  }();
  return kUpdates;
}

std::vector<UpdateRow> rows() { return {updates().begin(), updates().end()}; }

void count_bytes(benchmark::State& state) {
  state.SetBytesProcessed(state.iterations() *
                          static_cast<std::int64_t>(kClients * kParameters * sizeof(float)));
}

COPPICE_LEVELS std::uint64_t read_row(const float* values, std::size_t n) {
  using Words = std::uint64_t __attribute__((vector_size(64)));
  constexpr std::size_t kFloats = sizeof(Words) / sizeof(float);
  Words sums[4] = {};
  for (std::size_t i = 0; i + 4 * kFloats <= n; i += 4 * kFloats) {
#pragma GCC unroll 4
    for (std::size_t part = 0; part < 4; ++part) {
      Words words;
      std::memcpy(&words, values + i + part * kFloats, sizeof words);
      sums[part] ^= words;
    }
  }
  const Words all = (sums[0] ^ sums[1]) ^ (sums[2] ^ sums[3]);
  return all[0] ^ all[3] ^ all[5];
}

void read_memory(benchmark::State& state) { // the ceiling of a sum
  const auto all = rows();                  // made before the clock starts
  for (auto _ : state) {
    for (const UpdateRow& row : all) benchmark::DoNotOptimize(read_row(row.data(), row.size()));
  }
  count_bytes(state);
}
BENCHMARK(read_memory)->Unit(benchmark::kMillisecond)->UseRealTime();

void sum_at_once(benchmark::State& state) {
  const std::vector<double> weights(kClients, 0.01);
  std::vector<double> sum(kParameters, 0.0);
  const auto all = rows();
  for (auto _ : state) add_weighted(all, weights, sum);
  benchmark::DoNotOptimize(sum.data());
  count_bytes(state);
}
BENCHMARK(sum_at_once)->Unit(benchmark::kMillisecond)->UseRealTime();

// As updates arrive: memory for so many of them, however many there are.
void sum_in_turn(benchmark::State& state) {
  const auto at_once = static_cast<std::size_t>(state.range(0));
  const std::vector<double> weights(at_once, 0.01);
  std::vector<double> sum(kParameters, 0.0);
  const auto all = rows();
  for (auto _ : state) {
    for (std::size_t first = 0; first < kClients; first += at_once) {
      add_weighted(UpdateRows(all).subspan(first, at_once), weights, sum);
    }
  }
  benchmark::DoNotOptimize(sum.data());
  count_bytes(state);
}
BENCHMARK(sum_in_turn)->Arg(1)->Arg(4)->Unit(benchmark::kMillisecond)->UseRealTime();

template <typename Rule>
void run_rule(benchmark::State& state, Rule rule) {
  const auto all = rows();
  for (auto _ : state) {
    if (!rule(all).ok()) state.SkipWithError("the rule refused its updates");
  }
}
#define COPPICE_RULE_BENCHMARK(name, call)                                 \
  void name##_of_100(benchmark::State& state) {                            \
    run_rule(state, [](const std::vector<UpdateRow>& x) { return call; }); \
  }                                                                        \
  BENCHMARK(name##_of_100)->Unit(benchmark::kMillisecond)->UseRealTime()

COPPICE_RULE_BENCHMARK(coordinate_median, coordinate_median(x));
COPPICE_RULE_BENCHMARK(trimmed_mean, trimmed_mean(x));
COPPICE_RULE_BENCHMARK(krum, krum(x, kFaulty));
COPPICE_RULE_BENCHMARK(multi_krum, multi_krum(x, kFaulty, kClients - kFaulty));
COPPICE_RULE_BENCHMARK(bulyan, bulyan(x, kFaulty));
COPPICE_RULE_BENCHMARK(norm_bound, norm_bound(x, 50));
COPPICE_RULE_BENCHMARK(rfa, rfa(x));
COPPICE_RULE_BENCHMARK(centered_clip, centered_clip(x, {.radius = 50}));

void fedadam_step(benchmark::State& state) {
  const std::vector<double> delta(kParameters, 0.01);
  ServerOptimizerState memory;
  for (auto _ : state) {
    auto next = server_step(flower_settings(ServerRule::kFedAdam), memory, delta);
    if (!next.ok()) state.SkipWithError("the step was refused");
    memory = std::move(next.value().state);
  }
}
BENCHMARK(fedadam_step)->Unit(benchmark::kMillisecond)->UseRealTime();

} // namespace
} // namespace coppice
