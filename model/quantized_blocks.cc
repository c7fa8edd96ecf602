// SPDX-License-Identifier: Apache-2.0
#include "model/quantized_blocks.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include <bit>
#include <cmath>
#include <cstring>

#include "base/check.h"
#include "formats/half.h"
#include "model/dequantize.h"

namespace coppice {
namespace scalar {
namespace {

float half_at(const std::uint8_t* bytes) {
  std::uint16_t half;
  std::memcpy(&half, bytes, sizeof half);
  return half_to_float(half);
}

} // namespace

void dequantize_f32(const std::uint8_t* blocks, std::size_t elements, float* out) {
  if (elements > 0) std::memcpy(out, blocks, elements * sizeof(float));
}

void dequantize_f16(const std::uint8_t* blocks, std::size_t elements, float* out) {
  constexpr std::uint32_t kQuiet = 0x400000;
  for (std::size_t i = 0; i < elements; ++i) {
    const float value = half_at(blocks + 2 * i);
    out[i] = std::isnan(value) ? std::bit_cast<float>(std::bit_cast<std::uint32_t>(value) | kQuiet)
                               : value;
  }
}

void dequantize_bf16(const std::uint8_t* blocks, std::size_t elements, float* out) {
  for (std::size_t i = 0; i < elements; ++i) {
    std::uint16_t bits;
    std::memcpy(&bits, blocks + 2 * i, sizeof bits);
    out[i] = bfloat16_to_float(bits);
  }
}

void dequantize_q8_0(const std::uint8_t* blocks, std::size_t elements, float* out) {
  for (std::size_t at = 0; at < elements; at += kSmallBlock, blocks += kQ8Bytes) {
    const float scale = half_at(blocks);
    for (std::size_t i = 0; i < kSmallBlock; ++i) {
      out[at + i] = static_cast<float>(static_cast<std::int8_t>(blocks[2 + i])) * scale;
    }
  }
}

void dequantize_q4_0(const std::uint8_t* blocks, std::size_t elements, float* out) {
  constexpr std::size_t kHalf = kSmallBlock / 2;
  for (std::size_t at = 0; at < elements; at += kSmallBlock, blocks += kQ4Bytes) {
    const float scale = half_at(blocks);
    for (std::size_t i = 0; i < kHalf; ++i) {
      const int both = blocks[2 + i];
      out[at + i] = static_cast<float>((both & 15) - 8) * scale;
      out[at + kHalf + i] = static_cast<float>((both >> 4) - 8) * scale;
    }
  }
}

// Each half of a block holds four runs of 32 weights: run k takes nibble k / 2 of byte 32 (k % 2) +
// i and bit pair k of high byte i.
void dequantize_q6_k(const std::uint8_t* blocks, std::size_t elements, float* out) {
  using L = Q6KLayout;
  for (std::size_t at = 0; at < elements; at += L::kWeights, blocks += L::kBytes) {
    const float all = half_at(blocks + L::kScale);
    for (std::size_t half = 0; half < 2; ++half) {
      for (std::size_t run = 0; run < 4; ++run) {
        for (std::size_t i = 0; i < 32; ++i) {
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

} // namespace scalar

namespace {

struct TypeEntry {
  BlockType type;
  DequantizeRow* at_level[3]; // by InstructionLevel; nullptr: as the level below
};

#if defined(__x86_64__)
#define COPPICE_LEVELS(name) \
  { scalar::dequantize_##name, avx2::dequantize_##name, avx512::dequantize_##name }
#else
#define COPPICE_LEVELS(name) \
  { scalar::dequantize_##name, nullptr, nullptr }
#endif

// A new type is a line here, its scalar definition above, and twins where they pay.
constexpr TypeEntry kTypes[] = {
    {BlockType::kF32, {scalar::dequantize_f32, nullptr, nullptr}},
    {BlockType::kF16, COPPICE_LEVELS(f16)},
    {BlockType::kBF16, COPPICE_LEVELS(bf16)},
    {BlockType::kQ8_0, COPPICE_LEVELS(q8_0)},
    {BlockType::kQ4_0, COPPICE_LEVELS(q4_0)},
    {BlockType::kQ6_K, COPPICE_LEVELS(q6_k)},
};
#undef COPPICE_LEVELS

InstructionLevel detect_level() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  // F16C has its bit in leaf 1; not every compiler's cpu_supports knows its name.
  unsigned a = 0, b = 0, c = 0, d = 0;
  const bool f16c = __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
  if (!f16c || !__builtin_cpu_supports("avx2")) return InstructionLevel::kScalar;
  return __builtin_cpu_supports("avx512f") ? InstructionLevel::kAvx512 : InstructionLevel::kAvx2;
#else
  return InstructionLevel::kScalar;
#endif
}

} // namespace

std::string_view instruction_level_name(InstructionLevel level) {
  constexpr std::string_view kNames[] = {"scalar", "avx2", "avx512"};
  return kNames[static_cast<std::size_t>(level)];
}

InstructionLevel best_instruction_level() {
  static const InstructionLevel level = detect_level();
  return level;
}

bool can_dequantize(BlockType type) {
  return dequantizer(type, InstructionLevel::kScalar) != nullptr;
}

std::size_t row_bytes(BlockType type, std::size_t elements) {
  const BlockTypeInfo& info = block_type_info(type);
  COPPICE_CHECK(elements % info.block_elements == 0);
  return elements / info.block_elements * info.block_bytes;
}

DequantizeRow* dequantizer(BlockType type, InstructionLevel level) {
  for (const TypeEntry& entry : kTypes) {
    if (entry.type != type) continue;
    auto at = static_cast<std::size_t>(level);
    while (entry.at_level[at] == nullptr) --at; // the scalar one is always there
    return entry.at_level[at];
  }
  return nullptr;
}

DequantizeRow* dequantizer(BlockType type) { return dequantizer(type, best_instruction_level()); }

void dequantize_row(BlockType type, ByteSpan blocks, std::span<float> out) {
  DequantizeRow* const row = dequantizer(type);
  COPPICE_CHECK(row != nullptr && blocks.size() == row_bytes(type, out.size()));
  row(blocks.data(), out.size(), out.data());
}

} // namespace coppice
