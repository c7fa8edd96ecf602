// SPDX-License-Identifier: Apache-2.0
// A delta's way onto the wire and into the sum: clip, encode, pack, unpack, add. One "item" is a
// parameter; the size is that of the 4M base's adapter, r = 8 on seven modules.
#include <benchmark/benchmark.h>

#include "adapters/delta_encoding.h"
#include "adapters/ring_codec.h"
#include "adapters/rotation.h"
#include "adapters/rounded_norm.h"
#include "privacy/clip.h"

namespace coppice {
namespace {

constexpr std::size_t kParameters = 155'648;

KeyedRandom random_for(std::uint64_t client) {
  return KeyedRandom({.client = client, .purpose = RandomPurpose::kTest});
}

std::vector<float> a_delta(std::size_t parameters = kParameters) {
  auto random = random_for(1);
  std::vector<float> delta(parameters);
  for (float& value : delta) value = 0.02F * random.uniform_float() - 0.01F;
  return delta;
}

RingBits bits_of(const benchmark::State& state) {
  return RingBits::make(static_cast<std::uint64_t>(state.range(0))).value();
}

RingEncoding encoding_for(RingBits bits) {
  constexpr double kBound = 0.064;
  return {.bound = kBound, .scale = largest_safe_scale(bits, 8, 8, kBound), .bits = bits};
}

void count_parameters(benchmark::State& state, std::size_t parameters = kParameters) {
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(parameters));
}

void clip(benchmark::State& state) {
  const std::vector<float> delta = a_delta();
  for (auto _ : state) {
    state.PauseTiming();
    std::vector<float> clipped = delta;
    state.ResumeTiming();
    benchmark::DoNotOptimize(clip_l2(clipped, 1.0).value()); // its norm is above 2: it is scaled
  }
  count_parameters(state);
}
BENCHMARK(clip);

void encode(benchmark::State& state) {
  const std::vector<float> delta = a_delta();
  const RingEncoding encoding = encoding_for(bits_of(state));
  for (auto _ : state) {
    auto random = random_for(2);
    benchmark::DoNotOptimize(ring_encode(delta, encoding, random).value());
  }
  count_parameters(state);
}
BENCHMARK(encode)->Arg(16)->Arg(20)->Arg(24)->Arg(32);

void rotate_delta(benchmark::State& state) {
  std::vector<float> delta = a_delta(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) {
    rotate(delta, 1); // again and again: its norm stays
    benchmark::ClobberMemory();
  }
  count_parameters(state, delta.size());
}
BENCHMARK(rotate_delta)->Arg(kParameters)->Arg(1 << 20)->Unit(benchmark::kMillisecond);

void rotate_and_encode(benchmark::State& state) {
  std::vector<float> delta = a_delta(static_cast<std::size_t>(state.range(0)));
  DeltaEncoding encoding{.clip = 1.0, .bits = RingBits{16}, .rotation_seed = 1};
  clip_l2(delta, encoding.clip).value();
  encoding.scale = least_norm_for_inflation(delta.size(), 0.03);
  encoding.norm_bound_squared =
      static_cast<std::uint64_t>(rounded_norm_squared(encoding.scale, delta.size()));
  for (auto _ : state) {
    benchmark::DoNotOptimize(encode_delta_vector(delta, encoding, {.client = 2}).value());
  }
  count_parameters(state, delta.size());
}
BENCHMARK(rotate_and_encode)->Arg(kParameters)->Arg(1 << 20)->Unit(benchmark::kMillisecond);

std::vector<std::uint32_t> elements_for(RingBits bits) {
  auto random = random_for(3);
  return ring_encode(a_delta(), encoding_for(bits), random).value();
}

void pack(benchmark::State& state) {
  const auto elements = elements_for(bits_of(state));
  for (auto _ : state) {
    Bytes packed;
    ring_pack(elements, bits_of(state), packed);
    benchmark::DoNotOptimize(packed);
  }
  count_parameters(state);
}
BENCHMARK(pack)->Arg(16)->Arg(20)->Arg(24)->Arg(32);

void unpack(benchmark::State& state) {
  Bytes packed;
  ring_pack(elements_for(bits_of(state)), bits_of(state), packed);
  for (auto _ : state) {
    benchmark::DoNotOptimize(ring_unpack(packed, kParameters, bits_of(state)).value());
  }
  count_parameters(state);
}
BENCHMARK(unpack)->Arg(16)->Arg(20)->Arg(24)->Arg(32);

void add(benchmark::State& state) {
  const auto elements = elements_for(bits_of(state));
  std::vector<std::uint32_t> sum(elements.size());
  for (auto _ : state) {
    ring_add(sum, elements, bits_of(state));
    benchmark::ClobberMemory();
  }
  count_parameters(state);
}
BENCHMARK(add)->Arg(16)->Arg(32);

} // namespace
} // namespace coppice
