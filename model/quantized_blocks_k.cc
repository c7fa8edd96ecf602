// SPDX-License-Identifier: Apache-2.0
// Types with blocks of 256 weights, scalar. Runs of 32 weights are the unit: run r of Q2_K and Q3_K
// takes bit pair r % 4 of 32 bytes, of Q4_K, Q5_K and IQ4_XS a nibble.
#include "model/dequantize.h"

namespace coppice::scalar {
namespace {

constexpr std::size_t kRun = 32;
constexpr std::size_t kRuns = kLargeBlock / kRun;

// Pair of bits of weight i of a run, of 64 bytes that hold eight runs.
unsigned pair_at(const std::uint8_t* pairs, std::size_t run, std::size_t i) {
  return pairs[run / 4 * 32 + i] >> (run % 4 * 2) & 3U;
}

// Two runs share 32 bytes: the first has the low nibbles.
unsigned nibble_at(const std::uint8_t* nibbles, std::size_t run, std::size_t i) {
  return nibbles[run / 2 * 32 + i] >> (run % 2 * 4) & 15U;
}

} // namespace

void dequantize_q2_k(const std::uint8_t* blocks, std::size_t elements, float* out) {
  using L = Q2KLayout;
  for (std::size_t at = 0; at < elements; at += kLargeBlock, blocks += L::kBytes) {
    const float all = half_at(blocks + L::kScale);
    const float all_min = half_at(blocks + L::kMin);
    for (std::size_t run = 0; run < kRuns; ++run) {
      for (std::size_t i = 0; i < kRun; ++i) {
        const unsigned both = blocks[L::kScales + run * 2 + i / 16];
        const float scale = all * static_cast<float>(both & 15U);
        const float min = all_min * static_cast<float>(both >> 4U);
        out[at + run * kRun + i] =
            scale * static_cast<float>(pair_at(blocks + L::kLow, run, i)) - min;
      }
    }
  }
}

void dequantize_q3_k(const std::uint8_t* blocks, std::size_t elements, float* out) {
  using L = Q3KLayout;
  for (std::size_t at = 0; at < elements; at += kLargeBlock, blocks += L::kBytes) {
    const float all = half_at(blocks + L::kScale);
    for (std::size_t run = 0; run < kRuns; ++run) {
      for (std::size_t i = 0; i < kRun; ++i) {
        const int part = q3_k_scale(blocks + L::kScales, run * 2 + i / 16);
        const unsigned high = blocks[L::kHigh + i] >> run & 1U;
        const int weight = static_cast<int>(pair_at(blocks + L::kLow, run, i) | high << 2U) - 4;
        out[at + run * kRun + i] = all * static_cast<float>(part) * static_cast<float>(weight);
      }
    }
  }
}

void dequantize_q4_k(const std::uint8_t* blocks, std::size_t elements, float* out) {
  using L = Q4KLayout;
  for (std::size_t at = 0; at < elements; at += kLargeBlock, blocks += L::kBytes) {
    const float all = half_at(blocks + L::kScale);
    const float all_min = half_at(blocks + L::kMin);
    const KScales parts = unpack_k_scales(blocks + L::kScales);
    for (std::size_t run = 0; run < kRuns; ++run) {
      const float scale = all * static_cast<float>(parts.scale[run]);
      const float min = all_min * static_cast<float>(parts.min[run]);
      for (std::size_t i = 0; i < kRun; ++i) {
        out[at + run * kRun + i] =
            scale * static_cast<float>(nibble_at(blocks + L::kLow, run, i)) - min;
      }
    }
  }
}

void dequantize_q5_k(const std::uint8_t* blocks, std::size_t elements, float* out) {
  using L = Q5KLayout;
  for (std::size_t at = 0; at < elements; at += kLargeBlock, blocks += L::kBytes) {
    const float all = half_at(blocks + L::kScale);
    const float all_min = half_at(blocks + L::kMin);
    const KScales parts = unpack_k_scales(blocks + L::kScales);
    for (std::size_t run = 0; run < kRuns; ++run) {
      const float scale = all * static_cast<float>(parts.scale[run]);
      const float min = all_min * static_cast<float>(parts.min[run]);
      for (std::size_t i = 0; i < kRun; ++i) {
        const unsigned high = blocks[L::kHigh + i] >> run & 1U;
        const unsigned weight = nibble_at(blocks + L::kLow, run, i) | high << 4U;
        out[at + run * kRun + i] = scale * static_cast<float>(weight) - min;
      }
    }
  }
}

// Each half of a block holds four runs: run k takes nibble k / 2 of byte 32 (k % 2) + i and bit
// pair k of high byte i.
void dequantize_q6_k(const std::uint8_t* blocks, std::size_t elements, float* out) {
  using L = Q6KLayout;
  for (std::size_t at = 0; at < elements; at += kLargeBlock, blocks += L::kBytes) {
    const float all = half_at(blocks + L::kScale);
    for (std::size_t half = 0; half < 2; ++half) {
      for (std::size_t run = 0; run < 4; ++run) {
        for (std::size_t i = 0; i < kRun; ++i) {
          const unsigned low = blocks[half * 64 + run % 2 * 32 + i] >> (run / 2 * 4) & 15U;
          const unsigned high = blocks[L::kHigh + half * 32 + i] >> (run * 2) & 3U;
          const auto sixteenth = blocks[L::kScales + half * 8 + run * 2 + i / 16];
          const float scale = all * static_cast<float>(static_cast<std::int8_t>(sixteenth));
          const int weight = static_cast<int>(low | high << 4U) - 32;
          out[at + half * 128 + run * 32 + i] = scale * static_cast<float>(weight);
        }
      }
    }
  }
}

void dequantize_iq4_xs(const std::uint8_t* blocks, std::size_t elements, float* out) {
  using L = Iq4XsLayout;
  for (std::size_t at = 0; at < elements; at += kLargeBlock, blocks += L::kBytes) {
    const float all = half_at(blocks + L::kScale);
    for (std::size_t run = 0; run < kRuns; ++run) {
      const float scale = all * static_cast<float>(iq4_xs_scale(blocks, run));
      for (std::size_t i = 0; i < kRun; ++i) {
        const unsigned level = blocks[L::kLow + run * 16 + i % 16] >> (i / 16 * 4) & 15U;
        out[at + run * kRun + i] = scale * static_cast<float>(kNonlinearLevels[level]);
      }
    }
  }
}

namespace {

// Trit n of a byte, less one: the n-th base-3 digit of the fraction byte / 256.
float trit(std::uint8_t byte, std::size_t n) {
  constexpr unsigned kPowers[] = {1, 3, 9, 27, 81};
  const unsigned rest = byte * kPowers[n] & 255U;
  return static_cast<float>(static_cast<int>(rest * 3 >> 8U) - 1);
}

} // namespace

void dequantize_tq1_0(const std::uint8_t* blocks, std::size_t elements, float* out) {
  using L = Tq1Layout;
  for (std::size_t at = 0; at < elements; at += kLargeBlock, blocks += L::kBytes) {
    const float scale = half_at(blocks + L::kScale);
    for (std::size_t i = 0; i < 160; ++i) {
      out[at + i] = trit(blocks[i % 32], i / 32) * scale;
    }
    for (std::size_t i = 0; i < 80; ++i) {
      out[at + 160 + i] = trit(blocks[32 + i % 16], i / 16) * scale;
    }
    for (std::size_t i = 0; i < 16; ++i) {
      out[at + 240 + i] = trit(blocks[L::kFours + i % 4], i / 4) * scale;
    }
  }
}

void dequantize_tq2_0(const std::uint8_t* blocks, std::size_t elements, float* out) {
  using L = Tq2Layout;
  for (std::size_t at = 0; at < elements; at += kLargeBlock, blocks += L::kBytes) {
    const float scale = half_at(blocks + L::kScale);
    for (std::size_t run = 0; run < kRuns; ++run) {
      for (std::size_t i = 0; i < kRun; ++i) {
        const int weight = static_cast<int>(pair_at(blocks, run, i)) - 1;
        out[at + run * kRun + i] = static_cast<float>(weight) * scale;
      }
    }
  }
}

} // namespace coppice::scalar
