// SPDX-License-Identifier: Apache-2.0
#include "model/sampler.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "base/text.h"

namespace coppice {

Sampler::Sampler(const SamplerSettings& settings)
    : settings_(settings),
      random_({.experiment = settings.seed, .purpose = RandomPurpose::kText}) {}

Result<Sampler> Sampler::make(const SamplerSettings& settings) {
  if (!std::isfinite(settings.temperature) || settings.temperature < 0) {
    return Error{ErrorCode::kInvalidArgument,
                 cat("temperature is ", settings.temperature, "; give 0 (greedy) or more")};
  }
  if (!(settings.top_p > 0 && settings.top_p <= 1)) {
    return Error{
        ErrorCode::kInvalidArgument,
        cat("top-p is ", settings.top_p, "; give more than 0 and at most 1 (1: all tokens)")};
  }
  return Sampler(settings);
}

TokenId Sampler::sample(std::span<const float> logits) {
  if (settings_.temperature == 0) {
    return static_cast<TokenId>(std::max_element(logits.begin(), logits.end()) - logits.begin());
  }
  // The kept candidates, most likely first; ids break ties, so that the order is unique.
  std::vector<TokenId> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  const std::size_t kept =
      settings_.top_k == 0 ? ids.size() : std::min<std::size_t>(settings_.top_k, ids.size());
  const auto logit = [&](TokenId id) { return logits[static_cast<std::size_t>(id)]; };
  std::partial_sort(
      ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(kept), ids.end(),
      [&](TokenId a, TokenId b) { return logit(a) != logit(b) ? logit(a) > logit(b) : a < b; });
  std::vector<double> weights(kept);
  double total = 0;
  for (std::size_t i = 0; i < kept; ++i) {
    weights[i] =
        std::exp((static_cast<double>(logit(ids[i])) - static_cast<double>(logit(ids[0]))) /
                 static_cast<double>(settings_.temperature));
    total += weights[i];
  }
  // top-p: the fewest candidates whose share reaches it.
  const double wanted = total * static_cast<double>(settings_.top_p);
  double nucleus = 0;
  std::size_t count = 0;
  while (count < kept && nucleus < wanted) nucleus += weights[count++];
  double left = random_.uniform_double() * nucleus;
  for (std::size_t i = 0; i < count; ++i) {
    left -= weights[i];
    if (left < 0) return ids[i];
  }
  return ids[count - 1];
}

} // namespace coppice
