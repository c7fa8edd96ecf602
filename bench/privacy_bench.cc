// SPDX-License-Identifier: Apache-2.0
// What one question to the accountants takes: an epsilon of sampled rounds by loss distributions
// and by Renyi orders, a ledger of several kinds of rounds, and a calibration.
#include <benchmark/benchmark.h>

#include <vector>

#include "privacy/accountant.h"
#include "privacy/pld.h"
#include "privacy/rdp.h"

namespace coppice {
namespace {

void pld_epsilon_of_rounds(benchmark::State& state) {
  const SampledGaussian group{1.0, 0.005, static_cast<std::uint64_t>(state.range(0))};
  for ([[maybe_unused]] auto _ : state) benchmark::DoNotOptimize(*pld_epsilon({&group, 1}, 1e-6));
}
BENCHMARK(pld_epsilon_of_rounds)
    ->RangeMultiplier(10)
    ->Range(1, 1'000'000)
    ->Unit(benchmark::kMillisecond);

void pld_epsilon_of_a_ledger(benchmark::State& state) {
  std::vector<SampledGaussian> groups;
  for (int i = 0; i < state.range(0); ++i) groups.push_back({0.8 + 0.05 * i, 0.005, 300});
  for ([[maybe_unused]] auto _ : state) benchmark::DoNotOptimize(*pld_epsilon(groups, 1e-6));
}
BENCHMARK(pld_epsilon_of_a_ledger)->Arg(2)->Arg(8)->Unit(benchmark::kMillisecond);

void rdp_epsilon(benchmark::State& state) {
  const auto orders = default_rdp_orders();
  for ([[maybe_unused]] auto _ : state) {
    std::vector<double> rdp;
    rdp.reserve(orders.size());
    for (const double order : orders)
      rdp.push_back(1000.0 * *sampled_gaussian_rdp(0.005, 1.0, order));
    benchmark::DoNotOptimize(rdp_to_epsilon(orders, rdp, 1e-6)->epsilon);
  }
}
BENCHMARK(rdp_epsilon)->Unit(benchmark::kMillisecond);

void calibrate(benchmark::State& state) {
  for ([[maybe_unused]] auto _ : state)
    benchmark::DoNotOptimize(*noise_multiplier_for({2.0, 1e-6, 0.005, 1000}));
}
BENCHMARK(calibrate)->Unit(benchmark::kMillisecond);

} // namespace
} // namespace coppice
