// SPDX-License-Identifier: Apache-2.0
// Which instructions the engine's kernels may use, found out at run time.
//
// COPPICE_ENGINE_CPU=scalar|avx2|avx512|amx|neon forces one. Thread-safe.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace coppice::native {

enum class CpuLevel : std::uint8_t {
  kScalar, // plain C++
  kNeon,   // arm64: NEON; bfloat16 and int8 products where the processor has BF16 and DotProd
  kAvx2,   // AVX2, FMA and F16C
  kAvx512, // AVX-512 F, BW, DQ, VL and VNNI; bfloat16 products where they are faster than float32's
  kAmx,    // the above, and bfloat16 products in AMX tiles
};

std::string_view cpu_level_name(CpuLevel level); // "scalar", "neon", ...
// What this processor and its operating system support, ascending; kScalar is always there.
std::vector<CpuLevel> supported_cpu_levels();
// Whether VDPBF16PS (x86) or BFDOT (arm64) is there besides.
bool has_bfloat16_products();
// Whether they are faster than float32's at the level of plain vectors. Note [Slow dot products]
// Sapphire Rapids and its successors, told by AVX512_FP16 of Intel's, split VDPBF16PS so that it
// does 0.6 times the work of float32's FMA: theirs are the tiles. Zen 4 and Cooper Lake do twice
// FMA's. By CPUID, not by a clock: what is chosen decides the bits, which must repeat.
bool prefers_bfloat16_products();
// Whether SDOT (arm64) is there besides; x86's levels have their own by definition.
bool has_int8_dot_products();
// The highest, or what COPPICE_ENGINE_CPU says: kInvalidArgument for a name that isn't one,
// kUnavailable for a level that this machine hasn't.
Result<CpuLevel> choose_cpu_level();

} // namespace coppice::native
