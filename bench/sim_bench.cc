// SPDX-License-Identifier: Apache-2.0
// What a simulation of the protocol alone is made of: the event queue, questions about
// availability, a population's rows, and draws from it.
#include <benchmark/benchmark.h>

#include "sim/event_queue.h"
#include "sim/permutation.h"
#include "sim/population.h"

namespace coppice {
namespace {

constexpr std::int64_t kNoon = 12 * std::int64_t{kSecondsPerHour} * kNanosPerSecond;

PopulationSettings phones() {
  PopulationSettings settings;
  settings.availability = AvailabilityKind::kHours;
  DeviceClass phone;
  phone.spread = 0.5;
  settings.classes = {phone};
  settings.clock_skew = {kNanosPerSecond};
  return settings;
}

Population million() {
  return Population::make(phones(), Availability::by_hours(1), 1'000'000, 1).value();
}

// One pop and one push, the heap staying as large as it is.
void event_queue(benchmark::State& state) {
  KeyedRandom random({.experiment = 1});
  EventQueue<std::uint64_t> queue;
  for (std::int64_t device = 0; device < state.range(0); ++device) {
    const Nanos at{static_cast<std::int64_t>(random.below(kNanosPerSecond))};
    queue.push({at, static_cast<std::uint64_t>(device), 0}, 0);
  }
  std::vector<Nanos> delays(4096);
  for (Nanos& delay : delays)
    delay.count = static_cast<std::int64_t>(random.below(kNanosPerSecond));
  std::size_t at = 0;
  for (auto _ : state) {
    auto event = queue.pop();
    event.key.at = event.key.at + delays[++at % delays.size()];
    ++event.key.sequence;
    queue.push(event.key, event.payload);
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(event_queue)->Arg(500)->Arg(10'000)->Arg(1'000'000);

void available_at_any_time(benchmark::State& state) {
  const Population population = million();
  const Permutation order(population.size(), {.experiment = 2});
  std::uint64_t place = 0;
  std::uint64_t count = 0;
  for (auto _ : state) {
    const DeviceNumber device = order(place++ % population.size());
    count +=
        population.available(device, {static_cast<std::int64_t>(place) * 1'000'000'007}) ? 1 : 0;
  }
  benchmark::DoNotOptimize(count);
}
BENCHMARK(available_at_any_time);

void one_place_of_a_permutation(benchmark::State& state) {
  const Permutation order(1'000'000, {.experiment = 2});
  std::uint64_t place = 0;
  for (auto _ : state) benchmark::DoNotOptimize(order(place++ % order.size()));
}
BENCHMARK(one_place_of_a_permutation);

void make_population(benchmark::State& state) {
  const Availability weeks = Availability::by_hours(1);
  for (auto _ : state) {
    const auto made =
        Population::make(phones(), weeks, static_cast<std::uint64_t>(state.range(0)), 1);
    benchmark::DoNotOptimize(made->size());
  }
  state.counters["row_bytes"] = static_cast<double>(sizeof(DeviceRow));
}
BENCHMARK(make_population)->Arg(10'000)->Arg(1'000'000)->Unit(benchmark::kMillisecond);

// 500 devices at noon, when few are there.
void draw_cohort(benchmark::State& state) {
  const auto devices = static_cast<std::uint64_t>(state.range(0));
  const auto made = Population::make(phones(), Availability::by_hours(1), devices, 1);
  std::uint64_t round = 0;
  for (auto _ : state) {
    const auto drawn =
        made->draw(500, {kNoon}, {.round = ++round}, [](DeviceNumber) { return false; });
    benchmark::DoNotOptimize(drawn.size());
  }
}
BENCHMARK(draw_cohort)->Arg(10'000)->Arg(1'000'000)->Unit(benchmark::kMicrosecond);

void draw_each_by_itself(benchmark::State& state) {
  const auto devices = static_cast<std::uint64_t>(state.range(0));
  const auto made = Population::make(phones(), Availability::by_hours(1), devices, 1);
  std::uint64_t round = 0;
  for (auto _ : state) {
    const auto drawn = made->draw_each(5'000.0 / static_cast<double>(devices), {kNoon},
                                       {.round = ++round}, [](DeviceNumber) { return false; });
    benchmark::DoNotOptimize(drawn.size());
  }
}
BENCHMARK(draw_each_by_itself)->Arg(10'000)->Arg(1'000'000)->Unit(benchmark::kMicrosecond);

} // namespace
} // namespace coppice
