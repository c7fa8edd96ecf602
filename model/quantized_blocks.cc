// SPDX-License-Identifier: Apache-2.0
#include "model/quantized_blocks.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include <bit>
#include <cmath>
#include <cstring>

#include "base/check.h"
#include "base/text.h"
#include "model/dequantize.h"

namespace coppice {
namespace scalar {
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

} // namespace scalar

namespace {

struct TypeEntry {
  BlockType type;
  DequantizeRow* at_level[4]; // by InstructionLevel; nullptr: as the level below
};

#if defined(__x86_64__)
#define COPPICE_LEVELS(name) \
  { scalar::dequantize_##name, avx2::dequantize_##name, avx512::dequantize_##name, nullptr }
#define COPPICE_NO_AVX2(name) \
  { scalar::dequantize_##name, nullptr, avx512::dequantize_##name, nullptr }
#elif defined(__aarch64__)
#define COPPICE_LEVELS(name) \
  { scalar::dequantize_##name, nullptr, nullptr, neon::dequantize_##name }
#define COPPICE_NO_AVX2 COPPICE_LEVELS
#else
#define COPPICE_LEVELS(name) \
  { scalar::dequantize_##name, nullptr, nullptr, nullptr }
#define COPPICE_NO_AVX2 COPPICE_LEVELS
#endif

// A new type is a line here, its scalar definition, and twins where they pay.
constexpr TypeEntry kTypes[] = {
    {BlockType::kF32, {scalar::dequantize_f32, nullptr, nullptr, nullptr}},
    {BlockType::kF16, COPPICE_LEVELS(f16)},
    {BlockType::kBF16, COPPICE_LEVELS(bf16)},
    {BlockType::kQ8_0, COPPICE_LEVELS(q8_0)},
    {BlockType::kQ4_0, COPPICE_LEVELS(q4_0)},
    {BlockType::kQ4_1, COPPICE_LEVELS(q4_1)},
    {BlockType::kQ5_0, COPPICE_LEVELS(q5_0)},
    {BlockType::kQ5_1, COPPICE_LEVELS(q5_1)},
    {BlockType::kQ2_K, COPPICE_NO_AVX2(q2_k)},
    {BlockType::kQ3_K, COPPICE_NO_AVX2(q3_k)},
    {BlockType::kQ4_K, COPPICE_LEVELS(q4_k)},
    {BlockType::kQ5_K, COPPICE_LEVELS(q5_k)},
    {BlockType::kQ6_K, COPPICE_LEVELS(q6_k)},
    {BlockType::kIQ4_NL, COPPICE_LEVELS(iq4_nl)},
    {BlockType::kIQ4_XS, COPPICE_LEVELS(iq4_xs)},
    {BlockType::kTQ1_0, COPPICE_NO_AVX2(tq1_0)},
    {BlockType::kTQ2_0, COPPICE_LEVELS(tq2_0)},
};
#undef COPPICE_LEVELS
#undef COPPICE_NO_AVX2

InstructionLevel detect_level() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  // F16C has its bit in leaf 1; not every compiler's cpu_supports knows its name.
  unsigned a = 0, b = 0, c = 0, d = 0;
  const bool f16c = __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
  if (!f16c || !__builtin_cpu_supports("avx2")) return InstructionLevel::kScalar;
  return __builtin_cpu_supports("avx512f") ? InstructionLevel::kAvx512 : InstructionLevel::kAvx2;
#elif defined(__aarch64__)
  return InstructionLevel::kNeon; // every arm64 processor has it
#else
  return InstructionLevel::kScalar;
#endif
}

} // namespace

std::string_view instruction_level_name(InstructionLevel level) {
  constexpr std::string_view kNames[] = {"scalar", "avx2", "avx512", "neon"};
  return kNames[static_cast<std::size_t>(level)];
}

InstructionLevel best_instruction_level() {
  static const InstructionLevel level = detect_level();
  return level;
}

std::string readable_types() {
  std::vector<std::string> names;
  for (const TypeEntry& entry : kTypes) names.emplace_back(block_type_name(entry.type));
  return join(names, ", ");
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
