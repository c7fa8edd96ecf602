// SPDX-License-Identifier: Apache-2.0
// Singular values of a sum of LoRA products, without the (out, in) matrix.
//
// Note [Thin core]: with all parts side by side, sum s_i B_i A_i = L R^T, where L = [B_1 ..] is
// (out, R) and R^T = [s_1 A_1; ..]. From thin QR of both, L = Q_l C_l and R = Q_r C_r, the sum is
// Q_l (C_l C_r^T) Q_r^T: its singular values are those of the small core C_l C_r^T, at most R x R.
// Householder QR and the SVD run in double. Time R^2 (out + in) + R^3. Scratch: svd_scratch_bytes,
// about twice what the parts themselves take in float32; freed on return.
//
// Repeatable: singular values come in falling order; each left vector's largest entry (the first of
// equals) is positive, and its right vector follows. One program gives the same bits on every
// processor: Eigen's block sizes are fixed here instead of read off the caches. Builds for another
// instruction set or with another Eigen add in another order, and may differ in the last bits;
// where singular values are equal, their vectors may then differ altogether, never the sum over
// them. Thread-safe.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "adapters/factored.h"

namespace coppice {

// Which factor carries the singular values of U S V^T.
enum class Balance {
  kSplit, // B = U sqrt(S), A = sqrt(S) V^T: factors of equal norm, as training leaves them
  kLeft,  // B = U S, A = V^T: rows of A are orthonormal, where S is 0 too, so they can still learn
  kRight, // B = U, A = S V^T
};

struct Recompressed {
  Product product; // best of its rank (Eckart and Young 1936); rank = min(asked, R, out, in)
  // Of the whole sum, falling, min(R, out, in) of them. Those that double rounding explains are 0.
  std::vector<double> singular_values;
  std::size_t numerical_rank = 0; // singular values above 0
  double energy = 0;              // |sum|^2, Frobenius
  double dropped_energy = 0;      // squared singular values left out / energy; 0 for a zero sum
};

// The sum's best approximation of `rank` (FlexLoRA, Bai et al. 2024, arXiv 2402.11505; there from
// the dense sum). A prefix of the result is the best approximation of the smaller rank, so one call
// serves clients of all ranks (resized, adapters/factored.h). Beside the dropped energy the result
// is off by one rounding to float32 a value.
// kInvalidArgument as validate_parts, and where the sum overflows a double or the result a float32.
Result<Recompressed> recompress(std::span<const ProductView> parts, std::size_t rank,
                                Balance balance);

// |sum s_i B_i A_i|, Frobenius, off by 1e-13 of |L| |R|: parts that cancel keep their digits, which
// Gram matrices would lose at 1e-8. kInvalidArgument as validate_parts, and for a sum that
// overflows.
Result<double> sum_norm(std::span<const ProductView> parts);

// B R A with fixed orthonormal B and A, where only the square R learns (LoRA-SB and Fed-SB, Singhal
// et al. 2025, arXiv 2502.15436).
struct SquareCore {
  Product basis;            // B (out, r) with B^T B = I, A (r, in) with A A^T = I, to float32
  std::vector<double> core; // (r, r), row-major
};
// Basis and core of the sum's best approximation of `rank`: B = U, R = S, A = V^T. Errors as
// recompress.
Result<SquareCore> square_core_of(std::span<const ProductView> parts, std::size_t rank);
// The core nearest to the sum under a given orthonormal basis: R = sum s_i (B^T B_i) (A_i A^T),
// (r, r). kInvalidArgument as validate_parts, the basis among the parts.
Result<std::vector<double>> projected_core(const Product& basis,
                                           std::span<const ProductView> parts);

// What recompress takes at its peak beside its arguments and its result, bytes; an upper bound.
std::size_t svd_scratch_bytes(std::size_t out, std::size_t in, std::size_t total_rank,
                              std::size_t rank);

} // namespace coppice
