// SPDX-License-Identifier: Apache-2.0
// The state of correlated noise: whatever parses is the only text of itself, and takes a next round
// or refuses it unchanged.
#include "base/check.h"
#include "privacy/banded_noise.h"
#include "tests/fuzz/fuzz_target.h"

namespace coppice {
namespace {

struct Counting final : ByteSource {
  std::uint64_t state = 1;
  void fill(std::span<std::uint8_t> bytes) override {
    for (std::uint8_t& byte : bytes) {
      state = state * 6364136223846793005ULL + 1442695040888963407ULL;
      byte = static_cast<std::uint8_t>(state >> 56U);
    }
  }
};

} // namespace

std::vector<Bytes> fuzz_seeds() {
  std::vector<Bytes> seeds;
  for (const std::uint32_t bands : {1U, 2U, 5U}) {
    auto noise = BandedNoise::create(BandedCoefficients::create(bands).value(), 7).value();
    seeds.push_back(noise.serialize());
    Counting source;
    for (int round = 0; round < 6; ++round) (void)noise.next({100, 1}, source).value();
    seeds.push_back(noise.serialize());
  }
  return seeds;
}

} // namespace coppice

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace coppice;
  const ByteSpan bytes(data, size);
  auto noise = [&] {
    const AllocationLimit limit(AllocationLimit::twice(size));
    return BandedNoise::parse(bytes);
  }();
  if (!noise) return 0;
  const Bytes whole(bytes.begin(), bytes.end());
  COPPICE_CHECK(noise->serialize() == whole);
  if (noise->dimension > 1000) return 0; // with one band nothing is kept, so it may be any number
  const AllocationLimit limit(AllocationLimit::twice(noise->dimension * sizeof(std::int64_t)));
  Counting source;
  const std::uint64_t rounds = noise->rounds;
  const auto next = noise->next({3, 1}, source);
  if (next) {
    COPPICE_CHECK(noise->rounds == rounds + 1 && next->size() == noise->dimension);
  } else {
    COPPICE_CHECK(noise->serialize() == whole);
  }
  return 0;
}
