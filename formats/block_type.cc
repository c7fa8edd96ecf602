// SPDX-License-Identifier: Apache-2.0
#include "formats/block_type.h"

#include <algorithm>
#include <array>
#include <limits>

#include "base/text.h"

namespace coppice {
namespace {

constexpr std::array kTypes{
    BlockTypeInfo{BlockType::kF32, "F32", 1, 4},
    BlockTypeInfo{BlockType::kF16, "F16", 1, 2},
    BlockTypeInfo{BlockType::kQ4_0, "Q4_0", 32, 18},
    BlockTypeInfo{BlockType::kQ4_1, "Q4_1", 32, 20},
    BlockTypeInfo{BlockType::kQ5_0, "Q5_0", 32, 22},
    BlockTypeInfo{BlockType::kQ5_1, "Q5_1", 32, 24},
    BlockTypeInfo{BlockType::kQ8_0, "Q8_0", 32, 34},
    BlockTypeInfo{BlockType::kQ8_1, "Q8_1", 32, 36},
    BlockTypeInfo{BlockType::kQ2_K, "Q2_K", 256, 84},
    BlockTypeInfo{BlockType::kQ3_K, "Q3_K", 256, 110},
    BlockTypeInfo{BlockType::kQ4_K, "Q4_K", 256, 144},
    BlockTypeInfo{BlockType::kQ5_K, "Q5_K", 256, 176},
    BlockTypeInfo{BlockType::kQ6_K, "Q6_K", 256, 210},
    BlockTypeInfo{BlockType::kQ8_K, "Q8_K", 256, 292},
    BlockTypeInfo{BlockType::kIQ2_XXS, "IQ2_XXS", 256, 66},
    BlockTypeInfo{BlockType::kIQ2_XS, "IQ2_XS", 256, 74},
    BlockTypeInfo{BlockType::kIQ3_XXS, "IQ3_XXS", 256, 98},
    BlockTypeInfo{BlockType::kIQ1_S, "IQ1_S", 256, 50},
    BlockTypeInfo{BlockType::kIQ4_NL, "IQ4_NL", 32, 18},
    BlockTypeInfo{BlockType::kIQ3_S, "IQ3_S", 256, 110},
    BlockTypeInfo{BlockType::kIQ2_S, "IQ2_S", 256, 82},
    BlockTypeInfo{BlockType::kIQ4_XS, "IQ4_XS", 256, 136},
    BlockTypeInfo{BlockType::kI8, "I8", 1, 1},
    BlockTypeInfo{BlockType::kI16, "I16", 1, 2},
    BlockTypeInfo{BlockType::kI32, "I32", 1, 4},
    BlockTypeInfo{BlockType::kI64, "I64", 1, 8},
    BlockTypeInfo{BlockType::kF64, "F64", 1, 8},
    BlockTypeInfo{BlockType::kIQ1_M, "IQ1_M", 256, 56},
    BlockTypeInfo{BlockType::kBF16, "BF16", 1, 2},
    BlockTypeInfo{BlockType::kTQ1_0, "TQ1_0", 256, 54},
    BlockTypeInfo{BlockType::kTQ2_0, "TQ2_0", 256, 66},
    BlockTypeInfo{BlockType::kMXFP4, "MXFP4", 32, 17},
};

const BlockTypeInfo* find_type(std::uint32_t id) {
  const auto* const found = std::ranges::find_if(kTypes, [id](const BlockTypeInfo& info) {
    return static_cast<std::uint32_t>(info.type) == id;
  });
  return found == kTypes.end() ? nullptr : found;
}

char upper(char letter) {
  return letter >= 'a' && letter <= 'z' ? static_cast<char>(letter - 'a' + 'A') : letter;
}

} // namespace

std::span<const BlockTypeInfo> block_types() { return kTypes; }

const BlockTypeInfo& block_type_info(BlockType type) {
  const BlockTypeInfo* const info = find_type(static_cast<std::uint32_t>(type));
  COPPICE_CHECK(info != nullptr, "a block type outside the table");
  return *info;
}

std::string_view block_type_name(BlockType type) { return block_type_info(type).name; }

std::ostream& operator<<(std::ostream& out, BlockType type) { return out << block_type_name(type); }

Result<BlockType> block_type_from_id(std::uint32_t id) {
  const BlockTypeInfo* const info = find_type(id);
  if (info != nullptr) return info->type;
  return Error{ErrorCode::kUnsupported,
               cat("tensor type ", id,
                   " is not known to this version; quantize the model again to a "
                   "type that is, such as Q8_0 or Q4_0")};
}

Result<BlockType> block_type_from_name(std::string_view name) {
  for (const BlockTypeInfo& info : kTypes) {
    if (std::ranges::equal(info.name, name, {}, upper, upper)) return info.type;
  }
  std::vector<std::string> names;
  for (const BlockTypeInfo& info : kTypes) names.emplace_back(info.name);
  return Error{ErrorCode::kUnsupported,
               cat("tensor type \"", name, "\" is not known; known are ", join(names, ", "))};
}

Result<std::uint64_t> encoded_size(BlockType type, std::span<const std::uint64_t> dims) {
  const BlockTypeInfo& info = block_type_info(type);
  if (dims.empty() || dims.size() > 4) {
    return Error{ErrorCode::kCorrupt,
                 cat("has ", dims.size(), " dimensions, one to four are possible")};
  }
  if (dims[0] % info.block_elements != 0) {
    return Error{ErrorCode::kCorrupt, cat("has rows of ", dims[0],
                                          " elements, which are no whole number "
                                          "of ",
                                          info.name, " blocks of ", info.block_elements)};
  }
  std::uint64_t bytes = info.block_bytes;
  std::uint64_t factor = dims[0] / info.block_elements;
  for (std::size_t i = 0; i < dims.size(); ++i) {
    if (i > 0) factor = dims[i];
    if (factor == 0)
      return Error{ErrorCode::kCorrupt, cat("has no elements: dimension ", i, " is 0")};
    if (bytes > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) / factor) {
      return Error{ErrorCode::kCorrupt, "has more bytes than any file can hold"};
    }
    bytes *= factor;
  }
  return bytes;
}

} // namespace coppice
