// SPDX-License-Identifier: Apache-2.0
#include "privacy/adaptive_clip.h"

#include <algorithm>
#include <cmath>

#include "base/text.h"

namespace coppice {

Result<void> AdaptiveClip::validate() const {
  const auto refuse = [](const char* what, double value, const char* must) {
    return Error{ErrorCode::kInvalidArgument,
                 cat("the adaptive clip's ", what, " is ", value, "; it must be ", must)};
  };
  if (!(quantile > 0.0 && quantile < 1.0)) {
    return refuse("quantile", quantile, "between 0 and 1, both excluded");
  }
  if (!(learning_rate > 0.0 && learning_rate <= 10.0)) {
    return refuse("learning rate", learning_rate, "above 0 and at most 10");
  }
  if (!(least > 0.0 && std::isfinite(least))) {
    return refuse("lower bound", least, "positive and finite");
  }
  if (!(most >= least && std::isfinite(most))) {
    return refuse("upper bound", most, "finite and not below the lower one");
  }
  return {};
}

Result<double> share_within(std::int64_t noised_sum, std::uint64_t cohort) {
  if (cohort == 0) {
    return Error{ErrorCode::kInvalidArgument, "a share of no cohort; the plan must expect devices"};
  }
  const double mean = static_cast<double>(noised_sum) / static_cast<double>(cohort);
  return std::clamp(0.5 * (1.0 + mean), 0.0, 1.0);
}

Result<double> next_clip(double clip, double share, const AdaptiveClip& settings) {
  COPPICE_TRY(settings.validate());
  if (!(clip > 0.0 && std::isfinite(clip)) || !(share >= 0.0 && share <= 1.0)) {
    return Error{ErrorCode::kInvalidArgument,
                 cat("a clip norm of ", clip, " and a share of ", share,
                     "; the norm must be positive and finite, the share between 0 and 1")};
  }
  const double moved = clip * std::exp(-settings.learning_rate * (share - settings.quantile));
  return std::clamp(moved, settings.least, settings.most);
}

Result<double> noise_multiplier_beside_bits(double z, double sigma_b) {
  if (!(z > 0.0 && std::isfinite(z)) || !std::isfinite(sigma_b) || !(2.0 * sigma_b > z)) {
    return Error{ErrorCode::kInvalidArgument,
                 cat("a noise multiplier of ", z, " with noise of ", sigma_b,
                     " on the clipped bits; twice the latter must be above the former")};
  }
  const double ratio = z / (2.0 * sigma_b);
  return z / std::sqrt((1.0 - ratio) * (1.0 + ratio));
}

} // namespace coppice
