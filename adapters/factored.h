// SPDX-License-Identifier: Apache-2.0
// What LoRA does to one layer, as a product of thin factors: scale * B A, with B (out, rank) and
// A (rank, in). A round's update is a sum of such products, one a client; none of the functions
// here or in adapters/factored_svd.h, factored_mean.h and factored_rank.h ever forms the (out, in)
// matrix. Work and memory are one layer's; callers go through an adapter layer by layer.
//
// Factors are float32, row-major, as in an Adapter. Sums run in double, in the order of the
// arguments and on one thread, so the same arguments give the same bits. A product of rank 0 is the
// zero matrix. Thread-safe on different data.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "adapters/adapter.h"
#include "base/result.h"

namespace coppice {

// scale * B A; whoever owns the factors must outlive it.
struct ProductView {
  std::size_t out = 0;
  std::size_t in = 0;
  std::size_t rank = 0;
  std::span<const float> b; // (out, rank)
  std::span<const float> a; // (rank, in)
  double scale = 1;         // alpha / r, times the client's weight
};

// B A, everything folded in.
struct Product {
  std::size_t out = 0;
  std::size_t in = 0;
  std::size_t rank = 0;
  std::vector<float> b; // (out, rank)
  std::vector<float> a; // (rank, in)

  ProductView view(double scale = 1) const;
};

// weight * scale * B A of one target of an adapter.
ProductView product_of(const Adapter& adapter, std::size_t target, double weight = 1);

// Checks a sum's parts: at least one, of one shape, spans of the size that the shape says, finite
// scales and values. kInvalidArgument, naming the part.
Result<void> validate_parts(std::span<const ProductView> parts);

// The sum itself, as one product of the summed rank (FLoRA, Wang et al. 2024, arXiv 2409.05976):
//   B = [B_1 .. B_k],  A = [s_1 A_1; ..; s_k A_k].
// Exact but for one rounding to float32 where a scale multiplies A. kInvalidArgument as
// validate_parts.
Result<Product> stacked(std::span<const ProductView> parts);

// The first `rank` columns of B and rows of A; zeros where there are fewer.
Product resized(const Product& product, std::size_t rank);

// <X, Y> = sum of X_ij Y_ij, from Gram matrices: sum over k, l of (B_x^T B_y)_kl (A_x A_y^T)_kl.
// rank_x * rank_y * (out + in) steps. Off by at most 1e-12 of |B_x| |A_x| |B_y| |A_y| and scales
// for up to 10,000 columns. Shapes must be equal (checked).
double inner_product(const ProductView& x, const ProductView& y);

} // namespace coppice
