// SPDX-License-Identifier: Apache-2.0
// The products of frozen quantized linear layers with LoRA, forward and backward.
//
// A task has some columns of the result to itself: it packs the weights that they need, once for
// all tokens, and multiplies.
#pragma once

#include <algorithm>
#include <array>
#include <span>

#include "model/native/lora.h"
#include "model/native/weight_matrix.h"

namespace coppice::native {

// Weights packed at once, so that a panel stays in the second-level cache.
inline constexpr std::size_t kDepthChunk = 2048;
inline constexpr std::size_t kBackwardDepthChunk = 512;

// What the panels of a forward product are made of: y = x W^T, plus the module's LoRA by h where
// `lora` has some. `lora_row` is W's first row among the module's, where W is a part of it.
struct ForwardTerm {
  ElementRows x;
  const WeightMatrix* w = nullptr;
  const LoraGroup* lora = nullptr;
  std::size_t module = 0;
  std::size_t lora_row = 0;
  const LoraHidden* h = nullptr;
};

// tile (T, tile.columns) = columns [column, column + tile.columns) of y; at most 64.
inline void forward_panel(const ProductKernels& kernels, const ForwardTerm& term,
                          std::size_t column, const FloatRows& tile, Scratch& scratch) {
  const WeightMatrix& w = *term.w;
  const std::size_t count = tile.columns;
  const std::byte* const kept = w.kept_for_forward(kernels, column);
  for (std::size_t at = 0; at < w.columns(); at += kDepthChunk) {
    const std::size_t depth = std::min(kDepthChunk, w.columns() - at);
    const std::byte* panel = kept != nullptr ? kept + kernels.panel_bytes(at) : nullptr;
    if (kept == nullptr) {
      std::byte* const packed = scratch.bytes(Slot::kPanel, kernels.panel_bytes(depth));
      w.pack_for_forward(kernels, column, count, at, depth, scratch, packed);
      panel = packed;
    }
    const bool last = at + depth == w.columns();
    const Segment segments[2] = {
        {.rows = term.x.at(0, at),
         .stride = term.x.stride,
         .depth = depth,
         .panel = panel,
         .followed = kept != nullptr},
        last && term.lora != nullptr
            ? term.lora->forward_segment(term.module, *term.h, term.lora_row + column, count,
                                         scratch)
            : Segment{}};
    const std::size_t used = segments[1].depth > 0 ? 2 : 1;
    kernels.multiply(term.x.rows, count, {segments, used}, tile.data, tile.stride, at > 0);
  }
}

// y (T, out).
inline void forward_product(WorkerPool& pool, const ProductKernels& kernels,
                            const ForwardTerm& term, const FloatRows& y) {
  const std::size_t rows = term.w->rows();
  pool.run((rows + kPanelColumns - 1) / kPanelColumns, [&](std::size_t task, Scratch& scratch) {
    const std::size_t column = task * kPanelColumns;
    forward_panel(kernels, term, column,
                  y.column_range(column, std::min(kPanelColumns, rows - column)), scratch);
  });
}

struct BackwardTerm {
  ElementRows dy;
  const WeightMatrix* w = nullptr;
};

inline constexpr std::size_t kMostTerms = 3; // q, k and v

// The gradient of a group's input, (T, in): the sum over terms of dy W, plus dh A where `lora` has
// some. A task has some columns of it.
struct BackwardProduct {
  const ProductKernels& kernels;
  std::span<const BackwardTerm> terms;
  const LoraGroup* lora;
  const LoraHidden& dh;
  FloatRows dx;

  // The adapter's: none or one.
  std::size_t last_segment(std::size_t column, std::size_t count, Scratch& scratch,
                           Segment& segment) const {
    if (lora == nullptr || lora->empty()) return 0;
    segment = lora->backward_segment(dh, column, count, scratch);
    return 1;
  }
  void multiply(std::span<const Segment> segments, std::size_t column, std::size_t count,
                bool add) const {
    kernels.multiply(dx.rows, count, segments, dx.data + column, dx.stride, add);
  }

  bool kept(std::size_t column) const {
    return std::ranges::all_of(terms, [&](const BackwardTerm& term) {
      return term.w->kept_for_backward(kernels, column) != nullptr;
    });
  }
  // At most 64 columns, all at once.
  void multiply_kept(std::size_t column, std::size_t count, Scratch& scratch) const {
    std::array<Segment, kMostTerms + 1> segments;
    std::size_t used = 0;
    for (const BackwardTerm& term : terms) {
      segments[used++] = {.rows = term.dy.data,
                          .stride = term.dy.stride,
                          .depth = term.w->rows(),
                          .panel = term.w->kept_for_backward(kernels, column),
                          .followed = true};
    }
    used += last_segment(column, count, scratch, segments[used]);
    multiply({segments.data(), used}, column, count, false);
  }
  // Any columns, some rows of the weights at a time.
  void multiply_packed(std::size_t column, std::size_t count, Scratch& scratch) const {
    const std::size_t panels = (count + kPanelColumns - 1) / kPanelColumns;
    std::byte* packed =
        scratch.bytes(Slot::kPanel, panels * kernels.panel_bytes(kBackwardDepthChunk));
    for (const BackwardTerm& term : terms) {
      const std::size_t rows = term.w->rows();
      for (std::size_t at = 0; at < rows; at += kBackwardDepthChunk) {
        const std::size_t depth = std::min(kBackwardDepthChunk, rows - at);
        term.w->pack_for_backward(kernels, at, depth, column, count, scratch, packed);
        const bool last = &term == &terms.back() && at + depth == rows;
        for (std::size_t part = 0; part < count; part += kPanelColumns) {
          const std::size_t width = std::min(kPanelColumns, count - part);
          Segment segments[2] = {
              {.rows = term.dy.at(0, at),
               .stride = term.dy.stride,
               .depth = depth,
               .panel = packed + part / kPanelColumns * kernels.panel_bytes(depth)}};
          const std::size_t more =
              last ? last_segment(column + part, width, scratch, segments[1]) : 0;
          multiply({segments, 1 + more}, column + part, width, at > 0 || &term != &terms.front());
        }
      }
    }
  }
};

inline void backward_product(WorkerPool& pool, const BackwardProduct& product) {
  const std::size_t in = product.dx.columns;
  COPPICE_CHECK(product.terms.size() <= kMostTerms);
  std::size_t step = kPanelColumns; // a task's columns: whole blocks of every weight
  for (const BackwardTerm& term : product.terms) step = std::max(step, term.w->column_step());
  const std::size_t share = in / (2 * pool.threads());
  const std::size_t width = std::clamp(share / step * step, step, std::max<std::size_t>(step, 256));
  pool.run((in + width - 1) / width, [&](std::size_t task, Scratch& scratch) {
    const std::size_t column = task * width;
    const std::size_t count = std::min(width, in - column);
    if (!product.kept(column)) return product.multiply_packed(column, count, scratch);
    for (std::size_t part = 0; part < count; part += kPanelColumns) {
      product.multiply_kept(column + part, std::min(kPanelColumns, count - part), scratch);
    }
  });
}

} // namespace coppice::native
