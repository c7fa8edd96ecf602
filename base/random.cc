// SPDX-License-Identifier: Apache-2.0
#include "base/random.h"

#include "base/check.h"

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

} // namespace

std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter,
                                        std::array<std::uint32_t, 2> key) {
  constexpr std::uint64_t kMultiply0 = 0xD2511F53U;
  constexpr std::uint64_t kMultiply1 = 0xCD9E8D57U;
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t product0 = kMultiply0 * counter[0];
    const std::uint64_t product1 = kMultiply1 * counter[2];
    counter = {static_cast<std::uint32_t>(product1 >> 32U) ^ counter[1] ^ key[0],
               static_cast<std::uint32_t>(product1),
               static_cast<std::uint32_t>(product0 >> 32U) ^ counter[3] ^ key[1],
               static_cast<std::uint32_t>(product0)};
    key[0] += 0x9E3779B9U; // golden ratio
    key[1] += 0xBB67AE85U; // sqrt(3) - 1
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
