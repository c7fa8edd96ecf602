// SPDX-License-Identifier: Apache-2.0
#include "model/native/cpu_level.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string>

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "base/text.h"

namespace coppice::native {
namespace {

struct NamedLevel {
  CpuLevel level;
  std::string_view name;
};
constexpr std::array kLevels{
    NamedLevel{CpuLevel::kScalar, "scalar"}, NamedLevel{CpuLevel::kNeon, "neon"},
    NamedLevel{CpuLevel::kAvx2, "avx2"}, NamedLevel{CpuLevel::kAvx512, "avx512"},
    NamedLevel{CpuLevel::kAmx, "amx"}};

#if defined(__x86_64__)
bool has_avx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
         __builtin_cpu_supports("f16c");
}

bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512vnni");
}

// Bits of EDX in CPUID leaf 7.
constexpr unsigned kAmxBf16 = 1U << 22U;
constexpr unsigned kAvx512Fp16 = 1U << 23U;
constexpr unsigned kAmxTile = 1U << 24U;

bool has_extended(unsigned bits) {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (d & bits) == bits;
}

bool is_intel() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid(0, &a, &b, &c, &d) != 0 && b == signature_INTEL_ebx &&
         c == signature_INTEL_ecx && d == signature_INTEL_edx;
}

// Linux gives a process the tile registers only when it asks (Documentation/arch/x86/xstate).
bool may_use_tiles() {
#if defined(__linux__)
  constexpr long kRequestPermission = 0x1023; // ARCH_REQ_XCOMP_PERM
  constexpr long kTileData = 18;
  static const bool allowed = syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  return allowed;
#else
  return false;
#endif
}
#endif

} // namespace

std::string_view cpu_level_name(CpuLevel level) {
  return std::ranges::find(kLevels, level, &NamedLevel::level)->name;
}

bool has_bfloat16_products() {
#if defined(__x86_64__)
  return has_avx512() && __builtin_cpu_supports("avx512bf16");
#elif defined(__aarch64__) && defined(__linux__)
  return (getauxval(AT_HWCAP2) & HWCAP2_BF16) != 0;
#else
  return false;
#endif
}

bool prefers_bfloat16_products() {
#if defined(__x86_64__)
  return has_bfloat16_products() && !(is_intel() && has_extended(kAvx512Fp16));
#else
  return has_bfloat16_products();
#endif
}

bool has_int8_dot_products() {
#if defined(__aarch64__) && defined(__linux__)
  return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
#else
  return false;
#endif
}

std::vector<CpuLevel> supported_cpu_levels() {
  std::vector<CpuLevel> levels{CpuLevel::kScalar};
#if defined(__x86_64__)
  if (has_avx2()) levels.push_back(CpuLevel::kAvx2);
  if (has_avx512()) levels.push_back(CpuLevel::kAvx512);
  if (has_bfloat16_products() && has_extended(kAmxBf16 | kAmxTile) && may_use_tiles()) {
    levels.push_back(CpuLevel::kAmx);
  }
#elif defined(__aarch64__)
  levels.push_back(CpuLevel::kNeon);
#endif
  return levels;
}

Result<CpuLevel> choose_cpu_level() {
  const std::vector<CpuLevel> levels = supported_cpu_levels();
  const char* wanted = std::getenv("COPPICE_ENGINE_CPU");
  if (wanted == nullptr || *wanted == '\0') return levels.back();
  std::vector<std::string> names;
  for (const CpuLevel level : levels) names.emplace_back(cpu_level_name(level));
  const auto named = std::ranges::find(kLevels, std::string_view(wanted), &NamedLevel::name);
  if (named == kLevels.end()) {
    return Error{ErrorCode::kInvalidArgument,
                 cat("COPPICE_ENGINE_CPU is ", wanted, "; this machine has ", join(names, ", "))};
  }
  if (std::ranges::find(levels, named->level) == levels.end()) {
    return Error{ErrorCode::kUnavailable,
                 cat("COPPICE_ENGINE_CPU is ", wanted, ", which this processor can't do; it has ",
                     join(names, ", "))};
  }
  return named->level;
}

} // namespace coppice::native
