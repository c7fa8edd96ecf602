// SPDX-License-Identifier: Apache-2.0
// Chi-square tests of integer samplers against a mass function, from a repeatable source of bytes.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "base/random.h"
#include "privacy/random_bits.h"

namespace coppice {

// Fixed, so that each test either always passes or never does.
class KeyedSource final : public ByteSource {
 public:
  explicit KeyedSource(std::uint64_t step)
      : random_({.purpose = RandomPurpose::kTest, .step = step}) {}
  void fill(std::span<std::uint8_t> bytes) override {
    for (std::uint8_t& byte : bytes) {
      if (left_ == 0) {
        word_ = random_.next_u32();
        left_ = 4;
      }
      byte = static_cast<std::uint8_t>(word_);
      word_ >>= 8U;
      --left_;
    }
  }

 private:
  KeyedRandom random_;
  std::uint32_t word_ = 0;
  int left_ = 0;
};

// A fit is refused at a p-value below this. About 50 fits are tested, so a right sampler and
// another seed would fail one of them once in 20,000 seeds; a broken one must land below it by far.
inline constexpr double kLeastP = 1e-6;
inline constexpr double kBrokenP = 1e-12;

// Q(a, x), the regularized upper incomplete gamma function, by its series below a + 1 and its
// continued fraction above (Abramowitz and Stegun 6.5.29 and 6.5.31).
inline double upper_gamma(double a, double x) {
  if (x <= 0.0) return 1.0;
  const double front = std::exp(a * std::log(x) - x - std::lgamma(a));
  if (x < a + 1.0) {
    double term = 1.0 / a;
    double sum = term;
    for (double n = a + 1.0; term > sum * 1e-16; n += 1.0) sum += term *= x / n;
    return 1.0 - front * sum;
  }
  double b = x + 1.0 - a; // Lentz
  double c = 1e300;
  double d = 1.0 / b;
  double h = d;
  for (double i = 1.0; i < 10000.0; i += 1.0) {
    const double numerator = -i * (i - a);
    b += 2.0;
    d = 1.0 / (numerator * d + b);
    c = b + numerator / c;
    h *= d * c;
    if (std::fabs(d * c - 1.0) < 1e-15) break;
  }
  return front * h;
}

inline double chi_square_p(double statistic, std::size_t bins) {
  return upper_gamma(0.5 * static_cast<double>(bins - 1), 0.5 * statistic);
}

// A mass function as a table from `first` on; what it leaves out must be below 1e-12.
struct Mass {
  std::int64_t first = 0;
  std::vector<double> p;
  double at(std::int64_t k) const {
    const std::int64_t i = k - first;
    return i < 0 || i >= static_cast<std::int64_t>(p.size()) ? 0.0 : p[static_cast<std::size_t>(i)];
  }
};

inline Mass mass_of(std::int64_t first, std::int64_t last,
                    const std::function<double(std::int64_t)>& weight) {
  Mass mass;
  mass.first = first;
  double sum = 0.0;
  for (std::int64_t k = first; k <= last; ++k) sum += mass.p.emplace_back(weight(k));
  for (double& p : mass.p) p /= sum;
  return mass;
}

// p-value of `draws` under `mass`. Neighbours are binned together until a bin expects at least
// `least` draws, where the chi-square law of the statistic is good; what is left joins the last.
inline double fit(const std::vector<std::int64_t>& draws, const Mass& mass, double least = 20.0) {
  std::map<std::int64_t, double> seen;
  for (const std::int64_t draw : draws) seen[draw] += 1.0;
  const auto count = static_cast<double>(draws.size());
  std::vector<std::pair<double, double>> bins(1); // expected, seen
  double placed = 0.0;
  for (std::size_t i = 0; i < mass.p.size(); ++i) {
    if (bins.back().first >= least) bins.emplace_back();
    bins.back().first += count * mass.p[i];
    const auto found = seen.find(mass.first + static_cast<std::int64_t>(i));
    if (found == seen.end()) continue;
    bins.back().second += found->second;
    placed += found->second;
  }
  if (bins.size() > 1 && bins.back().first < least) {
    const auto rest = bins.back();
    bins.pop_back();
    bins.back().first += rest.first;
    bins.back().second += rest.second;
  }
  EXPECT_GT(bins.size(), 1U) << "a single bin fits everything";
  if (placed < count) return 0.0; // outside all that can be
  double statistic = 0.0;
  for (const auto& [expected, got] : bins) {
    statistic += (got - expected) * (got - expected) / expected;
  }
  return chi_square_p(statistic, bins.size());
}

template <typename Sample>
std::vector<std::int64_t> draw(std::size_t count, std::uint64_t seed, Sample&& sample) {
  KeyedSource source(seed);
  RandomBits bits(source);
  std::vector<std::int64_t> draws(count);
  for (std::int64_t& value : draws) value = static_cast<std::int64_t>(sample(bits));
  return draws;
}

inline double mean_of(const std::vector<std::int64_t>& draws) {
  double sum = 0.0;
  for (const std::int64_t value : draws) sum += static_cast<double>(value);
  return sum / static_cast<double>(draws.size());
}

inline double mean_square(const std::vector<std::int64_t>& draws) {
  double sum = 0.0;
  for (const std::int64_t value : draws) {
    sum += static_cast<double>(value) * static_cast<double>(value);
  }
  return sum / static_cast<double>(draws.size());
}

} // namespace coppice
