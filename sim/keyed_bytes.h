// SPDX-License-Identifier: Apache-2.0
// Repeatable bytes for the samplers of noise, in simulations alone: plans are marked `test`.
#pragma once

#include "base/random.h"
#include "privacy/random_bits.h"

namespace coppice {

inline constexpr std::uint64_t kNoiseBytes = 0x6e6f697365; // RandomKey::step of noise

class KeyedBytes final : public ByteSource {
 public:
  explicit KeyedBytes(const RandomKey& key) : random_(key) {}
  void fill(std::span<std::uint8_t> bytes) override {
    for (std::size_t i = 0; i < bytes.size(); i += sizeof(std::uint32_t)) {
      const std::uint32_t word = random_.next_u32();
      for (std::size_t j = 0; j < sizeof(word) && i + j < bytes.size(); ++j) {
        bytes[i + j] = static_cast<std::uint8_t>(word >> (8 * j));
      }
    }
  }

 private:
  KeyedRandom random_;
};

} // namespace coppice
