// SPDX-License-Identifier: Apache-2.0
#include "model/quantize_blocks.h"

#include <algorithm>
#include <array>

#include "base/check.h"
#include "model/encode.h"
#include "model/quantized_blocks.h"

namespace coppice {
namespace {

struct TypeEntry {
  BlockType type;
  encode::EncodeBlock* encode;
};

void encode_f32(const float* x, const float*, std::uint8_t* block) {
  std::memcpy(block, x, sizeof *x);
}
void encode_f16(const float* x, const float*, std::uint8_t* block) { encode::put_half(block, *x); }
void encode_bf16(const float* x, const float*, std::uint8_t* block) {
  const std::uint16_t bits = float_to_bfloat16(*x);
  std::memcpy(block, &bits, sizeof bits);
}

constexpr TypeEntry kTypes[] = {
    {BlockType::kF32, encode_f32},        {BlockType::kF16, encode_f16},
    {BlockType::kBF16, encode_bf16},      {BlockType::kQ8_0, encode::q8_0},
    {BlockType::kQ4_0, encode::q4_0},     {BlockType::kQ4_1, encode::q4_1},
    {BlockType::kQ5_0, encode::q5_0},     {BlockType::kQ5_1, encode::q5_1},
    {BlockType::kQ2_K, encode::q2_k},     {BlockType::kQ3_K, encode::q3_k},
    {BlockType::kQ4_K, encode::q4_k},     {BlockType::kQ5_K, encode::q5_k},
    {BlockType::kQ6_K, encode::q6_k},     {BlockType::kIQ4_NL, encode::iq4_nl},
    {BlockType::kIQ4_XS, encode::iq4_xs}, {BlockType::kTQ1_0, encode::tq1_0},
    {BlockType::kTQ2_0, encode::tq2_0},
};

encode::EncodeBlock* encoder(BlockType type) {
  const auto* const found = std::ranges::find(kTypes, type, &TypeEntry::type);
  return found == std::end(kTypes) ? nullptr : found->encode;
}

constexpr std::array<float, 256> make_ones() {
  std::array<float, 256> ones{};
  for (float& one : ones) one = 1.0F;
  return ones;
}
constexpr std::array<float, 256> kOnes = make_ones(); // of the longest block
constexpr std::size_t kMostBlockBytes = 210;          // of the searched types: Q6_K

// One block's bytes, and how far they are from the weights.
struct Candidate {
  BlockType type;
  ByteSpan bytes;
  double error(std::span<const float> x, std::span<const float> w) const {
    std::array<float, 256> back;
    dequantize_row(type, bytes, std::span(back).first(x.size()));
    double sum = 0.0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double difference = double{x[i]} - double{back[i]};
      sum += double{w[i]} * difference * difference;
    }
    return sum;
  }
};

} // namespace

bool can_quantize(BlockType type) { return encoder(type) != nullptr; }

bool heeds_importance(BlockType type) {
  switch (type) {
    case BlockType::kQ2_K:
    case BlockType::kQ3_K:
    case BlockType::kQ4_K:
    case BlockType::kQ5_K:
    case BlockType::kQ6_K:
    case BlockType::kIQ4_NL:
    case BlockType::kIQ4_XS: return true;
    default: return false;
  }
}

void quantize_row(BlockType type, std::span<const float> row, std::span<const float> importance,
                  std::span<std::uint8_t> blocks) {
  encode::EncodeBlock* const encode = encoder(type);
  COPPICE_CHECK(encode != nullptr && blocks.size() == row_bytes(type, row.size()));
  COPPICE_CHECK(importance.empty() || importance.size() == row.size());
  const BlockTypeInfo& info = block_type_info(type);
  const bool weighted = !importance.empty() && heeds_importance(type);
  std::uint8_t* to = blocks.data();
  for (std::size_t at = 0; at < row.size(); at += info.block_elements, to += info.block_bytes) {
    encode(&row[at], kOnes.data(), to);
    if (!weighted) continue;
    // The search is a heuristic: what it finds without weights may be better even by them.
    std::array<std::uint8_t, kMostBlockBytes> other;
    encode(&row[at], &importance[at], other.data());
    const Candidate plain{type, {to, info.block_bytes}};
    const Candidate heeding{type, {other.data(), info.block_bytes}};
    const auto x = row.subspan(at, info.block_elements);
    const auto w = importance.subspan(at, info.block_elements);
    if (heeding.error(x, w) < plain.error(x, w)) std::copy_n(other.data(), info.block_bytes, to);
  }
}

} // namespace coppice
