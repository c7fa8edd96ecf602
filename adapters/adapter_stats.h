// SPDX-License-Identifier: Apache-2.0
// How large an adapter is, module by module, and how far two adapters lie apart.
//
// Frobenius norms. Those of products come from the Gram matrices of the factors,
//   |B A|^2 = sum over i, j of (B^T B)_ij (A A^T)_ij,
// in r^2 (in + out) steps and r^2 memory; the product (out, in) itself is never formed. Sums are
// double. Pure functions; thread-safe.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "adapters/adapter.h"

namespace coppice {

struct TargetNorms {
  std::string tensor;
  double a = 0;       // |A|
  double b = 0;       // |B|
  double product = 0; // |scale B A|: how far the layer's weights are moved
};

// One entry a target, in the spec's order.
std::vector<TargetNorms> target_norms(const Adapter& adapter);

struct TargetDifference {
  std::string tensor;
  double left = 0;  // |s1 B1 A1|, 0 where the left adapter lacks the target
  double right = 0; // |s2 B2 A2|
  // |s1 B1 A1 - s2 B2 A2|: 0 for equal factors; off by at most 1e-7 of left + right where the
  // factors differ and their products nearly cancel.
  double difference = 0;
};

// One entry a target that either adapter has: the left's in its order, then those that only the
// right has. kInvalidArgument for targets of one name and different shapes.
Result<std::vector<TargetDifference>> target_differences(const Adapter& left, const Adapter& right);

} // namespace coppice
