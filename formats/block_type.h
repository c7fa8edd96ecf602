// SPDX-License-Identifier: Apache-2.0
// How the elements of a GGUF tensor are stored: ggml's type ids, names and block sizes.
//
// A row (dimension 0) is a whole number of blocks; a block of `block_elements` elements takes
// `block_bytes` bytes. Ids that ggml has withdrawn, or that aren't in the table, are refused.
// Everything here is constant: thread-safe.
#pragma once

#include <cstdint>
#include <ostream>
#include <span>
#include <string_view>

#include "base/result.h"

namespace coppice {

enum class BlockType : std::uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ8_1 = 9,
  kQ2_K = 10,
  kQ3_K = 11,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kQ8_K = 15,
  kIQ2_XXS = 16,
  kIQ2_XS = 17,
  kIQ3_XXS = 18,
  kIQ1_S = 19,
  kIQ4_NL = 20,
  kIQ3_S = 21,
  kIQ2_S = 22,
  kIQ4_XS = 23,
  kI8 = 24,
  kI16 = 25,
  kI32 = 26,
  kI64 = 27,
  kF64 = 28,
  kIQ1_M = 29,
  kBF16 = 30,
  kTQ1_0 = 34,
  kTQ2_0 = 35,
  kMXFP4 = 39,
};

struct BlockTypeInfo {
  BlockType type;
  std::string_view name; // "Q4_0", as ggml's tools print it
  std::uint32_t block_elements;
  std::uint32_t block_bytes;
};

// All known types, by ascending id.
std::span<const BlockTypeInfo> block_types();
// `type` must be one of the enumerators.
const BlockTypeInfo& block_type_info(BlockType type);
std::string_view block_type_name(BlockType type);
std::ostream& operator<<(std::ostream& out, BlockType type);

// kUnsupported for an id or name that isn't in the table. Names in any case.
Result<BlockType> block_type_from_id(std::uint32_t id);
Result<BlockType> block_type_from_name(std::string_view name);

// Bytes of a tensor with these dimensions (dims[0] runs fastest). kCorrupt if there are none or
// over four, one is zero, dims[0] isn't a whole number of blocks, or a product exceeds 2^63 - 1.
Result<std::uint64_t> encoded_size(BlockType type, std::span<const std::uint64_t> dims);

} // namespace coppice
