// SPDX-License-Identifier: Apache-2.0
#include "adapters/ring_headroom.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "adapters/delta_encoding.h"
#include "adapters/rotation.h"
#include "adapters/rounded_norm.h"

namespace coppice {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kFloatError = 0x1p-16;
constexpr double kLargestT = 700; // beyond, cosh overflows

// L(t) = shift t + gaussian t^2 / 2 + skellam (cosh t - 1), Note [Wrap probability].
struct LogMoments {
  double shift = 0;
  double gaussian = 0;
  double skellam = 0;

  double at(double t) const { // less shift t
    const double sinh = std::sinh(t / 2);
    return gaussian * t * t / 2 + 2 * skellam * sinh * sinh;
  }
  double slope(double t) const { return gaussian * t + skellam * std::sinh(t); } // less shift
};

// The place in [low, high] where an increasing condition turns true.
template <typename Condition>
double turning_point(double low, double high, const Condition& condition) {
  for (int halving = 0; halving < 64; ++halving) {
    const double middle = low + (high - low) / 2;
    (condition(middle) ? high : low) = middle;
  }
  return high;
}

// min over t of L(t) - t h; 0 where nothing can be said.
double log_tail(const LogMoments& moments, double h) {
  const double room = h - moments.shift;
  const double variance = moments.gaussian + moments.skellam;
  if (!(room > 0)) return 0;
  if (variance == 0) return -kInfinity;
  const double high = std::min(room / variance, kLargestT); // the slope there is at least room
  const double t = turning_point(0, high, [&](double at) { return moments.slope(at) >= room; });
  return std::min(0.0, moments.at(t) - t * room);
}

// The least h for which log_tail(h) <= -log_inverse.
double room_needed(const LogMoments& moments, double log_inverse) {
  if (moments.gaussian + moments.skellam == 0) return moments.shift;
  // (L(t) + log_inverse) / t is least where t L'(t) - L(t) reaches log_inverse.
  const double t = turning_point(0, kLargestT, [&](double at) {
    return at * moments.slope(at) - moments.at(at) >= log_inverse;
  });
  return moments.shift + (moments.at(t) + log_inverse) / t;
}

double scaled_norm(const HeadroomTerms& terms, double scale) {
  return terms.clip * scale * static_cast<double>(terms.max_weight);
}

bool sensible(const HeadroomTerms& terms, double scale) {
  const double norm = scaled_norm(terms, scale);
  return terms.elements > 0 && terms.elements <= kMostEncodedElements && terms.clients > 0 &&
         terms.max_weight > 0 && terms.clip > 0 && scale >= 0 && norm <= kLargestScaledNorm &&
         terms.noise_deviation >= 0 && terms.noise_multiplier >= 0 &&
         std::isfinite(terms.noise_deviation) && std::isfinite(terms.noise_multiplier);
}

double noise_variance(const HeadroomTerms& terms, double scale) {
  return terms.noise_deviation * terms.noise_deviation +
         terms.noise_multiplier * terms.noise_multiplier *
             rounded_norm_squared(scaled_norm(terms, scale), terms.elements);
}

LogMoments without_rotation(const HeadroomTerms& terms, double scale) {
  const auto clients = static_cast<double>(terms.clients);
  return {.shift = clients * (scaled_norm(terms, scale) + 1),
          .gaussian = 0,
          .skellam = noise_variance(terms, scale)};
}

LogMoments with_rotation(const HeadroomTerms& terms, double scale) {
  const auto clients = static_cast<double>(terms.clients);
  const double sum = clients * scaled_norm(terms, scale);
  const auto width = static_cast<double>(rotation_width(terms.elements));
  return {.shift = clients * kRedrawProbability + sum * kFloatError,
          .gaussian = sum * sum / width + clients / 4,
          .skellam = noise_variance(terms, scale)};
}

// ln of the probability that some client sends zeros.
double log_zeroed(const HeadroomTerms& terms) {
  return std::log(static_cast<double>(terms.clients)) + kMostDraws * std::log(kRedrawProbability);
}

double log_sides(const HeadroomTerms& terms) {
  return std::log(2 * static_cast<double>(terms.elements));
}

} // namespace

HeadroomStatement headroom(RingBits bits, const HeadroomTerms& terms, double scale) {
  if (!sensible(terms, scale)) return {};
  const double h = std::ldexp(1.0, static_cast<int>(bits.value) - 1);
  const LogMoments plain = without_rotation(terms, scale);
  if (plain.shift < h && plain.skellam == 0) {
    return {.certain = true, .log2_wrap_probability = -kInfinity};
  }
  double log_wrap = log_sides(terms) + log_tail(plain, h);
  if (terms.rotated) {
    const double tail = log_sides(terms) + log_tail(with_rotation(terms, scale), h);
    log_wrap = std::min(log_wrap, std::log(std::exp(tail) + std::exp(log_zeroed(terms))));
  }
  return {.certain = false, .log2_wrap_probability = std::min(0.0, log_wrap / std::numbers::ln2)};
}

ScaleChoice largest_scale(RingBits bits, const HeadroomTerms& terms) {
  if (!headroom(bits, terms, 0).allowed()) return {};
  double fails = kLargestScaledNorm / scaled_norm(terms, 1);
  double holds = 0;
  if (headroom(bits, terms, fails).allowed()) holds = fails;
  while (fails - holds > fails * 0x1p-40) {
    const double middle = holds + (fails - holds) / 2;
    (headroom(bits, terms, middle).allowed() ? holds : fails) = middle;
  }
  return {.scale = holds, .headroom = headroom(bits, terms, holds)};
}

double ring_bits_needed(const HeadroomTerms& terms, double scale) {
  if (!sensible(terms, scale)) return kInfinity;
  const double allowed = std::exp2(kLog2WrapAllowed);
  double room = room_needed(without_rotation(terms, scale), log_sides(terms) - std::log(allowed));
  if (terms.rotated) {
    const double zeroed = std::exp(log_zeroed(terms));
    if (zeroed < allowed) {
      const double inverse = log_sides(terms) - std::log(allowed - zeroed);
      room = std::min(room, room_needed(with_rotation(terms, scale), inverse));
    }
  }
  return 1 + std::log2(room);
}

} // namespace coppice
