// SPDX-License-Identifier: Apache-2.0
#include "base/random.h"

#include "base/check.h"
#include "base/instruction_levels.h"

namespace coppice {
namespace {

std::array<std::uint32_t, 2> split_words(std::uint64_t value) {
  return {static_cast<std::uint32_t>(value), static_cast<std::uint32_t>(value >> 32U)};
}

// One link of the key chain: the old key encrypts two more numbers, half the output is the new key.
std::array<std::uint32_t, 2> absorb(std::array<std::uint32_t, 2> key, std::uint64_t first,
                                    std::uint64_t second) {
  const auto a = split_words(first);
  const auto b = split_words(second);
  const auto block = philox4x32({a[0], a[1], b[0], b[1]}, key);
  return {block[0] ^ block[2], block[1] ^ block[3]};
}

constexpr std::uint64_t kMultiply0 = 0xD2511F53U;
constexpr std::uint64_t kMultiply1 = 0xCD9E8D57U;
constexpr std::uint32_t kStep0 = 0x9E3779B9U; // golden ratio
constexpr std::uint32_t kStep1 = 0xBB67AE85U; // sqrt(3) - 1
constexpr int kRounds = 10;

constexpr std::size_t kLanes = 32; // blocks side by side
constexpr std::size_t kBlockWords = 4;

// Blocks [first, first + kLanes), one after another.
COPPICE_LEVELS void lanes_of_blocks(std::uint64_t first, std::array<std::uint32_t, 2> key,
                                    std::uint32_t* out) {
  std::uint32_t counters[kBlockWords][kLanes] = {};
  for (std::size_t i = 0; i < kLanes; ++i) {
    counters[0][i] = static_cast<std::uint32_t>(first + i);
    counters[1][i] = static_cast<std::uint32_t>((first + i) >> 32U);
  }
  for (int round = 0; round < kRounds; ++round) {
    std::uint32_t high0[kLanes], high1[kLanes];
    for (std::size_t i = 0; i < kLanes; ++i) {
      high0[i] = static_cast<std::uint32_t>(kMultiply0 * counters[0][i] >> 32U);
    }
    for (std::size_t i = 0; i < kLanes; ++i) {
      high1[i] = static_cast<std::uint32_t>(kMultiply1 * counters[2][i] >> 32U);
    }
    for (std::size_t i = 0; i < kLanes; ++i) {
      const std::uint32_t low0 = static_cast<std::uint32_t>(kMultiply0) * counters[0][i];
      const std::uint32_t low1 = static_cast<std::uint32_t>(kMultiply1) * counters[2][i];
      counters[0][i] = high1[i] ^ counters[1][i] ^ key[0];
      counters[1][i] = low1;
      counters[2][i] = high0[i] ^ counters[3][i] ^ key[1];
      counters[3][i] = low0;
    }
    key[0] += kStep0;
    key[1] += kStep1;
  }
  for (std::size_t i = 0; i < kLanes; ++i) {
    for (std::size_t word = 0; word < kBlockWords; ++word) {
      out[i * kBlockWords + word] = counters[word][i];
    }
  }
}

} // namespace

std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter,
                                        std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < kRounds; ++round) {
    const std::uint64_t product0 = kMultiply0 * counter[0];
    const std::uint64_t product1 = kMultiply1 * counter[2];
    counter = {static_cast<std::uint32_t>(product1 >> 32U) ^ counter[1] ^ key[0],
               static_cast<std::uint32_t>(product1),
               static_cast<std::uint32_t>(product0 >> 32U) ^ counter[3] ^ key[1],
               static_cast<std::uint32_t>(product0)};
    key[0] += kStep0;
    key[1] += kStep1;
  }
  return counter;
}

KeyedRandom::KeyedRandom(const RandomKey& key) {
  key_ = absorb(split_words(key.experiment), key.round, key.client);
  key_ = absorb(key_, static_cast<std::uint64_t>(key.purpose), key.step);
}

std::uint32_t KeyedRandom::next_u32() {
  if (used_ == words_.size()) {
    const auto index = split_words(block_++);
    words_ = philox4x32({index[0], index[1], 0, 0}, key_);
    used_ = 0;
  }
  return words_[used_++];
}

void KeyedRandom::fill(std::span<std::uint32_t> words) {
  constexpr std::size_t kWords = kLanes * kBlockWords;
  while (!words.empty() && (used_ < words_.size() || words.size() < kWords)) {
    words.front() = next_u32();
    words = words.subspan(1);
  }
  for (; words.size() >= kWords; words = words.subspan(kWords), block_ += kLanes) {
    lanes_of_blocks(block_, key_, words.data());
  }
  for (std::uint32_t& word : words) word = next_u32();
}

std::uint64_t KeyedRandom::next_u64() {
  const std::uint64_t low = next_u32();
  return low | (static_cast<std::uint64_t>(next_u32()) << 32U);
}

float KeyedRandom::uniform_float() { return static_cast<float>(next_u32() >> 8U) * 0x1.0p-24F; }

double KeyedRandom::uniform_double() { return static_cast<double>(next_u64() >> 11U) * 0x1.0p-53; }

std::uint64_t KeyedRandom::below(std::uint64_t bound) {
  COPPICE_CHECK(bound > 0);
  __extension__ using Wide = unsigned __int128;
  const std::uint64_t threshold = (0 - bound) % bound;
  for (;;) {
    const Wide product = static_cast<Wide>(next_u64()) * bound;
    if (static_cast<std::uint64_t>(product) >= threshold) {
      return static_cast<std::uint64_t>(product >> 64U);
    }
  }
}

} // namespace coppice
