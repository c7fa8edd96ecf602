// SPDX-License-Identifier: Apache-2.0
// An adapter at another rank: what a client of a smaller class receives, what a server pads to.
//
// Thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "adapters/adapter.h"

namespace coppice {

enum class RankCut {
  kPrefix, // the first columns of B and rows of A (HetLoRA; the best cut only for sorted factors)
  kBest,   // the best approximation of that rank; the factors become others, of equal norm
};

struct RankChange {
  Adapter adapter;
  // One a target: |s B A - s' B' A'|^2 / |s B A|^2, 0 where nothing is cut or the product is zero.
  // Above 1 is possible for a prefix whose rest was cancelling it.
  std::vector<double> lost_energy;
};

// The same adapter with `rank` for every target; alpha stays, so its scale becomes s' = alpha / r'
// (or alpha / sqrt r'), and B is multiplied by s / s' to leave s B A as it was, to float32.
// A target that grows gets zero columns of B. Its new rows of A are zero as well, and then learn
// nothing; with `seed` they are those of Adapter::initial, and do.
// kInvalidArgument for a rank that the spec can't have, or values that aren't finite.
Result<RankChange> with_rank(const Adapter& adapter, std::uint32_t rank, RankCut cut,
                             std::optional<std::uint64_t> seed = std::nullopt);

} // namespace coppice
