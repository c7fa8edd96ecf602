// SPDX-License-Identifier: Apache-2.0
// The products of frozen quantized linear layers with LoRA, forward and backward.
//
// A task has some columns of the result to itself: it packs the weights that they need, once for
// all tokens, and multiplies.
#pragma once

#include <algorithm>
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
  std::byte* panel =
      scratch.bytes(Slot::kPanel, kernels.panel_bytes(std::min(kDepthChunk, w.columns())));
  for (std::size_t at = 0; at < w.columns(); at += kDepthChunk) {
    const std::size_t depth = std::min(kDepthChunk, w.columns() - at);
    w.pack_for_forward(kernels, column, count, at, depth, scratch, panel);
    const bool last = at + depth == w.columns();
    const Segment segments[2] = {
        {.rows = term.x.at(0, at), .stride = term.x.stride, .depth = depth, .panel = panel},
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

// dx (T, in) = sum over terms of dy W, plus dh A where `lora` has some.
inline void backward_product(WorkerPool& pool, const ProductKernels& kernels,
                             std::span<const BackwardTerm> terms, const LoraGroup* lora,
                             const LoraHidden& dh, const FloatRows& dx) {
  const std::size_t in = terms[0].w->columns();
  const std::size_t rows = terms[0].dy.rows;
  std::size_t step = kPanelColumns; // a task's columns: whole blocks of every weight
  for (const BackwardTerm& term : terms) step = std::max(step, term.w->column_step());
  const std::size_t share = in / (2 * pool.threads());
  const std::size_t width = std::clamp(share / step * step, step, std::max<std::size_t>(step, 256));
  pool.run((in + width - 1) / width, [&](std::size_t task, Scratch& scratch) {
    const std::size_t column = task * width;
    const std::size_t count = std::min(width, in - column);
    const FloatRows tile = dx.column_range(column, count);
    const auto multiply = [&](Segment segment, std::size_t part, bool add) {
      kernels.multiply(rows, std::min(kPanelColumns, count - part), {&segment, 1}, tile.data + part,
                       tile.stride, add);
    };
    bool add = false;
    const std::size_t panels = (width + kPanelColumns - 1) / kPanelColumns;
    std::byte* packed =
        scratch.bytes(Slot::kPanel, panels * kernels.panel_bytes(kBackwardDepthChunk));
    for (const BackwardTerm& term : terms) {
      for (std::size_t at = 0; at < term.w->rows(); at += kBackwardDepthChunk) {
        const std::size_t depth = std::min(kBackwardDepthChunk, term.w->rows() - at);
        term.w->pack_for_backward(kernels, at, depth, column, count, scratch, packed);
        for (std::size_t part = 0; part < count; part += kPanelColumns) {
          multiply({.rows = term.dy.at(0, at),
                    .stride = term.dy.stride,
                    .depth = depth,
                    .panel = packed + part / kPanelColumns * kernels.panel_bytes(depth)},
                   part, add);
        }
        add = true;
      }
    }
    for (std::size_t part = 0; lora != nullptr && !lora->empty() && part < count;
         part += kPanelColumns) {
      multiply(
          lora->backward_segment(dh, column + part, std::min(kPanelColumns, count - part), scratch),
          part, true);
    }
  });
}

} // namespace coppice::native
