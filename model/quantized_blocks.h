// SPDX-License-Identifier: Apache-2.0
// Rows of quantized blocks to float32: a plain scalar reference, and faster twins of the same
// signature, chosen once by what the processor can do.
//
// Readable are F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q2_K to Q6_K, IQ4_NL, IQ4_XS, TQ1_0
// and TQ2_0, laid out as ggml writes them (docs/formats.md); NF4 takes three tensors and is read
// through model/weight_rows.h. A weight is an exact product of scale and code, in some types less
// or plus an exact minimum, one rounding in all: all twins give the same bits. Only the payload of
// a NaN is open, and signalling NaNs of F16 come out quiet. Nothing is allocated. Pure functions:
// thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "formats/block_type.h"

namespace coppice {

enum class InstructionLevel : std::uint8_t {
  kScalar = 0, // plain C++, on every machine
  kAvx2 = 1,   // AVX2 and F16C
  kAvx512 = 2, // AVX-512 F
  kNeon = 3,   // arm64, on which the two before are as kScalar
};
std::string_view instruction_level_name(InstructionLevel level); // "scalar", "avx2", ...
// The highest that this processor and its operating system support.
InstructionLevel best_instruction_level();

bool can_dequantize(BlockType type);
std::string readable_types(); // their names, for errors: "F32, F16, ..."
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
