// SPDX-License-Identifier: Apache-2.0
#include "privacy/clip.h"

#include <cmath>

#include "base/sum_of_squares.h"
#include "base/text.h"

namespace coppice {
namespace {

// Note [Strict clip]: scaled values are rounded to float, each by up to 2^-24 of itself, so scaling
// to exactly the bound would overshoot about every other time, and an accountant that was promised
// max_norm would be wrong. The norms before and after carry (n + 1) 2^-54 each, at most 2^-26 +
// 2^-54 for 2^28 values, and a subnormal result at most 2^-150 a value, together below 2^-36 of
// kMinClipNorm. All this stays below 2^-23.
constexpr double kRoundingMargin = 1.0 - 0x1p-23;

} // namespace

Result<double> l2_norm(std::span<const float> values) {
  if (values.size() > kMaxClipValues) {
    return Error{ErrorCode::kTooLarge, cat("a norm over ", values.size(), " values, at most ",
                                           kMaxClipValues, " are supported")};
  }
  const double sum = sum_of_squares(values);
  if (std::isfinite(sum)) return std::sqrt(sum);
  std::size_t at = 0;
  while (std::isfinite(values[at])) ++at; // finite floats alone can't reach infinity in double
  return Error{ErrorCode::kInvalidArgument,
               cat("value ", at, " of an update is ", values[at],
                   "; the training diverged, nothing of it may be sent")};
}

Result<double> clip_l2(std::span<float> values, double max_norm) {
  if (!std::isfinite(max_norm) || max_norm < kMinClipNorm) {
    return Error{
        ErrorCode::kInvalidArgument,
        cat("the clip norm is ", max_norm, "; it must be finite and at least ", kMinClipNorm)};
  }
  const double norm = COPPICE_TRY(l2_norm(values));
  if (norm <= max_norm) return 1.0;
  const double factor = max_norm / norm * kRoundingMargin;
  for (float& value : values) value = static_cast<float>(static_cast<double>(value) * factor);
  return factor;
}

} // namespace coppice
