// SPDX-License-Identifier: Apache-2.0
// The second symbol of libcoppice_graph.so: how fast LibTorch multiplies on one core of this
// machine.
#include <ATen/ops/linear.h>
#include <ATen/ops/ones.h>

#include <algorithm>
#include <chrono>

#include "model/engine_module.h"
#include "model/graph/guard.h"

namespace coppice::graph {
namespace {

constexpr std::int64_t kRows = 512;
constexpr std::int64_t kInner = 2048;
constexpr std::int64_t kColumns = 2048;

double best_gflops(at::ScalarType type, unsigned tries) {
  using Clock = std::chrono::steady_clock;
  const at::Tensor input = at::ones({kRows, kInner}, type);
  const at::Tensor weight = at::ones({kColumns, kInner}, type);
  double best = 0;
  for (unsigned i = 0; i < tries; ++i) {
    const auto before = Clock::now();
    const at::Tensor product = at::linear(input, weight);
    const double seconds = std::chrono::duration<double>(Clock::now() - before).count();
    const double work = 2.0 * static_cast<double>(kRows * kInner * kColumns);
    best = std::max(best, work / seconds / 1e9);
  }
  return best;
}

Result<LinearCeiling> measure(unsigned tries) {
  return guarded([tries]() -> Result<LinearCeiling> {
    return LinearCeiling{.f32_gflops = best_gflops(at::kFloat, tries),
                         .bf16_gflops = best_gflops(at::kBFloat16, tries)};
  });
}

} // namespace
} // namespace coppice::graph

// Signature of coppice::MeasureGraphCeiling. True: *ceiling is set; false: *error is.
extern "C" __attribute__((visibility("default"))) bool coppice_graph_ceiling(
    unsigned tries, coppice::LinearCeiling* ceiling, coppice::Error* error) {
  auto made = coppice::graph::measure(tries);
  if (!made) {
    *error = std::move(made).error();
    return false;
  }
  *ceiling = *made;
  return true;
}
static_assert(std::is_same_v<decltype(coppice_graph_ceiling), coppice::MeasureGraphCeiling>);
