// SPDX-License-Identifier: Apache-2.0
#include "sim/delta_spread.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "base/instruction_levels.h"

namespace coppice {
namespace {

// One factor of one target, as (rank, length) rows: A as it is, B transposed.
struct Factor {
  std::size_t rank = 0;
  std::size_t length = 0;
  std::vector<double> values;
  const double* row(std::size_t i) const { return values.data() + i * length; }
};

// Sums side by side, in a fixed order: a single one would wait for each addition.
COPPICE_LEVELS double dot(const double* a, const double* b, std::size_t n) {
  constexpr std::size_t kSums = 16;
  double sums[kSums] = {};
  std::size_t i = 0;
  for (; i + kSums <= n; i += kSums) {
    for (std::size_t k = 0; k < kSums; ++k) sums[k] += a[i + k] * b[i + k];
  }
  for (; i < n; ++i) sums[i % kSums] += a[i] * b[i];
  double sum = 0;
  for (const double part : sums) sum += part;
  return sum;
}

double quantile(std::vector<double> values, double share) {
  std::ranges::sort(values);
  const double at = share * static_cast<double>(values.size() - 1);
  const auto low = static_cast<std::size_t>(at);
  const std::size_t high = std::min(low + 1, values.size() - 1);
  return values[low] + (at - static_cast<double>(low)) * (values[high] - values[low]);
}

std::vector<double> cosines(std::span<const std::vector<float>> deltas) {
  const std::size_t size = deltas.front().size();
  std::vector<double> mean(size, 0.0);
  for (const auto& delta : deltas) {
    for (std::size_t i = 0; i < size; ++i) mean[i] += delta[i];
  }
  double mean_squares = 0;
  for (const double value : mean) mean_squares += value * value;
  std::vector<double> made;
  for (const auto& delta : deltas) {
    double dot = 0;
    double squares = 0;
    for (std::size_t i = 0; i < size; ++i) {
      dot += mean[i] * delta[i];
      squares += double{delta[i]} * double{delta[i]};
    }
    const double lengths = std::sqrt(squares * mean_squares);
    made.push_back(lengths > 0 ? dot / lengths : 0);
  }
  return made;
}

Factor a_factor(std::span<const float> start, std::span<const float> delta, std::size_t rank) {
  Factor made{.rank = rank, .length = start.size() / rank, .values = {}};
  for (std::size_t i = 0; i < start.size(); ++i) {
    made.values.push_back(double{start[i]} + double{delta[i]});
  }
  return made;
}

Factor b_factor(std::span<const float> start, std::span<const float> delta, std::size_t rank) {
  Factor made{.rank = rank, .length = start.size() / rank, .values = {}};
  made.values.resize(start.size());
  for (std::size_t i = 0; i < start.size(); ++i) {
    made.values[(i % rank) * made.length + i / rank] = double{start[i]} + double{delta[i]};
  }
  return made;
}

// <B1 A1, B2 A2> = sum of (B1^T B2) o (A1 A2^T).
double product_dot(const Factor& b1, const Factor& a1, const Factor& b2, const Factor& a2) {
  double sum = 0;
  for (std::size_t i = 0; i < a1.rank; ++i) {
    for (std::size_t j = 0; j < a2.rank; ++j) {
      sum += dot(b1.row(i), b2.row(j), b1.length) * dot(a1.row(i), a2.row(j), a1.length);
    }
  }
  return sum;
}

Factor mean_of(const std::vector<Factor>& factors) {
  Factor mean = factors.front();
  std::ranges::fill(mean.values, 0.0);
  for (const Factor& factor : factors) {
    for (std::size_t i = 0; i < mean.values.size(); ++i) {
      mean.values[i] += factor.values[i] / static_cast<double>(factors.size());
    }
  }
  return mean;
}

struct Squares {
  double gap = 0;
  double mean = 0;
};

// With P the mean of products and Q the product of means: |P - Q|^2 = <P,P> - 2 <P,Q> + <Q,Q>.
Squares target_squares(const std::vector<Factor>& b, const std::vector<Factor>& a) {
  const auto n = static_cast<double>(b.size());
  const Factor mean_b = mean_of(b);
  const Factor mean_a = mean_of(a);
  double pp = 0;
  double pq = 0;
  for (std::size_t i = 0; i < b.size(); ++i) {
    pq += product_dot(b[i], a[i], mean_b, mean_a) / n;
    pp += product_dot(b[i], a[i], b[i], a[i]) / (n * n);
    for (std::size_t j = 0; j < i; ++j) pp += 2 * product_dot(b[i], a[i], b[j], a[j]) / (n * n);
  }
  const double qq = product_dot(mean_b, mean_a, mean_b, mean_a);
  return {.gap = std::max(0.0, pp - 2 * pq + qq), .mean = pp};
}

} // namespace

DeltaSpread delta_spread(const Adapter& start, std::span<const std::vector<float>> deltas) {
  COPPICE_CHECK(deltas.size() >= 2);
  DeltaSpread spread;
  const std::vector<double> angles = cosines(deltas);
  for (const double angle : angles)
    spread.cosine_mean += angle / static_cast<double>(angles.size());
  spread.cosine_p10 = quantile(angles, 0.1);
  spread.cosine_p90 = quantile(angles, 0.9);
  Squares all;
  std::size_t at = 0;
  for (std::size_t t = 0; t < start.targets(); ++t) {
    const AdapterTarget& target = start.spec().targets[t];
    const double scale = start.spec().scale(t);
    std::vector<Factor> a;
    std::vector<Factor> b;
    for (const auto& delta : deltas) {
      const std::span<const float> values(delta);
      a.push_back(a_factor(start.a(t), values.subspan(at, target.a_elements()), target.rank));
      b.push_back(b_factor(
          start.b(t), values.subspan(at + target.a_elements(), target.b_elements()), target.rank));
    }
    at += target.a_elements() + target.b_elements();
    const Squares one = target_squares(b, a);
    all.gap += scale * scale * one.gap;
    all.mean += scale * scale * one.mean;
  }
  spread.product_gap = all.mean > 0 ? std::sqrt(all.gap / all.mean) : 0;
  return spread;
}

} // namespace coppice
