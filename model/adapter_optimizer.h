// SPDX-License-Identifier: Apache-2.0
// AdamW or SGD on one client's adapter, as PyTorch computes them (AdamW: Loshchilov and Hutter
// 2019, algorithm 2), with the proximal pull and clipping of OptimizerSettings. Shared by the
// engines.
//
// Values and gradients are in the order of Adapter::values(). Thread-compatible.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "model/engine.h"

namespace coppice {

// What TrainSession::restore() refuses, for an adapter of so many values.
Result<void> check_state(const TrainState& state, std::size_t values);

class AdapterOptimizer {
 public:
  AdapterOptimizer(std::shared_ptr<const AdapterSpec> spec, const TrainJob& job);

  const OptimizerSettings& settings() const { return settings_; }
  // Adds the offset and the proximal pull, clears what isn't trained, clips. Returns the norm
  // before clipping. With a core the gradient begins with the cores', and the rest is cleared.
  double prepare(std::span<const float> values, std::span<float> gradient) const;
  // One step; `rate_factor` multiplies the learning rate.
  void update(std::span<const float> gradient, float rate_factor, std::span<float> values);
  // `values` are those that it updates: with them all that the next step depends on.
  TrainState state(std::span<const float> values) const {
    return {.values = values, .first_moment = first_, .second_moment = second_, .steps = steps_};
  }
  // TrainSession::restore() of one client.
  Result<void> restore(const TrainState& state, std::span<float> values);

 private:
  // Of B, what `move` does to its cores.
  void move_cores(std::span<float> values, const std::function<void(std::span<float>)>& move) const;

  std::shared_ptr<const AdapterSpec> spec_;
  OptimizerSettings settings_;
  std::shared_ptr<const Adapter> start_; // with a proximal pull
  std::shared_ptr<const std::vector<float>> offset_;
  std::shared_ptr<const CoreBasis> core_;
  std::vector<float> first_; // moments; of SGD the first is its momentum
  std::vector<float> second_;
  std::uint64_t steps_ = 0;
};

} // namespace coppice
