// SPDX-License-Identifier: Apache-2.0
#include "model/native/cross_entropy.h"

#include <cmath>

#include "model/native/row_blocks.h"
#include "model/row_kernels.h"

namespace coppice::native {
namespace {

// Rows at once: as many as have logits of 4 MiB, but enough that packing the head pays. Where it is
// kept packed, as many as stay in the second-level cache with their logits, in whole tiles of every
// instruction level.
constexpr std::size_t kChunkBytes = std::size_t{4} << 20U;
constexpr std::size_t kFewestRows = 64;
constexpr std::size_t kCachedBytes = std::size_t{800} << 10U;
constexpr std::size_t kTileRows = 48;

std::size_t chunk_rows(std::size_t vocabulary, std::size_t rows) {
  return std::min(rows, std::max(kFewestRows, kChunkBytes / (vocabulary * sizeof(float))));
}

std::size_t cached_rows(std::size_t vocabulary, std::size_t rows) {
  const std::size_t tiles = kCachedBytes / (kTileRows * vocabulary * sizeof(float));
  return std::min(rows, std::max<std::size_t>(tiles, 1) * kTileRows);
}

// Rows of a power of two would share few lines of a cache.
std::size_t logits_stride(std::size_t vocabulary) { return vocabulary + 16; }

} // namespace

void output_logits(WorkerPool& pool, const ProductKernels& kernels, const OutputHead& head,
                   const ElementRows& hidden, const FloatRows& logits) {
  forward_product(pool, kernels, {.x = hidden, .w = &head.weight}, logits);
  if (head.cap <= 0) return;
  for_rows(pool, hidden.rows,
           [&](std::size_t row, Scratch&) { cap_row(logits.row(row), head.cap, logits.columns); });
}

std::uint64_t cross_entropy_bytes(std::size_t vocabulary, std::size_t rows) {
  return chunk_rows(vocabulary, rows) * logits_stride(vocabulary) * sizeof(float);
}

void cross_entropy(WorkerPool& pool, const EngineKernels& engine_kernels, const OutputHead& head,
                   const CrossEntropy& work, Buffer& memory) {
  const ProductKernels& kernels = engine_kernels.fast; // of the way back
  const std::size_t vocabulary = head.weight.rows();
  const bool kept = head.weight.kept_for_forward(engine_kernels.precise, 0) != nullptr;
  const std::size_t chunk =
      kept ? cached_rows(vocabulary, work.hidden.rows) : chunk_rows(vocabulary, work.hidden.rows);
  const std::size_t stride = logits_stride(vocabulary);
  memory.reserve(chunk * stride * sizeof(float));
  for (std::size_t begin = 0; begin < work.hidden.rows; begin += chunk) {
    const std::size_t rows = std::min(chunk, work.hidden.rows - begin);
    const FloatRows logits{memory.floats(), rows, vocabulary, stride};
    output_logits(pool, engine_kernels.precise, head, work.hidden.row_range(begin, rows), logits);
    for_rows(pool, rows, [&](std::size_t i, Scratch& scratch) {
      float* row = logits.row(i);
      const auto target = static_cast<std::size_t>(work.targets[begin + i]);
      const double target_logit = row[target];
      float* slopes = nullptr;
      if (head.cap > 0 && !work.weights.empty()) {
        slopes = scratch.floats(Slot::kScores, vocabulary);
        cap_slope_row(row, head.cap, vocabulary, slopes);
      }
      const float top = maximum(row, vocabulary);
      if (!work.correct.empty()) {
        work.correct[begin + i] = is_first_maximum(row, target, top) ? 1 : 0;
      }
      const float sum = exponentiate_row(row, top, vocabulary);
      work.nats[begin + i] = std::log(double{sum}) + double{top} - target_logit;
      if (work.weights.empty()) return;
      const float weight = work.weights[begin + i];
      scale_row(row, weight / sum, vocabulary);
      row[target] -= weight;
      if (slopes != nullptr) multiply_row(row, slopes, vocabulary, row);
      // In place: an element is never wider than the float it was, and rows keep their places.
      kernels.from_float(row, vocabulary, reinterpret_cast<std::byte*>(row));
    });
    if (work.weights.empty()) continue;
    const BackwardTerm term{.dy = {.data = memory.data(),
                                   .rows = rows,
                                   .columns = vocabulary,
                                   .stride = stride * sizeof(float) / kernels.element_bytes,
                                   .bytes = kernels.element_bytes},
                            .w = &head.weight};
    backward_product(pool,
                     {kernels, {&term, 1}, nullptr, {}, work.d_hidden.row_range(begin, rows)});
  }
}

} // namespace coppice::native
