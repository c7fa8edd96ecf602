// SPDX-License-Identifier: Apache-2.0
#include "model/native/ceiling.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <numeric>
#include <vector>

#include "model/native/worker_pool.h"
#include "model/row_kernels.h"

namespace coppice::native {
namespace {

double seconds_now() {
  using std::chrono::duration;
  return duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// GFLOP/s of `height` rows over a panel of 128: 16 to 32 KiB of the panel, and the rows.
double tile_rate(const ProductKernels& kernels, std::size_t height, unsigned tries) {
  constexpr std::size_t kDepth = 128;
  constexpr std::size_t kParts = 40;       // between looks at the clock
  constexpr double kLongestSeconds = 0.05; // of a try, at levels that are slow
  const std::size_t repeats = 3'000 / height;
  Buffer rows(height * kDepth * kernels.element_bytes);
  Buffer panel(kernels.panel_bytes(kDepth));
  std::memset(rows.data(), 0, rows.size());
  std::memset(panel.data(), 0, panel.size());
  std::vector<float> out(height * kPanelColumns);
  const Segment segment{rows.data(), kDepth, kDepth, panel.data()};
  double best = 0;
  for (unsigned i = 0; i < tries; ++i) {
    const double before = seconds_now();
    double seconds = 0;
    std::size_t parts = 0;
    for (; parts < kParts && seconds < kLongestSeconds; ++parts) {
      for (std::size_t repeat = 0; repeat < repeats; ++repeat) {
        kernels.multiply(height, kPanelColumns, {&segment, 1}, out.data(), kPanelColumns, true);
      }
      seconds = seconds_now() - before;
    }
    const double flops =
        2.0 * static_cast<double>(height * kDepth * kPanelColumns * repeats * parts);
    best = std::max(best, flops / seconds / 1e9);
  }
  return best;
}

} // namespace

// The best of a tile as AVX-512 takes them, of 6 rows, and of what fills AMX's, of 16.
double tile_ceiling(const ProductKernels& kernels, unsigned tries) {
  return std::max(tile_rate(kernels, 6, tries), tile_rate(kernels, 48, tries));
}

Result<ProductCeiling> measure_product_ceiling(unsigned tries) {
  const CpuLevel level = COPPICE_TRY(choose_cpu_level());
  ProductCeiling ceiling;
  ceiling.f32_gflops = tile_ceiling(product_kernels(level, Precision::kFloat32), tries);
  const ProductKernels& bf16 = product_kernels(level, Precision::kBfloat16);
  if (bf16.precision == Precision::kBfloat16) ceiling.bf16_gflops = tile_ceiling(bf16, tries);
  return ceiling;
}

double measure_read_bandwidth(unsigned threads, unsigned tries) {
  constexpr std::size_t kBytes = std::size_t{512} << 20U;
  constexpr std::size_t kChunk = std::size_t{1} << 20U;
  Buffer memory(kBytes);
  std::memset(memory.data(), 1, memory.size());
  WorkerPool pool(threads);
  std::vector<float> sums(kBytes / kChunk);
  double best = 0;
  for (unsigned i = 0; i < tries; ++i) {
    const double before = seconds_now();
    pool.run(sums.size(), [&](std::size_t chunk, Scratch&) {
      sums[chunk] =
          maximum(memory.floats() + chunk * (kChunk / sizeof(float)), kChunk / sizeof(float));
    });
    best = std::max(best, static_cast<double>(kBytes) / (seconds_now() - before) / 1e9);
  }
  return std::accumulate(sums.begin(), sums.end(), 0.0F) < 0 ? 0 : best;
}

} // namespace coppice::native
