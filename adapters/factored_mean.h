// SPDX-License-Identifier: Apache-2.0
// Averages of LoRA factors of one layer, and what they miss of the average of the products.
//
// mean(B) mean(A) is not mean(B A): the gap is the covariance of the factors across clients,
//   sum p_i B_i A_i - Bbar Abar = sum p_i (B_i - Bbar) (A_i - Abar)   for weights p of sum 1.
// Sums run in double, in the order of the arguments; a product is one layer's of one client, a view
// as in adapters/factored.h with scale = alpha / r and no weight in it. Thread-safe.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "adapters/factored.h"

namespace coppice {

// HetLoRA's weights (Cho et al. 2024, arXiv 2401.06432, "sparsity-weighted"): each client's share
// of the norms, |s_i B_i A_i| / sum of them; equal weights where all are zero. kInvalidArgument as
// validate_parts.
Result<std::vector<double>> norm_weights(std::span<const ProductView> clients);

// Factor averages for an adapter of rank `rank` and scale `scale`, ranks of clients mixed:
//   A = sum p_i pad(A_i),  B = sum p_i pad(s_i / scale B_i),
// pad appending zero rows or columns, or cutting those past `rank` (HetLoRA). With equal ranks and
// scales that is FedIT's average. The quotient keeps a client's s_i B_i A_i what it was when its
// alpha / r isn't the server's. The result holds no scale. kInvalidArgument as validate_parts, for
// weights that aren't one a client, finite and non-negative with a sum above 0 (they are divided by
// it), and for a scale that isn't finite and positive.
Result<Product> padded_mean(std::span<const ProductView> clients, std::span<const double> weights,
                            std::size_t rank, double scale);

// FedEx-LoRA (Singhal et al. 2025, arXiv 2410.09432): averaged factors, and the residual that they
// miss as a second frozen product, so that base + patch + scale * mean is the average of the
// clients' layers. The paper adds the dense residual to the base; a quantized base would round
// it away, so it stays factors here.
struct FedexUpdate {
  Product mean;               // Bbar Abar, without the scale
  Product patch;              // scale folded in; rank = min(cap, the residual's own rank)
  double residual_energy = 0; // |residual|^2, before the cap
  double mean_energy = 0;     // |sum p_i s B_i A_i|^2: what the residual is a part of
  double dropped_energy = 0;  // share of residual_energy that the cap left out
};
// Clients must have one rank and one scale; the residual has rank R at most, R the sum of theirs
// and the mean's. kInvalidArgument as padded_mean and recompress.
Result<FedexUpdate> fedex_update(std::span<const ProductView> clients,
                                 std::span<const double> weights, std::size_t patch_rank);

// HetLoRA's self-pruning. A client of rank r that may shrink to `kept` watches the rest,
//   |B_{:, kept..}| |A_{kept.., :}|,
// adds it to its loss, and shrinks where training left it smaller than it was. kept <= rank
// (checked).
double tail_norm(const ProductView& product, std::size_t kept);

} // namespace coppice
