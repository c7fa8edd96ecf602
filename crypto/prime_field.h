// SPDX-License-Identifier: Apache-2.0
// Arithmetic modulo a Mersenne prime 2^e - 1, and polynomials over it, in constant time.
//
// The field of Shamir's shares (shamir.h) is that of e = 61. The prime is a template parameter so
// that the same code runs on fields small enough to try everything. Elements are std::uint64_t
// below kPrime. No branch and no address depends on an element; only exponents, counts and the
// numbers of shares are public. Nothing allocates secrets or wipes them: that is the caller's part.
// Thread-safe.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace coppice {

template <unsigned kExponent>
struct MersenneField {
  static_assert(kExponent == 3 || kExponent == 5 || kExponent == 7 || kExponent == 13 ||
                    kExponent == 17 || kExponent == 19 || kExponent == 31 || kExponent == 61,
                "2^e - 1 must be prime");
  static constexpr unsigned kBits = kExponent;
  static constexpr std::uint64_t kPrime = (std::uint64_t{1} << kExponent) - 1;

  static constexpr std::uint64_t add(std::uint64_t a, std::uint64_t b) {
    return reduce_once(a + b);
  }
  static constexpr std::uint64_t subtract(std::uint64_t a, std::uint64_t b) {
    return reduce_once(a + (kPrime - b));
  }
  static constexpr std::uint64_t multiply(std::uint64_t a, std::uint64_t b) {
    __extension__ using Wide = unsigned __int128;
    const Wide product = static_cast<Wide>(a) * b;
    // 2^e = 1, so the high part counts like the low part. Their sum is below 2 kPrime.
    return reduce_once((static_cast<std::uint64_t>(product) & kPrime) +
                       static_cast<std::uint64_t>(product >> kExponent));
  }
  // By Fermat: a^(p-2). 0 for 0.
  static constexpr std::uint64_t invert(std::uint64_t a) {
    std::uint64_t power = 1;
    for (unsigned bit = kExponent; bit-- > 0;) {
      power = multiply(power, power);
      if ((((kPrime - 2) >> bit) & 1U) != 0) power = multiply(power, a);
    }
    return power;
  }
  // 0 if `a` is an element, else some other number.
  static constexpr std::uint64_t beyond(std::uint64_t a) {
    return (a >> kExponent) | ((a + 1) >> kExponent);
  }

 private:
  // For a < 2 kPrime.
  static constexpr std::uint64_t reduce_once(std::uint64_t a) {
    const std::uint64_t less = a - kPrime;
    return less + (kPrime & (0 - (less >> 63U))); // added back where the subtraction borrowed
  }
};

// kLanes polynomials at one point. Rows are coefficients, that of x^0 first: (degree + 1, lanes).
template <typename Field, std::size_t kLanes>
std::array<std::uint64_t, kLanes> evaluate(
    std::span<const std::array<std::uint64_t, kLanes>> coefficients, std::uint64_t x) {
  std::array<std::uint64_t, kLanes> sum{};
  for (std::size_t row = coefficients.size(); row-- > 0;) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      sum[lane] = Field::add(Field::multiply(sum[lane], x), coefficients[row][lane]);
    }
  }
  return sum;
}

// Sum of weights[i] * values[i], lane by lane. (lanes)
template <typename Field, std::size_t kLanes>
std::array<std::uint64_t, kLanes> weighted_sum(
    std::span<const std::uint64_t> weights,
    std::span<const std::array<std::uint64_t, kLanes>> values) {
  std::array<std::uint64_t, kLanes> sum{};
  for (std::size_t i = 0; i < weights.size(); ++i) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      sum[lane] = Field::add(sum[lane], Field::multiply(weights[i], values[i][lane]));
    }
  }
  return sum;
}

// 1 / (product of (x_i - x_j) over all j but i), for different points: (points)
//
// Note [Divided differences]
// With these weights v, the sum of v_i g(x_i) over m points is the coefficient of x^(m-1) in the
// polynomial g of degree below m that runs through (x_i, g(x_i)). Hence
//   - g(0) = sum of v_i g(x_i) * (product of -x_j over all j but i), Lagrange's formula, and
//   - if g = f r with deg f < t and deg r < m - t, the sum is 0.
// Conversely, values that lie on no f of degree below t give 0 for exactly one in p of the p^(m-t)
// polynomials r: the sum is linear in the coefficients of r, and not zero for all of them.
template <typename Field>
std::vector<std::uint64_t> divided_difference_weights(std::span<const std::uint64_t> points) {
  // Montgomery's trick: one inversion for all. before[i] is the product of the first i.
  std::vector<std::uint64_t> products(points.size(), 1);
  std::vector<std::uint64_t> before(points.size() + 1, 1);
  for (std::size_t i = 0; i < points.size(); ++i) {
    for (std::size_t j = 0; j < points.size(); ++j) {
      if (j == i) continue;
      products[i] = Field::multiply(products[i], Field::subtract(points[i], points[j]));
    }
    before[i + 1] = Field::multiply(before[i], products[i]);
  }
  std::uint64_t inverse = Field::invert(before.back());
  std::vector<std::uint64_t> weights(points.size());
  for (std::size_t i = points.size(); i-- > 0;) {
    weights[i] = Field::multiply(inverse, before[i]);
    inverse = Field::multiply(inverse, products[i]);
  }
  return weights;
}

// Factors of the values at `points` whose sum is the polynomial's value at 0: (points)
template <typename Field>
std::vector<std::uint64_t> lagrange_at_zero(std::span<const std::uint64_t> points,
                                            std::span<const std::uint64_t> weights) {
  // Products of the points left of i, then times those right of it.
  std::vector<std::uint64_t> factors(weights.begin(), weights.end());
  std::uint64_t left = 1;
  for (std::size_t i = 0; i < points.size(); ++i) {
    factors[i] = Field::multiply(factors[i], left);
    left = Field::multiply(left, Field::subtract(0, points[i]));
  }
  std::uint64_t right = 1;
  for (std::size_t i = points.size(); i-- > 0;) {
    factors[i] = Field::multiply(factors[i], right);
    right = Field::multiply(right, Field::subtract(0, points[i]));
  }
  return factors;
}

// Factors of the values at `points` whose sum is 0 if the values lie on a polynomial of degree
// below points.size() - multiplier.size(): Note [Divided differences], with r = `multiplier`,
// coefficients from x^0 on. (points)
template <typename Field>
std::vector<std::uint64_t> parity_check(std::span<const std::uint64_t> points,
                                        std::span<const std::uint64_t> weights,
                                        std::span<const std::array<std::uint64_t, 1>> multiplier) {
  std::vector<std::uint64_t> factors(points.size());
  for (std::size_t i = 0; i < points.size(); ++i) {
    factors[i] = Field::multiply(weights[i], evaluate<Field, 1>(multiplier, points[i])[0]);
  }
  return factors;
}

} // namespace coppice
