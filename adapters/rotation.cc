// SPDX-License-Identifier: Apache-2.0
#include "adapters/rotation.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/check.h"
#include "base/random.h"

namespace coppice {
namespace {

constexpr std::size_t kStrip = 16;  // neighbours that stay together: one cache line of floats
constexpr std::size_t kRow = 4'096; // values that lie in the first-level cache

// Two levels of the transform at once: a, b, c and d lie `count` values apart, one after another.
template <typename T>
void two_levels(T* __restrict a, T* __restrict b, T* __restrict c, T* __restrict d,
                std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    const T ab = a[i] + b[i];
    const T a_b = a[i] - b[i];
    const T cd = c[i] + d[i];
    const T c_d = c[i] - d[i];
    a[i] = ab + cd;
    b[i] = a_b + c_d;
    c[i] = ab - cd;
    d[i] = a_b - c_d;
  }
}

template <typename T>
void one_level(T* __restrict a, T* __restrict b, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    const T sum = a[i] + b[i];
    b[i] = a[i] - b[i];
    a[i] = sum;
  }
}

// The levels that pair values `step`, 2 step, ... up to size / 2 apart. Both are powers of two.
template <typename T>
void levels_from(std::size_t step, T* values, std::size_t size) {
  while (step < size) {
    if (2 * step == size) return one_level(values, values + step, step);
    for (T* at = values; at < values + size; at += 4 * step) {
      two_levels(at, at + step, at + 2 * step, at + 3 * step, step);
    }
    step *= 4;
  }
}

// The levels that pair values 1 and 2 apart among four. Adding the negated is subtracting.
template <typename T>
void levels_of_four(T* values) {
  using Four [[gnu::vector_size(4 * sizeof(T))]] = T;
  Four v;
  std::memcpy(&v, values, sizeof(v));
  v = __builtin_shufflevector(v, v, 0, 0, 2, 2) +
      __builtin_shufflevector(v, v, 1, 1, 3, 3) * Four{1, -1, 1, -1};
  v = __builtin_shufflevector(v, v, 0, 1, 0, 1) +
      __builtin_shufflevector(v, v, 2, 3, 2, 3) * Four{1, 1, -1, -1};
  std::memcpy(values, &v, sizeof(v));
}

// The levels that pair values 1, 2, 4 and 8 apart.
template <typename T>
void levels_of_strip(T* values) {
  static_assert(kStrip == 16);
  for (std::size_t at = 0; at < kStrip; at += 4) levels_of_four(values + at);
  two_levels(values, values + 4, values + 8, values + 12, 4);
}

// The levels that pair whole rows. A strip of each row is gathered, so that all these levels run in
// cache and main memory is passed over once; rows are a power of two apart, which caches dislike.
template <typename T>
void levels_between_rows(T* values, std::size_t size) {
  const std::size_t rows = size / kRow;
  std::vector<T> gathered(rows * kStrip);
  for (std::size_t column = 0; column < kRow; column += kStrip) {
    for (std::size_t row = 0; row < rows; ++row) {
      std::copy_n(values + row * kRow + column, kStrip, gathered.data() + row * kStrip);
    }
    levels_from(kStrip, gathered.data(), gathered.size());
    for (std::size_t row = 0; row < rows; ++row) {
      std::copy_n(gathered.data() + row * kStrip, kStrip, values + row * kRow + column);
    }
  }
}

// Not scaled. The size is a power of two.
template <typename T>
void walsh_hadamard(std::span<T> values) {
  if (values.size() < kStrip) return levels_from(1, values.data(), values.size());
  const std::size_t row = std::min(values.size(), kRow);
  for (T* at = values.data(); at < values.data() + values.size(); at += row) {
    for (T* strip = at; strip < at + row; strip += kStrip) levels_of_strip(strip);
    levels_from(kStrip, at, row);
  }
  if (values.size() > kRow) levels_between_rows(values.data(), values.size());
}

enum class Half : std::uint64_t { kFirst = 1, kSecond = 2 }; // whose signs: a step of the stream

// Value i times +scale or -scale, as its bit among the random words says.
template <typename T>
void scale_by_signs(std::span<T> values, T scale, std::uint64_t seed, Half half) {
  KeyedRandom random({.experiment = seed,
                      .purpose = RandomPurpose::kRotation,
                      .step = static_cast<std::uint64_t>(half)});
  std::array<std::array<T, 4>, 16> factors{}; // of four values, by their four bits
  for (std::size_t bits = 0; bits < factors.size(); ++bits) {
    for (std::size_t i = 0; i < 4; ++i) factors[bits][i] = (bits >> i & 1U) != 0 ? -scale : scale;
  }
  std::uint32_t word = 0;
  for (std::size_t at = 0; at < values.size(); at += 4) {
    word = at % 32 == 0 ? random.next_u32() : word >> 4U;
    const auto& factor = factors[word & 15U];
    const std::size_t count = std::min<std::size_t>(values.size() - at, 4);
    for (std::size_t i = 0; i < count; ++i) values[at + i] *= factor[i];
  }
}

template <typename T>
T unit_scale(std::size_t width) {
  return static_cast<T>(1.0 / std::sqrt(static_cast<double>(width)));
}

} // namespace

void rotate(std::span<float> values, std::uint64_t seed) {
  if (values.empty()) return;
  const std::size_t width = rotation_width(values.size());
  const auto scale = unit_scale<float>(width);
  scale_by_signs(values.first(width), scale, seed, Half::kFirst);
  walsh_hadamard(values.first(width));
  scale_by_signs(values.last(width), scale, seed, Half::kSecond);
  walsh_hadamard(values.last(width));
}

void unrotate(std::span<double> values, std::uint64_t seed) {
  if (values.empty()) return;
  const std::size_t width = rotation_width(values.size());
  const auto scale = unit_scale<double>(width);
  walsh_hadamard(values.last(width));
  scale_by_signs(values.last(width), scale, seed, Half::kSecond);
  walsh_hadamard(values.first(width));
  scale_by_signs(values.first(width), scale, seed, Half::kFirst);
}

std::size_t rotation_width(std::size_t elements) {
  COPPICE_CHECK(elements > 0);
  return std::bit_floor(elements);
}

double rotation_error(std::size_t elements) {
  const auto levels = static_cast<double>(std::bit_width(rotation_width(elements)) - 1);
  return std::expm1(2 * (levels + 2) * 0x1p-24); // above (1 + 2^-24)^(2 levels + 4) - 1
}

} // namespace coppice
