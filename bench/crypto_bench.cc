// SPDX-License-Identifier: Apache-2.0
// Hash, signature, seal and envelope over 1 kB (a plan), 256 KiB (a chunk) and the 311 kB of an
// upload.
#include <benchmark/benchmark.h>

#include "crypto/hash.h"
#include "crypto/seal.h"
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

} // namespace
} // namespace coppice
