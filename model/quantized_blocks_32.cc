// SPDX-License-Identifier: Apache-2.0
// Types with blocks of 32 weights, scalar.
#include "model/dequantize.h"

namespace coppice::scalar {
namespace {

constexpr std::size_t kHalf = kSmallBlock / 2;

// Nibble of weight i.
unsigned nibble_at(const std::uint8_t* nibbles, std::size_t i) {
  return nibbles[i % kHalf] >> (i / kHalf * 4) & 15U;
}

// Nibble and fifth bit of weight i.
unsigned five_bits_at(const std::uint8_t* highs, const std::uint8_t* nibbles, std::size_t i) {
  return nibble_at(nibbles, i) | (highs[i / 8] >> (i % 8) & 1U) << 4U;
}

} // namespace

void dequantize_q8_0(const std::uint8_t* blocks, std::size_t elements, float* out) {
  for (std::size_t at = 0; at < elements; at += kSmallBlock, blocks += kQ8Bytes) {
    const float scale = half_at(blocks);
    for (std::size_t i = 0; i < kSmallBlock; ++i) {
      out[at + i] = static_cast<float>(static_cast<std::int8_t>(blocks[2 + i])) * scale;
    }
  }
}

void dequantize_q4_0(const std::uint8_t* blocks, std::size_t elements, float* out) {
  for (std::size_t at = 0; at < elements; at += kSmallBlock, blocks += kQ4Bytes) {
    const float scale = half_at(blocks);
    for (std::size_t i = 0; i < kSmallBlock; ++i) {
      out[at + i] = static_cast<float>(static_cast<int>(nibble_at(blocks + 2, i)) - 8) * scale;
    }
  }
}

void dequantize_q4_1(const std::uint8_t* blocks, std::size_t elements, float* out) {
  for (std::size_t at = 0; at < elements; at += kSmallBlock, blocks += kQ41Bytes) {
    const float scale = half_at(blocks);
    const float min = half_at(blocks + 2);
    for (std::size_t i = 0; i < kSmallBlock; ++i) {
      out[at + i] = static_cast<float>(nibble_at(blocks + 4, i)) * scale + min;
    }
  }
}

void dequantize_q5_0(const std::uint8_t* blocks, std::size_t elements, float* out) {
  for (std::size_t at = 0; at < elements; at += kSmallBlock, blocks += kQ50Bytes) {
    const float scale = half_at(blocks);
    for (std::size_t i = 0; i < kSmallBlock; ++i) {
      const int weight = static_cast<int>(five_bits_at(blocks + 2, blocks + 6, i)) - 16;
      out[at + i] = static_cast<float>(weight) * scale;
    }
  }
}

void dequantize_q5_1(const std::uint8_t* blocks, std::size_t elements, float* out) {
  for (std::size_t at = 0; at < elements; at += kSmallBlock, blocks += kQ51Bytes) {
    const float scale = half_at(blocks);
    const float min = half_at(blocks + 2);
    for (std::size_t i = 0; i < kSmallBlock; ++i) {
      out[at + i] = static_cast<float>(five_bits_at(blocks + 4, blocks + 8, i)) * scale + min;
    }
  }
}

void dequantize_iq4_nl(const std::uint8_t* blocks, std::size_t elements, float* out) {
  for (std::size_t at = 0; at < elements; at += kSmallBlock, blocks += kQ4Bytes) {
    const float scale = half_at(blocks);
    for (std::size_t i = 0; i < kSmallBlock; ++i) {
      out[at + i] = static_cast<float>(kNonlinearLevels[nibble_at(blocks + 2, i)]) * scale;
    }
  }
}

} // namespace coppice::scalar
