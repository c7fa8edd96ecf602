// SPDX-License-Identifier: Apache-2.0
#include "adapters/factored_svd.h"

#define EIGEN_DONT_PARALLELIZE // results must not depend on a number of threads
#include <Eigen/QR>
#include <Eigen/SVD>
#include <algorithm>
#include <cmath>
#include <limits>

#include "base/text.h"

namespace coppice {
namespace {

using Matrix = Eigen::MatrixXd;
using Index = Eigen::Index;
using RowMajorFloats = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using FloatView = Eigen::Map<const RowMajorFloats>;

Index index(std::size_t size) { return static_cast<Index>(size); }

// Eigen cuts products into blocks that fit the caches it finds, and so adds in an order that
// depends on the processor. These sizes are those of a small one.
void fix_block_sizes() {
  static const bool done = [] {
    Eigen::setCpuCacheSizes(32 * 1024, 512 * 1024, 2 * 1024 * 1024);
    return true;
  }();
  static_cast<void>(done);
}

FloatView b_of(const ProductView& part) {
  return {part.b.data(), index(part.out), index(part.rank)};
}
FloatView a_of(const ProductView& part) {
  return {part.a.data(), index(part.rank), index(part.in)};
}

// A matrix that becomes its own Householder QR.
class ThinQr {
 public:
  explicit ThinQr(Matrix matrix) : matrix_(std::move(matrix)), qr_(matrix_) {}
  ThinQr(const ThinQr&) = delete;
  ThinQr& operator=(const ThinQr&) = delete;

  // (min(rows, columns), columns), upper triangular
  Matrix triangle() const {
    const Index rows = std::min(matrix_.rows(), matrix_.cols());
    return matrix_.topRows(rows).triangularView<Eigen::Upper>();
  }
  // Q small: (rows, columns of small), where small has the triangle's rows.
  Matrix times_q(const Matrix& small) const {
    Matrix result = Matrix::Zero(matrix_.rows(), small.cols());
    result.topRows(small.rows()) = small;
    result.applyOnTheLeft(qr_.householderQ());
    return result;
  }

 private:
  Matrix matrix_;
  Eigen::HouseholderQR<Eigen::Ref<Matrix>> qr_;
};

// Note [Thin core]. Parts must be valid.
struct ThinCore {
  ThinQr left;  // [B_1 .. B_k], (out, R)
  ThinQr right; // [s_1 A_1; ..]^T, (in, R)
  Matrix core;  // (min(out, R), min(in, R))

  explicit ThinCore(std::span<const ProductView> parts)
      : left(left_stack(parts)), right(right_stack(parts)) {
    core.noalias() = left.triangle() * right.triangle().transpose();
  }
  // A singular value below this is what rounding makes of a zero.
  double noise() const {
    return std::numeric_limits<double>::epsilon() * static_cast<double>(core.rows() + core.cols()) *
           left.triangle().norm() * right.triangle().norm();
  }

