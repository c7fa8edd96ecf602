// SPDX-License-Identifier: Apache-2.0
// The two orders of the rows of q and k: half-split (Hugging Face) and interleaved (GGUF, llama).
//
// RoPE turns pairs of a head's rows. Hugging Face keeps the two rows of a pair half a head apart,
// the converter to GGUF puts them next to each other. With head width w and rows counted from 0:
//   half-split row h*w + p*(w/2) + i  is  interleaved row h*w + 2*i + p,   p in {0, 1}, i < w/2.
// Both functions copy whole rows, bit for bit, and are each other's inverse. Pure; thread-safe.
#pragma once

#include <cstddef>
#include <span>

namespace coppice {

struct RopeRows {
  std::size_t heads = 0;   // above 0
  std::size_t rows = 0;    // heads times an even head width
  std::size_t columns = 0; // floats a row
};

// `from` and `to` have rows * columns elements each and don't overlap (sizes are checked).
void half_split_to_interleaved(const RopeRows& shape, std::span<const float> from,
                               std::span<float> to);
void interleaved_to_half_split(const RopeRows& shape, std::span<const float> from,
                               std::span<float> to);

} // namespace coppice
