// SPDX-License-Identifier: Apache-2.0
// Discrete Laplace and discrete Gaussian noise on the integers, exact, without floating point.
//
// (Canonne, Kamath, Steinke, "The discrete Gaussian for differential privacy", NeurIPS 2020,
// algorithms 1 to 3.) Floating-point samplers leak through the gaps between floats (Mironov, CCS
// 2012); here each outcome has exactly its probability, given uniform bytes.
//
// What they don't hide is time: how long a draw takes, and how many bytes it reads, depends on what
// is drawn, as in the paper. Don't let anyone time single draws. A whole vector's time tells no
// more than a sum over all its draws, and nobody but the aggregator or the device itself sees it.
//
// Thread-safe on different RandomBits.
#pragma once

#include <cstdint>
#include <span>

#include "base/result.h"
#include "privacy/random_bits.h"

namespace coppice {

// num / den, reduced or not. Plain data.
struct Ratio {
  std::uint64_t num = 0;
  std::uint64_t den = 1;
  double value() const { return static_cast<double>(num) / static_cast<double>(den); }
  bool operator==(const Ratio&) const = default;
};

// The smallest multiple of 2^-20, or from 2^38 on the smallest integer, that is at least
// `variance`: a sampler takes no less noise than the accountant was told. kInvalidArgument unless
// 0 < variance <= 2^58.
Result<Ratio> variance_at_least(double variance);

// P(k) proportional to exp(-|k| s / t).
class DiscreteLaplace {
 public:
  // kInvalidArgument unless 0 < t < 2^32 and 0 < s < 2^32.
  static Result<DiscreteLaplace> create(std::uint64_t t, std::uint64_t s);
  std::int64_t sample(RandomBits& bits) const; // below 1000 * 2^32 in magnitude

 private:
  DiscreteLaplace(std::uint64_t t, std::uint64_t s) : t_(t), s_(s) {}
  std::uint64_t t_;
  std::uint64_t s_;
};

// P(k) proportional to exp(-k^2 / (2 variance)). For integers its own variance is slightly below
// this parameter where that is small (0.4990 at 1/2), and equal to it in every digit from 3 on.
//
// Exact but for values of 32 standard deviations and more (a deviation below 1 counts as 1), which
// are never returned: all together they have a probability below 2^-700.
class DiscreteGaussian {
 public:
  // kInvalidArgument unless, reduced, 0 < num <= 2^59, 0 < den <= 2^59 and num den t^2 <= 2^118,
  // where t = floor(sqrt(num / den)) + 1. So integers up to 2^58, and multiples of 2^-20 up to
  // 2^38, always pass.
  static Result<DiscreteGaussian> create(Ratio variance);
  std::int64_t sample(RandomBits& bits) const; // below 2^40 in magnitude
  Ratio variance() const { return {num_, den_}; }

 private:
  DiscreteGaussian(std::uint64_t num, std::uint64_t den, std::uint64_t t)
      : num_(num), den_(den), t_(t) {}
  std::uint64_t num_; // reduced
  std::uint64_t den_;
  std::uint64_t t_; // the scale of the Laplace distribution that is rejected from
};

// Adds one draw to each value, front to back; modulo 2^64. Sampler: one of those here or in
// privacy/skellam.h.
template <typename Sampler>
void add_noise(std::span<std::int64_t> values, const Sampler& sampler, RandomBits& bits) {
  for (std::int64_t& value : values) {
    value = static_cast<std::int64_t>(static_cast<std::uint64_t>(value) +
                                      static_cast<std::uint64_t>(sampler.sample(bits)));
  }
}

// The same on ring elements; `mask` is 2^b - 1 (RingBits::mask()), and the sum is modulo 2^b. The
// plan's bound must have counted the noise in.
template <typename Sampler>
void add_noise(std::span<std::uint32_t> elements, std::uint32_t mask, const Sampler& sampler,
               RandomBits& bits) {
  for (std::uint32_t& element : elements) {
    element = (element + static_cast<std::uint32_t>(sampler.sample(bits))) & mask;
  }
}

} // namespace coppice
