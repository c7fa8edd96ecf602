// SPDX-License-Identifier: Apache-2.0
// What this machine can do at best, measured beside the work: the ceilings of benchmarks in builds
// without LibTorch.
#pragma once

#include "base/result.h"
#include "model/native/product_kernels.h"

namespace coppice::native {

struct ProductCeiling {
  double f32_gflops = 0;  // 10^9 multiplications and additions a second, one thread
  double bf16_gflops = 0; // 0 where there is no bfloat16 product
};
// Our own tiles with operands that stay in the first-level cache: the best of `tries`.
Result<ProductCeiling> measure_product_ceiling(unsigned tries);

// Of one level's kernels, likewise in GFLOP/s.
double tile_ceiling(const ProductKernels& kernels, unsigned tries);

// 10^9 bytes a second that `threads` read together from memory that no cache holds: the best of
// `tries`. Takes 512 MiB.
double measure_read_bandwidth(unsigned threads, unsigned tries);

} // namespace coppice::native
