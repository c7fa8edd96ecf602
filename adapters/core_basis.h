// SPDX-License-Identifier: Apache-2.0
// The square core of B: what of a change of B lies in the span that B had when a round began.
//
// Note [Square core]
// Fed-SB (Singhal et al. 2025) trains and averages only R in W + s B R A, r x r, between factors
// that all devices hold alike. Here the adapter stays an adapter: with U an orthonormal basis of
// the span of the release's B (out x r), a device changes B by U C alone, and the r x r matrix C,
// its core, is all that it sends. U follows from the release's bytes, so nothing is sent for it
// either. The mean of cores is that of the products, mean(U C_k) A = mean(U C_k A), and B stays in
// its span but for the rounding of releases. Where B has fewer than r directions, U goes on with
// those of single rows.
//
// The same bits on every processor: Gram-Schmidt in double, twice, in a fixed order. Immutable;
// thread-safe.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "adapters/adapter.h"

namespace coppice {

// Values of all cores of such a spec together, target after target, row-major (r, r).
std::size_t core_count(const AdapterSpec& spec);

class CoreBasis {
 public:
  explicit CoreBasis(const Adapter& release);

  const AdapterSpec& spec() const { return *spec_; }
  // A target's U, row-major (out, rank).
  std::span<const double> target(std::size_t number) const { return bases_[number]; }
  // C = U^T D of each target's B part D of `all`, in the order of Adapter::values().
  std::vector<double> cores(std::span<const float> all) const;
  // The inverse: U C in each B's place, zeros in each A's.
  std::vector<double> in_place(std::span<const double> cores) const;

 private:
  std::shared_ptr<const AdapterSpec> spec_;
  std::vector<std::vector<double>> bases_; // one a target
};

} // namespace coppice
