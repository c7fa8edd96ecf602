// SPDX-License-Identifier: Apache-2.0
// How far clients pull apart: angles between single deltas and their mean, and what averaging the
// factors loses against averaging the products. Pure; thread-safe.
#pragma once

#include <span>
#include <vector>

#include "adapters/adapter.h"

namespace coppice {

struct DeltaSpread {
  double cosine_mean = 0; // of each delta with the deltas' mean
  double cosine_p10 = 0;
  double cosine_p90 = 0;
  // |mean(B A) - mean(B) mean(A)| / |mean(B A)| over all targets together, with A and B after
  // training: `start` plus each delta. Frobenius; products are never formed.
  double product_gap = 0;
};

// At least two deltas, in `start`'s order of values.
DeltaSpread delta_spread(const Adapter& start, std::span<const std::vector<float>> deltas);

} // namespace coppice
