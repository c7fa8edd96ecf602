// SPDX-License-Identifier: Apache-2.0
// Rows of quantized blocks to float32: a plain scalar reference, and faster twins of the same
// signature, chosen once by what the processor can do.
//
// Readable are F32, F16, BF16, Q8_0, Q4_0 and Q6_K, laid out as ggml writes them (docs/formats.md).
// A weight is one or two float32 products of exact factors, so all twins give the same bits;
// signalling NaNs of F16 come out quiet. Nothing is allocated. Pure functions: thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/bytes.h"
#include "formats/block_type.h"

namespace coppice {

enum class InstructionLevel : std::uint8_t {
  kScalar = 0, // plain C++, on every machine
  kAvx2 = 1,   // AVX2 and F16C
  kAvx512 = 2, // AVX-512 F
};
std::string_view instruction_level_name(InstructionLevel level); // "scalar", "avx2", "avx512"
// The highest that this processor and its operating system support.
InstructionLevel best_instruction_level();

bool can_dequantize(BlockType type);
// The bytes of `elements` weights; elements must be a multiple of the type's block.
std::size_t row_bytes(BlockType type, std::size_t elements);

// The whole row: blocks.size() == row_bytes(type, out.size()), and can_dequantize(type). `blocks`
// needs no alignment.
void dequantize_row(BlockType type, ByteSpan blocks, std::span<float> out);

// The function itself, for loops over many rows. It reads row_bytes(type, elements) bytes.
using DequantizeRow = void(const std::uint8_t* blocks, std::size_t elements, float* out);
// nullptr if the type can't be read. `level` must not be above best_instruction_level(); a level
// that has no twin for the type gives the next lower one.
DequantizeRow* dequantizer(BlockType type, InstructionLevel level);
DequantizeRow* dequantizer(BlockType type); // at the best level

} // namespace coppice
