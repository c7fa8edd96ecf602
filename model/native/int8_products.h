// SPDX-License-Identifier: Apache-2.0
// Products of quantized weight rows with some rows of activations rounded to int8, 32 to a scale:
// what decoding spends its time on. Sums of a block are exact integers; blocks add up in float32.
//
// Rounding the activations moves a product of n weights by about 2^-8 / sqrt(3) of its size (each
// is off by up to half a step of max / 127). Training and scoring never do it. Pure functions:
// thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "formats/block_type.h"
#include "model/native/buffer.h"
#include "model/native/cpu_level.h"

namespace coppice::native {

// n activations, n a multiple of 32. Note [Order of nibbles]
// A Q4_0 block holds its first 16 weights in the low nibbles of its bytes, the others in the high
// ones. So that the nibbles of four blocks can be multiplied as they lie, `by_nibble` holds the
// first halves of four blocks after one another, then their second halves.
struct Int8Row {
  static constexpr std::size_t kBlock = 32;
  void assign(const float* x, std::size_t n);
  // All with the scale of their largest, as BitNet b1.58 is trained (Ma et al. 2024, section 2).
  void assign_token(const float* x, std::size_t n);
  std::size_t blocks() const { return scales.size(); }
  std::vector<std::int8_t> values;    // (n)
  std::vector<std::int8_t> by_nibble; // (n), of whole groups of four blocks; others as `values`
  std::vector<float> scales;          // (n / 32)
  std::vector<float> eighths;         // (n / 32): -8 scale sum(values), Q4_0's offset

 private:
  void resize(std::size_t n);
  void round_block(const float* x, std::size_t block, float inverse, float scale);
  void order_nibbles();
};

// 127 / max(|x|), which assign_token() multiplies by, never above 127e5.
float token_factor(const float* x, std::size_t n);
// x as assign_token() would round it, in place.
void round_token(float* x, std::size_t n);

// out[t out_stride + i] = row i of `rows` times x[t]; rows are row_bytes apart, and all of x are of
// one length. A row of weights is unpacked once for some of x, and a product has the same bits
// whatever is computed beside it.
using Int8Products = void(const std::uint8_t* rows, std::size_t row_bytes, std::size_t count,
                          std::span<const Int8Row> x, float* out, std::size_t out_stride);
// nullptr where there is no such product for the type: activations then stay floats.
Int8Products* int8_products(BlockType type, CpuLevel level);

namespace levels {
Int8Products q4_0_scalar, q8_0_scalar, tq2_0_scalar;
#if defined(__x86_64__)
Int8Products q4_0_avx512, q8_0_avx512, tq2_0_avx512;
#elif defined(__aarch64__)
Int8Products q4_0_neon, q8_0_neon, tq2_0_neon;
#endif
} // namespace levels

} // namespace coppice::native
