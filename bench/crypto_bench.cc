// SPDX-License-Identifier: Apache-2.0
// Hash, signature, seal and envelope over 1 kB (a plan), 256 KiB (a chunk) and the 311 kB of an
// upload; masks over 2^20 ring elements, beside the bare keystream of the same bytes; Shamir's
// shares.
#include <benchmark/benchmark.h>
#include <time.h>

#include <algorithm>
#include <functional>
#include <vector>

#include "crypto/hash.h"
#include "crypto/mask_stream.h"
#include "crypto/primitives.h"
#include "crypto/seal.h"
#include "crypto/secret_random.h"
#include "crypto/shamir.h"
#include "crypto/sign.h"
#include "protocol/envelope.h"

namespace coppice {
namespace {

constexpr std::int64_t kPlanBytes = 1024;
constexpr std::int64_t kChunkBytes = limits::kChunkBytes;
constexpr std::int64_t kUploadBytes = 311'296; // 155,648 parameters of 16 bits

Bytes some_bytes(const benchmark::State& state) {
  return Bytes(static_cast<std::size_t>(state.range(0)), 0x5a);
}

void count_bytes(benchmark::State& state) {
  state.SetBytesProcessed(state.iterations() * state.range(0));
}

void hash(benchmark::State& state) {
  const Bytes bytes = some_bytes(state);
  for (auto _ : state) benchmark::DoNotOptimize(sha256(bytes));
  count_bytes(state);
}
BENCHMARK(hash)->Arg(kPlanBytes)->Arg(kUploadBytes);

void signing(benchmark::State& state) {
  const Bytes bytes = some_bytes(state);
  const SigningKey key = SigningKey::generate();
  for (auto _ : state) benchmark::DoNotOptimize(sign(key, Domain::kPlan, bytes));
  count_bytes(state);
}
BENCHMARK(signing)->Arg(kPlanBytes)->Arg(kChunkBytes)->Arg(kUploadBytes);

void verifying(benchmark::State& state) {
  const Bytes bytes = some_bytes(state);
  const SigningKey key = SigningKey::generate();
  const Signature signature = sign(key, Domain::kPlan, bytes);
  for (auto _ : state) {
    if (!verify(key.public_key(), Domain::kPlan, bytes, signature).ok()) {
      state.SkipWithError("a true signature was refused");
    }
  }
  count_bytes(state);
}
BENCHMARK(verifying)->Arg(kPlanBytes)->Arg(kChunkBytes)->Arg(kUploadBytes);

void sealing(benchmark::State& state) {
  const Bytes bytes = some_bytes(state);
  const SealKey key = SealKey::generate();
  for (auto _ : state) {
    benchmark::DoNotOptimize(seal(key.public_key(), Domain::kEnvelopeBody, {}, bytes).value());
  }
  count_bytes(state);
}
BENCHMARK(sealing)->Arg(kPlanBytes)->Arg(kUploadBytes);

void opening(benchmark::State& state) {
  const SealKey key = SealKey::generate();
  const Bytes sealed = seal(key.public_key(), Domain::kEnvelopeBody, {}, some_bytes(state)).value();
  for (auto _ : state) {
    benchmark::DoNotOptimize(open(key, Domain::kEnvelopeBody, {}, sealed).value());
  }
  count_bytes(state);
}
BENCHMARK(opening)->Arg(kPlanBytes)->Arg(kUploadBytes);

// A chunk of a release: encoded, signed; then verified and decoded.
void make_chunk_envelope(benchmark::State& state) {
  const SigningKey key = SigningKey::generate();
  const ContentChunk chunk{{}, 0, static_cast<std::uint64_t>(state.range(0)), some_bytes(state)};
  EnvelopeHeader header;
  header.type = MessageType::kContentChunk;
  for (auto _ : state) benchmark::DoNotOptimize(make_envelope(key, header, chunk));
  count_bytes(state);
}
BENCHMARK(make_chunk_envelope)->Arg(kPlanBytes)->Arg(kChunkBytes);

void open_chunk_envelope(benchmark::State& state) {
  const SigningKey key = SigningKey::generate();
  const ContentChunk chunk{{}, 0, static_cast<std::uint64_t>(state.range(0)), some_bytes(state)};
  EnvelopeHeader header;
  header.type = MessageType::kContentChunk;
  const Frame frame = make_envelope(key, header, chunk);
  for (auto _ : state) {
    const auto opened = open_envelope(frame, key.public_key(), ClientId{});
    benchmark::DoNotOptimize(decode_message(opened.value()).value());
  }
  count_bytes(state);
}
BENCHMARK(open_chunk_envelope)->Arg(kPlanBytes)->Arg(kChunkBytes);

constexpr std::size_t kElements = std::size_t{1} << 20U;

// Of this thread on a core: whatever else the machine does counts for little.
double thread_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

double seconds_of(const std::function<void()>& work) {
  const double start = thread_seconds();
  work();
  return thread_seconds() - start;
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

// Masks of so many seeds in a ring of so many bits, and as many bare keystreams of the same bytes,
// by turns: the counters hold both medians, and the median of the pairs' ratios. The benchmark's
// own time is that of the masks.
void masking(benchmark::State& state) {
  const auto count = static_cast<std::size_t>(state.range(0));
  const auto bits = static_cast<std::uint32_t>(state.range(1));
  std::vector<SignedSeed> seeds;
  for (std::size_t i = 0; i < count; ++i) {
    seeds.push_back(
        {SecretRandom().secret<32>(), i % 2 == 0 ? MaskSign::kAdd : MaskSign::kSubtract});
  }
  std::vector<std::uint32_t> elements(kElements);
  Bytes keystream(mask_bytes(kElements, bits));
  std::vector<double> masks;
  std::vector<double> keystreams;
  std::vector<double> ratios;
  for (auto _ : state) {
    keystreams.push_back(seconds_of([&] {
      for (const SignedSeed& each : seeds) primitives::chacha20_keystream(each.seed, keystream);
    }));
    masks.push_back(seconds_of([&] { add_masks(seeds, 0, bits, elements); }));
    ratios.push_back(masks.back() / keystreams.back());
    state.SetIterationTime(masks.back());
    benchmark::DoNotOptimize(elements.data());
    benchmark::DoNotOptimize(keystream.data());
  }
  state.counters["mask_ms"] = 1e3 * median(masks);
  state.counters["keystream_ms"] = 1e3 * median(keystreams);
  state.counters["ratio"] = median(ratios);
}
BENCHMARK(masking)->Args({1, 32})->Args({1, 20})->Args({1, 16})->Iterations(101)->UseManualTime();
BENCHMARK(masking)->Args({129, 16})->Args({129, 32})->Iterations(5)->UseManualTime();

// A client of a round of 1,000 shares two secrets with 128 neighbours, 86 of whom recover one.
constexpr std::uint32_t kNeighbours = 128;
constexpr std::uint32_t kThreshold = 86;

std::vector<NumberedShare> some_shares() {
  const auto dealt = share_secret(SecretRandom().secret<32>(), kThreshold, kNeighbours, {});
  std::vector<NumberedShare> shares;
  for (std::uint32_t i = 0; i < dealt.size(); ++i) shares.push_back({i + 1, dealt[i]});
  return shares;
}

void sharing(benchmark::State& state) {
  const auto secret = SecretRandom().secret<32>();
  for (auto _ : state) {
    benchmark::DoNotOptimize(share_secret(secret, kThreshold, kNeighbours, SecretRandom()));
  }
}
BENCHMARK(sharing)->Unit(benchmark::kMicrosecond);

void reconstructing_alone(benchmark::State& state) {
  const auto shares = some_shares();
  for (auto _ : state) {
    benchmark::DoNotOptimize(reconstruct_secret(shares, kThreshold, SecretRandom()).value());
  }
}
BENCHMARK(reconstructing_alone)->Unit(benchmark::kMicrosecond);

void reconstructing_with_known_numbers(benchmark::State& state) {
  const auto shares = some_shares();
  std::vector<std::uint32_t> numbers;
  for (const NumberedShare& each : shares) numbers.push_back(each.number);
  const auto lagrange = LagrangeAtZero::make(numbers, kThreshold, SecretRandom()).value();
  for (auto _ : state) benchmark::DoNotOptimize(lagrange.reconstruct(shares).value());
}
BENCHMARK(reconstructing_with_known_numbers)->Unit(benchmark::kMicrosecond);

} // namespace
} // namespace coppice
