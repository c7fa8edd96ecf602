// SPDX-License-Identifier: Apache-2.0
// KeyedRandom: repeatable randomness for batches, rounding, initial adapters and simulation.
//
// Never for keys, masks, shares, nonces, noise or cohort sampling: those are
// crypto/secret_random.h, a different type that can't be seeded. The stream is Philox4x32-10
// (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011) under a key that is
// derived from the five numbers of RandomKey, so any two purposes, rounds or clients have unrelated
// streams, in any order of use. The same key gives the same numbers on every machine: integer
// arithmetic only. Thread-compatible.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <utility>

namespace coppice {

enum class RandomPurpose : std::uint32_t {
  kInitialAdapter = 1,
  kBatchOrder = 2,
  kStochasticRounding = 3,
  kSimulation = 4,
  kText = 5, // people's texts, sampled tokens
  kTest = 6,
  kRotation = 7,
  kCluster = 8,
};

struct RandomKey {
  std::uint64_t experiment = 0;
  std::uint64_t round = 0;
  std::uint64_t client = 0;
  RandomPurpose purpose = RandomPurpose::kTest;
  std::uint64_t step = 0;
};

// One block of Philox4x32-10; exposed for its published known-answer test.
std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter,
                                        std::array<std::uint32_t, 2> key);

class KeyedRandom {
 public:
  explicit KeyedRandom(const RandomKey& key);

  std::uint32_t next_u32();
  std::uint64_t next_u64();
  void fill(std::span<std::uint32_t> words); // as next_u32() gives them, several blocks at a time
  float uniform_float();                     // [0, 1), 24 random bits
  double uniform_double();                   // [0, 1), 53 random bits
  // Uniform in [0, bound), without bias (Lemire 2019). bound > 0.
  std::uint64_t below(std::uint64_t bound);

  // Fisher-Yates.
  template <typename T>
  void shuffle(std::span<T> items) {
    for (std::size_t i = items.size(); i > 1; --i) {
      std::swap(items[i - 1], items[static_cast<std::size_t>(below(i))]);
    }
  }

 private:
  std::array<std::uint32_t, 2> key_{};
  std::uint64_t block_ = 0;
  std::array<std::uint32_t, 4> words_{};
  std::size_t used_ = 4; // words of `words_` already given out
};

} // namespace coppice
