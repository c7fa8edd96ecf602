// SPDX-License-Identifier: Apache-2.0
#include "adapters/ring_codec.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "base/instruction_levels.h"
#include "base/text.h"

namespace coppice {
namespace {

// 2^(b-1): the first magnitude that a residue can't stand for.
double half_ring(RingBits bits) { return std::ldexp(1.0, static_cast<int>(bits.value) - 1); }

std::int64_t signed_value(std::uint32_t residue, RingBits bits) {
  const std::uint32_t shift = 32U - bits.value;
  return static_cast<std::int32_t>(residue << shift) >> shift; // the sign bit is drawn along
}

Result<void> check_encoding(const RingEncoding& encoding) {
  const double largest = encoding.bound * encoding.scale * static_cast<double>(encoding.weight);
  // Negated, so that NaN is refused too.
  if (!(encoding.bound >= 0) || !(encoding.scale > 0) || encoding.weight == 0 ||
      !(std::ceil(largest) < half_ring(encoding.bits))) {
    return Error{ErrorCode::kInvalidArgument,
                 cat("values up to ", encoding.bound, " at scale ", encoding.scale, " and weight ",
                     encoding.weight, " don't fit a ring of ", encoding.bits.value,
                     " bits; choose a smaller scale or more bits")};
  }
  return {};
}

constexpr std::size_t kBlock = 1024; // values at once: they and their random words stay at hand

// In place: random words to elements. Gives the number of values outside the bound. What comes out
// fits 32 bits with its sign: check_encoding().
COPPICE_LEVELS std::size_t encode_block(const float* values, std::size_t n, double bound,
                                        double factor, std::uint32_t mask,
                                        std::uint32_t* elements) {
  std::size_t outside = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const double value = static_cast<double>(values[i]);
    const double low = value < -bound ? -bound : value;
    const double inside = low > bound ? bound : low;
    outside += inside == value ? 0 : 1;
    const double exact = inside * factor;
    const double floor = std::floor(exact);
    const double random = static_cast<double>(elements[i]);
    const double up = random < (exact - floor) * 0x1.0p32 ? 1.0 : 0.0;
    elements[i] = static_cast<std::uint32_t>(static_cast<std::int32_t>(floor + up)) & mask;
  }
  return outside;
}

Result<void> check_finite(std::span<const float> values) {
  const auto finite = [](float value) { return std::isfinite(value); };
  const auto bad = std::ranges::find_if_not(values, finite);
  if (bad == values.end()) return {};
  return Error{ErrorCode::kInvalidArgument,
               cat("value ", bad - values.begin(),
                   " is not a finite number and can't be encoded; the training that made it "
                   "diverged, so lower its learning rate")};
}

} // namespace

Result<RingBits> RingBits::make(std::uint64_t bits) {
  if (bits > 32 || !RingBits{static_cast<std::uint32_t>(bits)}.offered()) {
    return Error{ErrorCode::kInvalidArgument,
                 cat("a ring of ", bits, " bits is not offered; choose 16, 20, 24 or 32")};
  }
  return RingBits{static_cast<std::uint32_t>(bits)};
}

Result<RingBits> RingBits::of_plan(std::uint64_t bits) {
  if (bits < kFewestRingBits || bits > 32) {
    return Error{ErrorCode::kInvalidArgument,
                 cat("there is no ring of ", bits, " bits, only of ", kFewestRingBits, " to 32")};
  }
  return RingBits{static_cast<std::uint32_t>(bits)};
}

bool ring_cannot_wrap(RingBits bits, std::uint64_t clients, std::uint64_t max_weight, double bound,
                      double scale) {
  if (clients == 0 || max_weight == 0 || !(bound >= 0) || !(scale >= 0)) return false;
  const double terms = static_cast<double>(clients) * static_cast<double>(max_weight);
  return terms * (bound * scale + 1.0) < half_ring(bits); // false for infinities and NaN
}

double largest_safe_scale(RingBits bits, std::uint64_t clients, std::uint64_t max_weight,
                          double bound) {
  COPPICE_CHECK(bound > 0);
  if (!ring_cannot_wrap(bits, clients, max_weight, bound, 0)) return 0;
  // Doubles of one sign are ordered as their bits are, and the condition only turns from true to
  // false as scale grows: halve the gap between the last that holds and the first that doesn't.
  auto holds = std::bit_cast<std::uint64_t>(0.0);
  auto fails = std::bit_cast<std::uint64_t>(std::numeric_limits<double>::infinity());
  while (fails - holds > 1) {
    const std::uint64_t middle = holds + (fails - holds) / 2;
    const auto scale = std::bit_cast<double>(middle);
    (ring_cannot_wrap(bits, clients, max_weight, bound, scale) ? holds : fails) = middle;
  }
  return std::bit_cast<double>(holds);
}

Result<std::uint64_t> ring_encode(std::span<const float> values, const RingEncoding& encoding,
                                  KeyedRandom& random, std::span<std::uint32_t> elements) {
  COPPICE_CHECK(values.size() == elements.size());
  COPPICE_TRY(check_encoding(encoding));
  COPPICE_TRY(check_finite(values));
  const double factor = encoding.scale * static_cast<double>(encoding.weight);
  const std::uint32_t mask = encoding.bits.mask();
  std::uint64_t outside = 0;
  for (std::size_t at = 0; at < values.size(); at += kBlock) {
    const std::size_t n = std::min(kBlock, values.size() - at);
    random.fill(elements.subspan(at, n));
    outside += encode_block(&values[at], n, encoding.bound, factor, mask, &elements[at]);
  }
  return outside;
}

Result<std::vector<std::uint32_t>> ring_encode(std::span<const float> values,
                                               const RingEncoding& encoding, KeyedRandom& random,
                                               std::uint64_t* clamped) {
  std::vector<std::uint32_t> elements(values.size());
  const std::uint64_t outside = COPPICE_TRY(ring_encode(values, encoding, random, elements));
  if (clamped != nullptr) *clamped = outside;
  return elements;
}

void ring_add(std::span<std::uint32_t> sum, std::span<const std::uint32_t> addend, RingBits bits) {
  COPPICE_CHECK(sum.size() == addend.size());
  const std::uint32_t mask = bits.mask();
  for (std::size_t i = 0; i < sum.size(); ++i) sum[i] = (sum[i] + addend[i]) & mask;
}

std::vector<double> ring_decode(std::span<const std::uint32_t> sum, RingBits bits, double scale) {
  std::vector<double> values(sum.size());
  for (std::size_t i = 0; i < sum.size(); ++i) {
    values[i] = static_cast<double>(signed_value(sum[i], bits)) / scale;
  }
  return values;
}

} // namespace coppice
