// SPDX-License-Identifier: Apache-2.0
#include "model/native/product_kernels.h"

namespace coppice::native {

const ProductKernels& product_kernels(CpuLevel level, Precision precision) {
#if defined(__x86_64__)
  switch (level) {
    case CpuLevel::kAmx:
      if (precision == Precision::kBfloat16) return levels::kAmxBfloat16;
      if (precision == Precision::kSplit) return levels::kAmxSplit;
      return levels::kAvx512Float32;
    case CpuLevel::kAvx512:
      if (precision == Precision::kBfloat16 && prefers_bfloat16_products()) {
        return levels::kAvx512Bfloat16;
      }
      return levels::kAvx512Float32;
    case CpuLevel::kAvx2: return levels::kAvx2Float32;
    default: break;
  }
#elif defined(__aarch64__)
  if (level == CpuLevel::kNeon) {
    return precision == Precision::kBfloat16 && has_bfloat16_products() ? levels::kNeonBfloat16
                                                                        : levels::kNeonFloat32;
  }
#endif
  // The scalar reference has all, so that they can be compared everywhere.
  if (level == CpuLevel::kScalar && precision == Precision::kBfloat16) {
    return levels::kScalarBfloat16;
  }
  if (level == CpuLevel::kScalar && precision == Precision::kSplit) return levels::kScalarSplit;
  return levels::kScalarFloat32;
}

} // namespace coppice::native
