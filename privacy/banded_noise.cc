// SPDX-License-Identifier: Apache-2.0
#include "privacy/banded_noise.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "base/check.h"
#include "base/text.h"

namespace coppice {
namespace {

constexpr std::uint32_t kVersion = 1;

// binomial(2 j, j) / 4^j, from j - 1's by (2 j - 1) / (2 j). Kept to 2^-48, rounded down: 64 steps
// lose less than 2^-42, and no coefficient lies so close to a rounding's border for 12 bits or
// fewer but those that are exact.
std::vector<std::uint32_t> square_root_coefficients(std::uint32_t bands,
                                                    std::uint32_t fraction_bits) {
  constexpr std::uint32_t kGuard = 48;
  const std::uint64_t half = std::uint64_t{1} << (kGuard - fraction_bits - 1);
  std::vector<std::uint32_t> scaled;
  std::uint64_t exact = std::uint64_t{1} << kGuard;
  for (std::uint64_t j = 1; j <= bands; ++j) {
    scaled.push_back(static_cast<std::uint32_t>((exact + half) >> (kGuard - fraction_bits)));
    exact = exact * (2 * j - 1) / (2 * j);
  }
  return scaled;
}

Result<void> check_dimension(std::uint64_t bands, std::uint64_t dimension) {
  if (dimension == 0) {
    return Error{ErrorCode::kInvalidArgument, "correlated noise needs at least one value"};
  }
  if (dimension > kMaxBandedValues / std::max<std::uint64_t>(1, bands - 1)) {
    return Error{ErrorCode::kTooLarge,
                 cat("correlated noise over ", bands, " bands of ", dimension, " values; at most ",
                     kMaxBandedValues, " can be kept, choose fewer bands")};
  }
  return {};
}

} // namespace

Result<BandedCoefficients> BandedCoefficients::create(std::uint32_t bands,
                                                      std::uint32_t fraction_bits) {
  if (bands == 0 || bands > kMaxBands || fraction_bits > kMaxFractionBits) {
    return Error{ErrorCode::kInvalidArgument,
                 cat(bands, " bands with ", fraction_bits, " fraction bits; from 1 to ", kMaxBands,
                     " bands and at most ", kMaxFractionBits, " bits are supported")};
  }
  BandedCoefficients made;
  made.fraction_bits = fraction_bits;
  made.scaled = square_root_coefficients(bands, fraction_bits);
  // The roots of c are outside the unit disc only if 1 > c_1, which 0 bits round to 1.
  if (made.scaled.back() == 0 || (bands > 1 && made.scaled[1] >= made.scaled[0])) {
    return Error{ErrorCode::kInvalidArgument,
                 cat(fraction_bits, " fraction bits are too few for ", bands, " bands")};
  }
  return made;
}

std::uint64_t BandedCoefficients::norm_squared() const {
  std::uint64_t sum = 0;
  for (const std::uint64_t c : scaled) sum += c * c;
  return sum;
}

double BandedCoefficients::column_norm() const {
  return std::ldexp(std::sqrt(static_cast<double>(norm_squared())),
                    -static_cast<int>(fraction_bits));
}

Result<BandedNoise> BandedNoise::create(BandedCoefficients coefficients, std::uint64_t dimension) {
  COPPICE_TRY(check_dimension(coefficients.bands(), dimension));
  BandedNoise made;
  made.history.resize((coefficients.bands() - 1) * dimension);
  made.coefficients = std::move(coefficients);
  made.dimension = dimension;
  return made;
}

Result<std::vector<std::int64_t>> BandedNoise::next(Ratio variance, ByteSource& source) {
  const std::uint64_t kept = coefficients.bands() - 1;
  COPPICE_CHECK(history.size() == kept * dimension);
  // In units of 2^-f, z has 4^f times the variance. One that wraps is larger than what passes.
  const std::uint32_t bits_up = 2 * coefficients.fraction_bits;
  if (variance.num > std::numeric_limits<std::uint64_t>::max() >> bits_up) {
    return Error{ErrorCode::kInvalidArgument,
                 cat("a noise variance of ", variance.num, "/", variance.den, " with ",
                     coefficients.fraction_bits, " fraction bits is too large; use fewer bits")};
  }
  const auto sampler =
      COPPICE_TRY(DiscreteGaussian::create({variance.num << bits_up, variance.den}));

  // (z - sum c_j e_{t-j}) 2^f: |z| 2^f < 2^40, and 63 products below 2^12 2^31 are below 2^49.
  std::vector<std::int64_t> noise(dimension, 0);
  {
    RandomBits bits(source);
    add_noise(std::span(noise), sampler, bits);
  }
  for (std::uint64_t back = 1; back <= std::min(kept, rounds); ++back) {
    const auto c = static_cast<std::int64_t>(coefficients.scaled[back]);
    const std::int32_t* row = history.data() + (rounds - back) % kept * dimension;
    for (std::uint64_t i = 0; i < dimension; ++i) noise[i] -= c * row[i];
  }
  const std::uint32_t shift = coefficients.fraction_bits;
  const std::int64_t half = (std::int64_t{1} << shift) >> 1U;
  for (std::int64_t& value : noise) {
    value = (value + half) >> shift; // rounds down: C++20's shift is arithmetic
    if (value != static_cast<std::int32_t>(value)) {
      return Error{ErrorCode::kCorrupt, cat("correlated noise of ", value,
                                            " is beyond 31 bits; the state of the noise is "
                                            "damaged, restore a backup")};
    }
  }
  if (kept > 0) {
    std::int32_t* row = history.data() + rounds % kept * dimension;
    for (std::uint64_t i = 0; i < dimension; ++i) row[i] = static_cast<std::int32_t>(noise[i]);
  }
  ++rounds;
  return noise;
}

Bytes BandedNoise::serialize() const {
  ByteWriter writer;
  writer.put(kVersion);
  writer.put(coefficients.bands());
  writer.put(coefficients.fraction_bits);
  writer.put(dimension);
  writer.put(rounds);
  writer.put_raw(as_bytes(std::span(history)));
  return std::move(writer).take();
}

Result<BandedNoise> BandedNoise::parse(ByteSpan bytes) {
  ByteReader reader(bytes);
  const auto version = COPPICE_TRY(reader.take<std::uint32_t>("version"));
  if (version != kVersion) {
    return Error{ErrorCode::kUnsupported,
                 cat("correlated noise of version ", version, "; this program knows ", kVersion)};
  }
  const auto bands = COPPICE_TRY(reader.take<std::uint32_t>("bands"));
  const auto fraction_bits = COPPICE_TRY(reader.take<std::uint32_t>("fraction bits"));
  auto coefficients = BandedCoefficients::create(bands, fraction_bits);
  if (!coefficients) {
    return Error{ErrorCode::kCorrupt, "a state of noise: " + coefficients.error().message};
  }
  BandedNoise parsed;
  parsed.coefficients = std::move(coefficients).value();
  parsed.dimension = COPPICE_TRY(reader.take<std::uint64_t>("dimension"));
  parsed.rounds = COPPICE_TRY(reader.take<std::uint64_t>("rounds"));
  if (parsed.rounds >> 62U != 0) return Error{ErrorCode::kCorrupt, "a state of endless noise"};
  if (parsed.dimension == 0) return Error{ErrorCode::kCorrupt, "a state of noise over no values"};
  COPPICE_TRY(check_dimension(bands, parsed.dimension));
  const std::uint64_t values = (bands - 1) * parsed.dimension;
  const ByteSpan raw = COPPICE_TRY(reader.take_raw(values * sizeof(std::int32_t), "history"));
  COPPICE_TRY(reader.expect_end("a state of noise"));
  parsed.history.resize(values);
  if (!raw.empty()) std::memcpy(parsed.history.data(), raw.data(), raw.size());
  // parsed.rounds <= bands - 1 rows are filled from the first on.
  if (parsed.rounds < bands - 1) {
    const auto unused =
        parsed.history.begin() + static_cast<std::ptrdiff_t>(parsed.rounds * parsed.dimension);
    if (std::any_of(unused, parsed.history.end(), [](std::int32_t value) { return value != 0; })) {
      return Error{ErrorCode::kCorrupt, "a state of noise holds rounds that it says weren't drawn"};
    }
  }
  return parsed;
}

} // namespace coppice
