// SPDX-License-Identifier: Apache-2.0
#include "privacy/rdp.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

#include "base/text.h"
#include "privacy/normal.h"

namespace coppice {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kSmallestUsableOrder = 1.01;
constexpr double kSeriesTolerance = -28.0; // log: a last term of 7e-13 of the sum, then halved
constexpr int kMaxSeriesTerms = 1 << 20;
// Below this rate ((1 - q) + q)^order expands quickly, and the leading 1 is taken off term by term.
constexpr double kSmallRate = 0.25;

double log_add(double a, double b) {
  if (a < b) std::swap(a, b);
  return b == -kInfinity ? a : a + std::log1p(std::exp(b - a));
}

double log_expm1(double x) { return x > 40.0 ? x : std::log(std::expm1(x)); }

// Positive and negative terms apart, both in log space: they are large, and cancel only at the end.
class SignedLogSum {
 public:
  void add(bool negative, double log_term) {
    double& part = negative ? negative_ : positive_;
    part = log_add(part, log_term);
  }
  double log_scale() const { return std::max(positive_, negative_); }
  // log of (base + sum); `base` is 0 or 1.
  double log_with_base(double base) const {
    if (positive_ > 40.0) return positive_ + std::log1p(-std::exp(negative_ - positive_));
    const double sum = std::exp(positive_) - std::exp(negative_);
    return base == 1.0 ? std::log1p(std::max(sum, 0.0)) : std::log(std::max(sum, 1.0));
  }

 private:
  double positive_ = -kInfinity;
  double negative_ = -kInfinity;
};

// log E[(1 - q + q L)^n] for integer n, L the likelihood ratio: 1 + sum over k >= 2 of
// C(n, k) (1 - q)^(n-k) q^k (exp((k^2 - k) / (2 z^2)) - 1).
double log_moment_integer(double q, double z, double order) {
  const double log_odds = std::log(q) - std::log1p(-q);
  const auto n = static_cast<std::size_t>(order);
  double log_weight = order * std::log1p(-q); // of k = 0
  double sum = -kInfinity;
  for (std::size_t k = 1; k <= n; ++k) {
    const auto at = static_cast<double>(k);
    log_weight += std::log((order - at + 1.0) / at) + log_odds;
    if (k >= 2) sum = log_add(sum, log_weight + log_expm1(at * (at - 1.0) / (2.0 * z * z)));
  }
  return sum > 40.0 ? sum : std::log1p(std::exp(sum));
}

// Note [Fractional series]: the real line is cut at z0, where q L = 1 - q, and (1 - q + q L)^order
// is expanded in q L / (1 - q) below and in its inverse above. With
//   R(x) = (1 - q)^order exp(-z0^2 / (2 z^2)) scaled_erfc(x / (sqrt 2 z)) / 2
// term i below z0 is C(order, i) R(i - z0), and above it C(order, i) R(z0 - order + i): the powers
// of q and the exponents in i^2 cancel exactly, which keeps z = 0.1 and thousands of terms stable.
// Where R's argument x is negative, R(x) = w(i) exp((i^2 - i) / (2 z^2)) - R(-x), with
// w(i) = q^i (1 - q)^(order - i). For small q the 1 = sum C(order, i) w(i) is subtracted from each
// term, so that moments near 1 keep their digits.
class FractionalSeries {
 public:
  FractionalSeries(double q, double z, double order)
      : q_(q),
        z_(z),
        order_(order),
        log_rest_(std::log1p(-q)),
        z0_(z * z * (std::log1p(-q) - std::log(q)) + 0.5),
        log_r_(order * log_rest_ - z0_ * z0_ / (2.0 * z * z) - std::numbers::ln2) {}

  double log_moment() {
    const bool less_one = q_ <= kSmallRate;
    double log_binomial = 0.0;
    bool negative = false;
    for (int i = 0; i < kMaxSeriesTerms; ++i) {
      const auto at = static_cast<double>(i);
      const double negligible = sum_.log_scale() + kSeriesTolerance;
      // Beyond the order terms alternate. They shrink beyond both turning points; before, they may
      // first fall and then rise again, up to log_r(0). Half of the last one is closer to the limit
      // than either partial sum.
      const bool falling =
          at > order_ + 1.0 && ((at > z0_ && order_ - at < z0_) || log_r(0.0) < negligible);
      const bool last = falling && log_binomial + log_size(at, less_one) < negligible;
      add_terms(at, negative, log_binomial - (last ? std::numbers::ln2 : 0.0), less_one);
      if (last) break;
      const double factor = (order_ - at) / (at + 1.0);
      log_binomial += std::log(std::fabs(factor));
      negative ^= factor < 0.0;
    }
    return sum_.log_with_base(less_one ? 1.0 : 0.0);
  }

 private:
  double log_r(double x) const { return log_r_ + log_scaled_erfc(x / (std::numbers::sqrt2 * z_)); }
  double log_w(double i) const { return i * std::log(q_) + (order_ - i) * log_rest_; }

  // The largest part of the i-th terms, less the binomial.
  double log_size(double i, bool less_one) const {
    const double j = order_ - i;
    const double below = i < z0_ ? log_w(i) + i * (i - 1.0) / (2.0 * z_ * z_) : log_r(i - z0_);
    const double above = j > z0_ ? log_w(j) + j * (j - 1.0) / (2.0 * z_ * z_) : log_r(z0_ - j);
    return std::max({below, above, less_one ? log_w(i) : -kInfinity});
  }

