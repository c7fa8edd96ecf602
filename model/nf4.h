// SPDX-License-Identifier: Apache-2.0
// NF4, the 4-bit type of QLoRA (Dettmers et al. 2023, appendix E), with doubly quantized scales.
//
// A weight is nf4_levels()[code] times the largest magnitude of its 64 neighbours in the row. Two
// codes share a byte, the first in the high half, as bitsandbytes packs them. That magnitude, less
// the mean of all of the tensor, is itself one of 256 values, nf4_magnitude_levels(), times a scale
// for each 256 of them: 4.13 bits a weight in all. How files hold it: docs/formats.md. Pure
// functions: thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"

namespace coppice {

inline constexpr std::size_t kNf4Block = 64;        // weights that share a magnitude
inline constexpr std::size_t kNf4NestedBlock = 256; // magnitudes that share a scale

std::span<const float, 16> nf4_levels();            // ascending, -1 to 1
std::span<const float, 256> nf4_magnitude_levels(); // ascending, bitsandbytes' dynamic map

// Magnitudes of a tensor's blocks, row by row, as they are stored.
struct Nf4Magnitudes {
  float offset = 0.0F;
  std::span<const float> scales;       // one for each kNf4NestedBlock codes
  std::span<const std::uint8_t> codes; // one a block
  float at(std::size_t block) const {
    return nf4_magnitude_levels()[codes[block]] * scales[block / kNf4NestedBlock] + offset;
  }
};

// out.size() weights, a multiple of kNf4Block, of blocks with these magnitudes. packed.size() ==
// out.size() / 2.
void dequantize_nf4(ByteSpan packed, std::span<const float> magnitudes, std::span<float> out);
// The same, of the blocks from `first_block` on.
void dequantize_nf4(ByteSpan packed, const Nf4Magnitudes& magnitudes, std::size_t first_block,
                    std::span<float> out);

// The nearest code of each weight (the lower one in the middle of two), and the magnitudes:
// weights.size() a multiple of kNf4Block, packed.size() half of it, magnitudes.size() one a block.
void quantize_nf4(std::span<const float> weights, std::span<std::uint8_t> packed,
                  std::span<float> magnitudes);

// All magnitudes of a tensor, in order, quantized.
struct QuantizedNf4Magnitudes {
  float offset = 0.0F;
  std::vector<float> scales;
  Bytes codes;
  Nf4Magnitudes view() const { return {.offset = offset, .scales = scales, .codes = codes}; }
};
QuantizedNf4Magnitudes quantize_nf4_magnitudes(std::span<const float> magnitudes);

} // namespace coppice