 private:
  static Index total_rank(std::span<const ProductView> parts) {
    std::size_t total = 0;
    for (const ProductView& part : parts) total += part.rank;
    return index(total);
  }
  static Matrix left_stack(std::span<const ProductView> parts) {
    Matrix stack(index(parts.front().out), total_rank(parts));
    Index at = 0;
    for (const ProductView& part : parts) {
      stack.middleCols(at, index(part.rank)) = b_of(part).cast<double>();
      at += index(part.rank);
    }
    return stack;
  }
  static Matrix right_stack(std::span<const ProductView> parts) {
    Matrix stack(index(parts.front().in), total_rank(parts));
    Index at = 0;
    for (const ProductView& part : parts) {
      stack.middleCols(at, index(part.rank)) = part.scale * a_of(part).cast<double>().transpose();
      at += index(part.rank);
    }
    return stack;
  }
};

// Float32 factors can't overflow a double, but scales can.
Result<void> check_core(const Matrix& core) {
  if (core.allFinite()) return {};
  return Error{ErrorCode::kInvalidArgument,
               "the sum of the products overflows; a scale among them is too large"};
}

bool no_rank(std::span<const ProductView> parts) {
  return std::ranges::all_of(parts, [](const ProductView& part) { return part.rank == 0; });
}

// The largest entry of each left vector becomes positive.
void fix_signs(Matrix& u, Matrix& v) {
  for (Index k = 0; k < u.cols(); ++k) {
    Index largest = 0;
    u.col(k).cwiseAbs().maxCoeff(&largest);
    if (u(largest, k) < 0) {
      u.col(k) *= -1;
      v.col(k) *= -1;
    }
  }
}

// u: (out, rank), v: (in, rank), both with orthonormal columns.
Result<Product> balanced(Matrix& u, Matrix& v, std::span<const double> values, Balance balance) {
  for (Index k = 0; k < u.cols(); ++k) {
    const double value = values[static_cast<std::size_t>(k)];
    const double left = balance == Balance::kSplit  ? std::sqrt(value)
                        : balance == Balance::kLeft ? value
                                                    : 1.0;
    const double right = balance == Balance::kSplit   ? std::sqrt(value)
                         : balance == Balance::kRight ? value
                                                      : 1.0;
    u.col(k) *= left;
    v.col(k) *= right;
  }
  const double largest = std::max(u.cwiseAbs().maxCoeff(), v.cwiseAbs().maxCoeff());
  if (!(largest <= static_cast<double>(std::numeric_limits<float>::max()))) {
    return Error{ErrorCode::kInvalidArgument,
                 cat("the sum's factors reach ", largest,
                     ", which float32 can't hold; leave out the update that is so large")};
  }
  Product product{.out = static_cast<std::size_t>(u.rows()),
                  .in = static_cast<std::size_t>(v.rows()),
                  .rank = static_cast<std::size_t>(u.cols()),
                  .b = std::vector<float>(static_cast<std::size_t>(u.size())),
                  .a = std::vector<float>(static_cast<std::size_t>(v.size()))};
  Eigen::Map<RowMajorFloats>(product.b.data(), u.rows(), u.cols()) = u.cast<float>();
  Eigen::Map<RowMajorFloats>(product.a.data(), v.cols(), v.rows()) = v.transpose().cast<float>();
  return product;
}

} // namespace

Result<Recompressed> recompress(std::span<const ProductView> parts, std::size_t rank,
                                Balance balance) {
  COPPICE_TRY(validate_parts(parts));
  fix_block_sizes();
  Recompressed result;
  result.product.out = parts.front().out;
  result.product.in = parts.front().in;
  if (no_rank(parts)) return result;
  const ThinCore thin(parts);
  COPPICE_TRY(check_core(thin.core));
  const Eigen::BDCSVD<Matrix> svd(thin.core, Eigen::ComputeThinU | Eigen::ComputeThinV);
  const double noise = thin.noise();
  for (const double value : svd.singularValues()) {
    result.singular_values.push_back(value > noise ? value : 0.0);
  }
  const std::size_t kept = std::min(rank, result.singular_values.size());
  double dropped = 0;
  for (std::size_t k = result.singular_values.size(); k-- > 0;) { // small ones first
    const double value = result.singular_values[k];
    if (value > 0) ++result.numerical_rank;
    result.energy += value * value;
    if (k == kept) dropped = result.energy;
  }
  if (result.energy > 0) result.dropped_energy = dropped / result.energy;
  if (kept == 0) return result;
  Matrix u = thin.left.times_q(svd.matrixU().leftCols(index(kept)));
  Matrix v = thin.right.times_q(svd.matrixV().leftCols(index(kept)));
  fix_signs(u, v);
  result.product = COPPICE_TRY(balanced(u, v, result.singular_values, balance));
  return result;
}

Result<double> sum_norm(std::span<const ProductView> parts) {
  COPPICE_TRY(validate_parts(parts));
  fix_block_sizes();
  if (no_rank(parts)) return 0.0;
  const ThinCore thin(parts);
  COPPICE_TRY(check_core(thin.core));
  return thin.core.norm();
}

Result<SquareCore> square_core_of(std::span<const ProductView> parts, std::size_t rank) {
  Recompressed best = COPPICE_TRY(recompress(parts, rank, Balance::kRight));
  SquareCore result{.basis = std::move(best.product), .core = {}};
  const std::size_t r = result.basis.rank;
  result.core.assign(r * r, 0.0);
  for (std::size_t k = 0; k < r; ++k) {
    const double value = best.singular_values[k];
    if (!(value > 0)) {
      return Error{ErrorCode::kInvalidArgument,
                   cat("the sum has rank ", k, ": it gives no basis of rank ", r,
                       "; ask for a smaller rank, or sum over more updates")};
    }
    result.core[k * r + k] = value;
    for (float& entry : std::span(result.basis.a).subspan(k * result.basis.in, result.basis.in)) {
      entry = static_cast<float>(static_cast<double>(entry) / value);
    }
  }
  return result;
}

Result<std::vector<double>> projected_core(const Product& basis,
                                           std::span<const ProductView> parts) {
  std::vector<ProductView> all(parts.begin(), parts.end());
  all.push_back(basis.view());
  COPPICE_TRY(validate_parts(all));
  fix_block_sizes();
  const Matrix b = b_of(all.back()).cast<double>();
  const Matrix a = a_of(all.back()).cast<double>();
  const Index r = b.cols();
  std::vector<double> core(basis.rank * basis.rank, 0.0);
  Eigen::Map<Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>> sum(
      core.data(), r, r);
  for (const ProductView& part : parts) {
    const Matrix left = b.transpose() * b_of(part).cast<double>();
    const Matrix right = a_of(part).cast<double>() * a.transpose();
    sum += part.scale * (left * right);
  }
  return core;
}

std::size_t svd_scratch_bytes(std::size_t out, std::size_t in, std::size_t total_rank,
                              std::size_t rank) {
  const std::size_t small = std::min(total_rank, std::max(out, in));
  // Both stacks; both sets of vectors and what applying Q to them takes (a block of 48 reflectors
  // at most, and its product); triangles, core and its SVD's own; packed blocks of products.
  const std::size_t doubles = (out + in) * (total_rank + 2 * std::min(rank, small)) +
                              12 * small * std::max(small, total_rank);
  return doubles * sizeof(double) + (std::size_t{4} << 20U);
}

} // namespace coppice