  void add_terms(double i, bool negative, double log_binomial, bool less_one) {
    const double below = i * (i - 1.0) / (2.0 * z_ * z_);
    if (i >= z0_) {
      sum_.add(negative, log_binomial + log_r(i - z0_));
      if (less_one) sum_.add(!negative, log_binomial + log_w(i));
    } else {
      const double growth = less_one ? (below > 0.0 ? log_expm1(below) : -kInfinity) : below;
      if (growth > -kInfinity) sum_.add(negative, log_binomial + log_w(i) + growth);
      sum_.add(!negative, log_binomial + log_r(z0_ - i));
    }
    const double j = order_ - i;
    if (j <= z0_) {
      sum_.add(negative, log_binomial + log_r(z0_ - j));
    } else {
      sum_.add(negative, log_binomial + log_w(j) + j * (j - 1.0) / (2.0 * z_ * z_));
      sum_.add(!negative, log_binomial + log_r(j - z0_));
    }
  }

  double q_, z_, order_;
  double log_rest_; // log(1 - q)
  double z0_;
  double log_r_;
  SignedLogSum sum_;
};

Result<void> check_curve(std::span<const double> orders, std::span<const double> rdp) {
  bool ok = orders.size() == rdp.size();
  for (std::size_t i = 0; ok && i < orders.size(); ++i) ok = orders[i] > 1.0 && rdp[i] >= 0.0;
  if (ok) return {};
  return Error{ErrorCode::kInvalidArgument,
               cat("a Renyi curve of ", orders.size(), " orders and ", rdp.size(),
                   " values; there must be one value, not negative, for each order above 1")};
}

// 1 - exp(-rdp) bounds the squared total variation.
bool total_variation_within(double delta, double rdp) {
  return delta * delta + std::expm1(-rdp) >= 0.0;
}

} // namespace

Result<double> sampled_gaussian_rdp(double sampling_rate, double noise_multiplier, double order) {
  const double q = sampling_rate;
  const double z = noise_multiplier;
  if (!(q >= 0.0 && q <= 1.0) || !(z >= 0.0) || !(order > 1.0) || !std::isfinite(order)) {
    return Error{ErrorCode::kInvalidArgument,
                 cat("no Renyi divergence for sampling rate ", q, ", noise multiplier ", z,
                     " and order ", order, "; they must lie in [0, 1], [0, inf] and (1, inf)")};
  }
  if (q == 0.0 || std::isinf(z)) return 0.0;
  if (z == 0.0) return kInfinity;
  if (q == 1.0) return order / (2.0 * z * z);
  const double log_moment = order == std::floor(order) ? log_moment_integer(q, z, order)
                                                       : FractionalSeries(q, z, order).log_moment();
  return log_moment / (order - 1.0);
}

std::span<const double> default_rdp_orders() {
  static const std::vector<double> all_orders = [] {
    std::vector<double> orders;
    for (int tenth = 11; tenth < 110; ++tenth) orders.push_back(tenth / 10.0);
    for (int whole = 11; whole < 64; ++whole) orders.push_back(whole);
    for (int whole = 128; whole <= 1024; whole *= 2) orders.push_back(whole);
    return orders;
  }();
  return all_orders;
}

Result<RdpEpsilon> rdp_to_epsilon(std::span<const double> orders, std::span<const double> rdp,
                                  double delta) {
  COPPICE_TRY(check_curve(orders, rdp));
  if (!(delta > 0.0 && delta < 1.0)) {
    return Error{ErrorCode::kInvalidArgument,
                 cat("delta is ", delta, "; it must lie strictly between 0 and 1")};
  }
  RdpEpsilon best{kInfinity, 0.0};
  for (std::size_t i = 0; i < orders.size(); ++i) {
    const double a = orders[i];
    if (a <= kSmallestUsableOrder) continue;
    const double epsilon = total_variation_within(delta, rdp[i])
                               ? 0.0
                               : rdp[i] + std::log1p(-1.0 / a) - std::log(delta * a) / (a - 1.0);
    if (std::max(epsilon, 0.0) < best.epsilon) best = {std::max(epsilon, 0.0), a};
  }
  return best;
}

Result<double> rdp_to_delta(std::span<const double> orders, std::span<const double> rdp,
                            double epsilon) {
  COPPICE_TRY(check_curve(orders, rdp));
  if (!(epsilon >= 0.0)) {
    return Error{ErrorCode::kInvalidArgument,
                 cat("epsilon is ", epsilon, "; it must not be negative")};
  }
  double best = 1.0;
  for (std::size_t i = 0; i < orders.size(); ++i) {
    const double a = orders[i];
    if (a <= kSmallestUsableOrder || rdp[i] == kInfinity) continue;
    const double log_delta = (a - 1.0) * (rdp[i] - epsilon + std::log1p(-1.0 / a)) - std::log(a);
    best = std::min({best, std::exp(log_delta), std::sqrt(-std::expm1(-rdp[i]))});
  }
  return best;
}

} // namespace coppice
