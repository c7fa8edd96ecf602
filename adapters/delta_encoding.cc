// SPDX-License-Identifier: Apache-2.0
#include "adapters/delta_encoding.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "adapters/rotation.h"
#include "adapters/rounded_norm.h"
#include "base/text.h"

namespace coppice {
namespace {

constexpr double kLeastClip = 0x1p-100; // far from float's subnormals, and from its infinity
constexpr double kLargestClip = 0x1p100;
constexpr double kClipTolerance = 0x1p-20;
constexpr double kNormMargin = 0x1p-28; // of a norm over 2^28 values in 16 lanes: 2^24 2^-53 each

// In 16 sums, whatever the machine: the same bits everywhere.
double norm_of(std::span<const float> values) {
  constexpr std::size_t kLanes = 16;
  std::array<double, kLanes> sums{};
  for (std::size_t at = 0; at < values.size(); at += kLanes) {
    const std::size_t count = std::min(kLanes, values.size() - at);
    for (std::size_t i = 0; i < count; ++i) {
      const auto value = static_cast<double>(values[at + i]);
      sums[i] += value * value;
    }
  }
  double sum = 0;
  for (const double lane : sums) sum += lane;
  return std::sqrt(sum);
}

Result<void> check_encoding(const DeltaEncoding& encoding, std::size_t elements) {
  if (elements > kMostEncodedElements) {
    return Error{ErrorCode::kTooLarge, cat("a delta of ", elements, " elements, at most ",
                                           kMostEncodedElements, " can be encoded")};
  }
  const double longest = encoding.clip * encoding.scale * static_cast<double>(encoding.weight);
  // Negated, so that NaN is refused too.
  if (!(encoding.clip >= kLeastClip && encoding.clip <= kLargestClip) || !(encoding.scale > 0) ||
      encoding.weight == 0 || !(longest <= kLargestScaledNorm)) {
    return Error{
        ErrorCode::kInvalidArgument,
        cat("a clip of ", encoding.clip, " at scale ", encoding.scale, " and weight ",
            encoding.weight, " can't be encoded; the clip must be from ", kLeastClip, " to ",
            kLargestClip, ", the others above 0 and the product at most ", kLargestScaledNorm)};
  }
  return {};
}

Result<void> check_norm(double norm, double clip) {
  if (!std::isfinite(norm)) {
    return Error{ErrorCode::kInvalidArgument,
                 "a delta that is not finite can't be encoded; the training that made it diverged, "
                 "so lower its learning rate"};
  }
  if (norm > clip * (1 + kClipTolerance)) {
    return Error{ErrorCode::kInvalidArgument, cat("the delta's norm is ", norm, ", above the clip ",
                                                  clip, "; clip it before it is encoded")};
  }
  return {};
}

// Rounds value * factor to integers and returns the sum of their squares, below 2^49.
std::uint64_t draw(std::span<const float> values, double factor, std::uint32_t mask,
                   KeyedRandom random, std::span<std::uint32_t> elements) {
  std::uint64_t squares = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double exact = static_cast<double>(values[i]) * factor;
    auto integer = static_cast<std::int32_t>(exact); // towards zero; |exact| <= 2^24
    integer -= static_cast<double>(integer) > exact ? 1 : 0;
    const double fraction = exact - static_cast<double>(integer);
    integer += static_cast<double>(random.next_u32()) < fraction * 0x1.0p32 ? 1 : 0;
    elements[i] = static_cast<std::uint32_t>(integer) & mask;
    squares += static_cast<std::uint64_t>(std::int64_t{integer} * integer);
  }
  return squares;
}

} // namespace

Result<EncodedVector> encode_delta_vector(std::span<const float> clipped,
                                          const DeltaEncoding& encoding, RandomKey key) {
  COPPICE_TRY(check_encoding(encoding, clipped.size()));
  double norm = norm_of(clipped);
  COPPICE_TRY(check_norm(norm, encoding.clip));
  std::vector<float> values(clipped.begin(), clipped.end());
  if (encoding.rotation_seed.has_value()) {
    rotate(values, *encoding.rotation_seed);
    norm = norm_of(values);
  }
  double factor = encoding.scale * static_cast<double>(encoding.weight);
  const double longest = encoding.clip * (1 - kNormMargin);
  if (norm > longest) factor *= longest / norm;

  EncodedVector encoded;
  encoded.elements.resize(values.size());
  key.purpose = RandomPurpose::kStochasticRounding;
  for (key.step = 0; key.step < kMostDraws; ++key.step) {
    const std::uint64_t squares =
        draw(values, factor, encoding.bits.mask(), KeyedRandom(key), encoded.elements);
    if (squares <= encoding.norm_bound_squared) return encoded;
    ++encoded.redraws;
  }
  std::fill(encoded.elements.begin(), encoded.elements.end(), 0U);
  encoded.zeroed = true;
  return encoded;
}

std::vector<double> decode_delta_sum(std::span<const std::uint32_t> sum,
                                     const DeltaEncoding& encoding) {
  std::vector<double> values = ring_decode(sum, encoding.bits, encoding.scale);
  if (encoding.rotation_seed.has_value()) unrotate(values, *encoding.rotation_seed);
  return values;
}

} // namespace coppice
