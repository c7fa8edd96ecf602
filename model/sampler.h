// SPDX-License-Identifier: Apache-2.0
// From logits to the next token: temperature, then top-k, then top-p (Holtzman et al. 2020), then
// one uniform draw. Temperature 0 takes the largest logit, the lowest id among equals.
//
// The same seed and logits give the same tokens. Thread-compatible.
#pragma once

#include <span>

#include "base/random.h"
#include "model/engine.h"

namespace coppice {

class Sampler {
 public:
  // Refuses a negative or non-finite temperature and a top_p outside (0, 1] (kInvalidArgument).
  static Result<Sampler> make(const SamplerSettings& settings);
  TokenId sample(std::span<const float> logits);

 private:
  explicit Sampler(const SamplerSettings& settings);
  SamplerSettings settings_;
  KeyedRandom random_;
};

} // namespace coppice
