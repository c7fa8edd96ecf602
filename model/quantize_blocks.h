// SPDX-License-Identifier: Apache-2.0
// Rows of float32 to quantized blocks: what model/quantized_blocks.h reads.
//
// F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, TQ1_0 and TQ2_0 come out in the bits of ggml's reference
// encoder. Of the types whose scales are themselves quantized (Q2_K to Q6_K, IQ4_XS), and of
// IQ4_NL, the scales are searched for so that the squared error is small (block_search.h). A row's
// blocks are made from that row alone: rows can be shared out among threads. Pure functions:
// thread-safe.
#pragma once

#include <cstdint>
#include <span>

#include "formats/block_type.h"

namespace coppice {

// Every type that can be dequantized can be made.
bool can_quantize(BlockType type);
// Whether it is one of the searched types, which are the ones that heed importance.
bool heeds_importance(BlockType type);

// `row` is a whole number of blocks, of magnitudes up to 65,504 (float16's largest; F32 and BF16
// take any finite number); blocks.size() == row_bytes(type, row.size()). `importance` is empty, or
// holds for each column how much its squared error counts (finite, not negative): the searched
// types minimize the weighted error then, and are never worse by it than without; the others don't
// heed it.
void quantize_row(BlockType type, std::span<const float> row, std::span<const float> importance,
                  std::span<std::uint8_t> blocks);

} // namespace coppice
