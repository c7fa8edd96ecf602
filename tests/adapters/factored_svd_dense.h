// SPDX-License-Identifier: Apache-2.0
// The dense computation that the factored one must equal, for small layers: the (out, in) matrix in
// full, in double, with Eigen's two-sided Jacobi SVD (the code under test uses another of Eigen's).
#pragma once

#include <span>
#include <vector>

#include "adapters/factored.h"

namespace coppice {

using DenseMatrix = std::vector<double>; // (out, in), row-major

DenseMatrix dense_sum(std::span<const ProductView> parts);
DenseMatrix dense_product(const ProductView& part);
double dense_norm(const DenseMatrix& matrix);
double dense_distance(const DenseMatrix& left, const DenseMatrix& right);
// Falling; min(out, in) of them.
std::vector<double> dense_singular_values(const DenseMatrix& matrix, std::size_t out,
                                          std::size_t in);

// Values in [-1, 1).
Product random_product(std::size_t out, std::size_t in, std::size_t rank, std::uint64_t seed);
// Multiples of 1/256 in [-1, 1]: averages of 2, 4 or 8 such are exact in float32.
Product dyadic_product(std::size_t out, std::size_t in, std::size_t rank, std::uint64_t seed);
// One view a product, with its scale.
std::vector<ProductView> views(std::span<const Product> products, std::span<const double> scales);

} // namespace coppice
