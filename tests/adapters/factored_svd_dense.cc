// SPDX-License-Identifier: Apache-2.0
#include "tests/adapters/factored_svd_dense.h"

#include <Eigen/SVD>
#include <cmath>

#include "base/random.h"

namespace coppice {
namespace {

using Dense = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

} // namespace

DenseMatrix dense_sum(std::span<const ProductView> parts) {
  const std::size_t out = parts.front().out;
  const std::size_t in = parts.front().in;
  DenseMatrix sum(out * in, 0.0);
  for (const ProductView& part : parts) {
    for (std::size_t row = 0; row < out; ++row) {
      for (std::size_t k = 0; k < part.rank; ++k) {
        const double left = part.scale * static_cast<double>(part.b[row * part.rank + k]);
        for (std::size_t column = 0; column < in; ++column) {
          sum[row * in + column] += left * static_cast<double>(part.a[k * in + column]);
        }
      }
    }
  }
  return sum;
}

DenseMatrix dense_product(const ProductView& part) { return dense_sum(std::span(&part, 1)); }

double dense_norm(const DenseMatrix& matrix) {
  double squared = 0;
  for (const double value : matrix) squared += value * value;
  return std::sqrt(squared);
}

double dense_distance(const DenseMatrix& left, const DenseMatrix& right) {
  DenseMatrix difference(left);
  for (std::size_t i = 0; i < left.size(); ++i) difference[i] -= right[i];
  return dense_norm(difference);
}

std::vector<double> dense_singular_values(const DenseMatrix& matrix, std::size_t out,
                                          std::size_t in) {
  const Eigen::Map<const Dense> dense(matrix.data(), static_cast<Eigen::Index>(out),
                                      static_cast<Eigen::Index>(in));
  const Eigen::VectorXd values = Eigen::JacobiSVD<Eigen::MatrixXd>(dense).singularValues();
  return {values.begin(), values.end()};
}

Product random_product(std::size_t out, std::size_t in, std::size_t rank, std::uint64_t seed) {
  Product product{.out = out, .in = in, .rank = rank, .b = {}, .a = {}};
  product.b.resize(out * rank);
  product.a.resize(rank * in);
  KeyedRandom random({.experiment = seed});
  for (float& value : product.b) value = 2.0F * random.uniform_float() - 1.0F;
  for (float& value : product.a) value = 2.0F * random.uniform_float() - 1.0F;
  return product;
}

Product dyadic_product(std::size_t out, std::size_t in, std::size_t rank, std::uint64_t seed) {
  Product product = random_product(out, in, rank, seed);
  for (float& value : product.b) value = std::round(value * 256.0F) / 256.0F;
  for (float& value : product.a) value = std::round(value * 256.0F) / 256.0F;
  return product;
}

std::vector<ProductView> views(std::span<const Product> products, std::span<const double> scales) {
  std::vector<ProductView> result;
  for (std::size_t i = 0; i < products.size(); ++i) {
    result.push_back(products[i].view(scales[i]));
  }
  return result;
}

} // namespace coppice
