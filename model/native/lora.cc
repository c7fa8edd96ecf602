// SPDX-License-Identifier: Apache-2.0
#include "model/native/lora.h"

#include <algorithm>
#include <cstring>

namespace coppice::native {
namespace {

constexpr std::size_t kRowBlock = 96; // rows of one task

std::size_t blocks_of(std::size_t total, std::size_t size) { return (total + size - 1) / size; }

// Of a panel, from `begin` on.
void clear_depths(const ProductKernels& kernels, std::size_t begin, std::size_t end,
                  std::byte* panel) {
  const std::size_t used = kernels.panel_bytes(begin);
  std::memset(panel + used, 0, kernels.panel_bytes(end) - used);
}

} // namespace

std::size_t total_rank(std::span<const LoraFactor> factors) {
  std::size_t rank = 0;
  for (const LoraFactor& factor : factors) rank += factor.rank;
  return rank;
}

bool any_trained(std::span<const LoraFactor> factors) {
  return std::ranges::any_of(factors, [](const LoraFactor& factor) {
    return factor.gradient_a != nullptr || factor.gradient_b != nullptr;
  });
}

LoraGroup::LoraGroup(const ProductKernels& kernels, std::size_t in, std::vector<LoraModule> modules)
    : kernels_(kernels), in_(in), modules_(std::move(modules)) {
  offsets_.push_back(0);
  whole_offsets_.push_back(0);
  for (const LoraModule& module : modules_) {
    trains_ = trains_ || any_trained(module.factors);
    const std::size_t rank = kernels.padded(total_rank(module.factors));
    width_ += rank;
    offsets_.push_back(width_);
    whole_offsets_.push_back(whole_offsets_.back() + kernels.whole(rank));
  }
  a_ = Buffer(width_ * kernels.padded(in) * kernels.element_bytes);
  if (a_.size() > 0) std::memset(a_.data(), 0, a_.size());
  for (std::size_t m = 0; m < modules_.size(); ++m) {
    std::size_t row = offsets_[m];
    for (const LoraFactor& factor : modules_[m].factors) {
      for (std::size_t r = 0; r < factor.rank; ++r, ++row) {
        kernels.from_float(factor.a + r * in, in,
                           a_.data() + row * kernels.padded(in) * kernels.element_bytes);
      }
    }
  }
}

void LoraGroup::resize(LoraHidden& h, std::size_t rows) const {
  h.rows = rows;
  h.floats.reserve(rows * width_ * sizeof(float));
}

void LoraGroup::make_elements(LoraHidden& h, std::span<const std::size_t> from,
                              std::span<const std::size_t> to) const {
  const std::size_t stride = to.back();
  const std::size_t bytes = h.rows * stride * kernels_.element_bytes;
  h.elements.reserve(bytes);
  if (stride == width_) {
    return kernels_.from_float(h.floats.floats(), h.rows * width_, h.elements.data());
  }
  std::memset(h.elements.data(), 0, bytes);
  for (std::size_t row = 0; row < h.rows; ++row) {
    for (std::size_t i = 0; i + 1 < from.size(); ++i) {
      kernels_.from_float(h.floats.floats() + row * width_ + from[i], from[i + 1] - from[i],
                          h.elements.data() + (row * stride + to[i]) * kernels_.element_bytes);
    }
  }
}

void LoraGroup::make_transpose(LoraHidden& h) const {
  h.transposed.reserve(width_ * kernels_.padded(h.rows) * kernels_.element_bytes);
  const std::size_t stride = kernels_.padded(h.rows);
  if (stride > h.rows) std::memset(h.transposed.data(), 0, h.transposed.size());
  kernels_.transpose(h.floats.floats(), width_, h.rows, width_, h.transposed.data(), stride);
}

void LoraGroup::multiply(WorkerPool& pool, const ElementRows& x, const std::byte* panels,
                         std::size_t columns, std::size_t column, LoraHidden& h) const {
  pool.run(blocks_of(x.rows, kRowBlock), [&](std::size_t block, Scratch&) {
    const std::size_t row = block * kRowBlock;
    const std::size_t rows = std::min(kRowBlock, x.rows - row);
    for (std::size_t at = 0; at < columns; at += kPanelColumns) {
      const Segment segment{.rows = x.at(row),
                            .stride = x.stride,
                            .depth = x.columns,
                            .panel = panels + at / kPanelColumns * kernels_.panel_bytes(x.columns)};
      kernels_.multiply(rows, std::min(kPanelColumns, columns - at), {&segment, 1},
                        h.floats.floats() + row * width_ + column + at, width_, false);
    }
  });
}

void LoraGroup::project(WorkerPool& pool, const ElementRows& x, LoraHidden& h) const {
  if (empty()) return;
  project_floats(pool, x, h);
  make_elements(h, offsets_, whole_offsets_);
}

void LoraGroup::project_transposed(WorkerPool& pool, const ElementRows& x, LoraHidden& h) const {
  if (empty()) return;
  project_floats(pool, x, h);
  make_transpose(h);
}

void LoraGroup::project_floats(WorkerPool& pool, const ElementRows& x, LoraHidden& h) const {
  resize(h, x.rows);
  const std::size_t panel_bytes = kernels_.panel_bytes(in_);
  Buffer panels(blocks_of(width_, kPanelColumns) * panel_bytes);
  const std::size_t stride = kernels_.padded(in_);
  for (std::size_t at = 0; at < width_; at += kPanelColumns) {
    kernels_.pack_transposed(a_.data() + at * stride * kernels_.element_bytes, stride,
                             std::min(kPanelColumns, width_ - at), in_,
                             panels.data() + at / kPanelColumns * panel_bytes);
  }
  multiply(pool, x, panels.data(), width_, 0, h);
}

void LoraGroup::scaled_b_rows(std::size_t module, std::size_t row, std::size_t count, float* floats,
                              std::byte* elements) const {
  const std::size_t rank = offsets_[module + 1] - offsets_[module];
  float* out = floats;
  for (std::size_t i = row; i < row + count; ++i) {
    float* const end = out + rank;
    for (const LoraFactor& factor : modules_[module].factors) {
      const float* b = factor.b + i * factor.rank;
      for (std::size_t r = 0; r < factor.rank; ++r) *out++ = factor.scale * b[r];
    }
    out = std::fill_n(out, end - out, 0.0F);
  }
  kernels_.from_float(floats, count * rank, elements);
}

void LoraGroup::back_project(WorkerPool& pool, std::size_t module, const ElementRows& dy,
                             LoraHidden& dh) const {
  if (empty()) return;
  if (module == 0) resize(dh, dy.rows);
  const std::size_t rank = offsets_[module + 1] - offsets_[module];
  if (rank == 0) return;
  const std::size_t out = modules_[module].out;
  std::vector<float> floats(kPanelColumns * rank);
  Buffer rows(out * rank * kernels_.element_bytes);
  for (std::size_t row = 0; row < out; row += kPanelColumns) {
    scaled_b_rows(module, row, std::min(kPanelColumns, out - row), floats.data(),
                  rows.data() + row * rank * kernels_.element_bytes);
  }
  const std::size_t panel_bytes = kernels_.panel_bytes(out);
  Buffer panels(blocks_of(rank, kPanelColumns) * panel_bytes);
  for (std::size_t at = 0; at < rank; at += kPanelColumns) {
    kernels_.pack_rows(rows.data() + at * kernels_.element_bytes, rank, out,
                       std::min(kPanelColumns, rank - at),
                       panels.data() + at / kPanelColumns * panel_bytes);
  }
  multiply(pool, dy, panels.data(), rank, offsets_[module], dh);
}

void LoraGroup::finish_back_projection(LoraHidden& dh) const {
  if (empty()) return;
  const std::size_t from[] = {0, width_};
  const std::size_t to[] = {0, kernels_.whole(width_)};
  make_elements(dh, from, to);
  make_transpose(dh);
}

Segment LoraGroup::forward_segment(std::size_t module, const LoraHidden& h, std::size_t row,
                                   std::size_t count, Scratch& scratch) const {
  const std::size_t rank = empty() ? 0 : offsets_[module + 1] - offsets_[module];
  if (rank == 0) return {};
  std::byte* rows = scratch.bytes(Slot::kRows, count * rank * kernels_.element_bytes);
  scaled_b_rows(module, row, count, scratch.floats(Slot::kWeights, count * rank), rows);
  const std::size_t depth = kernels_.whole(rank);
  std::byte* panel = scratch.bytes(Slot::kPanelB, kernels_.panel_bytes(depth));
  kernels_.pack_transposed(rows, rank, count, rank, panel);
  clear_depths(kernels_, rank, depth, panel);
  return {.rows = h.elements.data() + whole_offsets_[module] * kernels_.element_bytes,
          .stride = whole_offsets_.back(),
          .depth = depth,
          .panel = panel};
}

Segment LoraGroup::backward_segment(const LoraHidden& dh, std::size_t column, std::size_t count,
                                    Scratch& scratch) const {
  if (empty()) return {};
  const std::size_t depth = kernels_.whole(width_);
  std::byte* panel = scratch.bytes(Slot::kPanelB, kernels_.panel_bytes(depth));
  kernels_.pack_rows(a_.data() + column * kernels_.element_bytes, kernels_.padded(in_), width_,
                     count, panel);
  clear_depths(kernels_, width_, depth, panel);
  return {.rows = dh.elements.data(), .stride = depth, .depth = depth, .panel = panel};
}

void LoraGroup::add_gradients_a(WorkerPool& pool, const ElementRows& x,
                                const LoraHidden& dh) const {
  if (!trains_) return;
  pool.run(blocks_of(in_, kPanelColumns), [&](std::size_t block, Scratch& scratch) {
    const std::size_t column = block * kPanelColumns;
    const std::size_t count = std::min(kPanelColumns, in_ - column);
    std::byte* panel = scratch.bytes(Slot::kPanel, kernels_.panel_bytes(x.rows));
    kernels_.pack_rows(x.at(0, column), x.stride, x.rows, count, panel);
    float* sums = scratch.floats(Slot::kOutput, width_ * kPanelColumns);
    const Segment segment{.rows = dh.transposed.data(),
                          .stride = kernels_.padded(x.rows),
                          .depth = x.rows,
                          .panel = panel};
    kernels_.multiply(width_, count, {&segment, 1}, sums, kPanelColumns, false);
    for (std::size_t m = 0; m < modules_.size(); ++m) {
      const float* from = sums + offsets_[m] * kPanelColumns;
      for (const LoraFactor& factor : modules_[m].factors) {
        for (std::size_t r = 0; r < factor.rank; ++r, from += kPanelColumns) {
          if (factor.gradient_a == nullptr) continue;
          float* to = factor.gradient_a + r * in_ + column;
          for (std::size_t j = 0; j < count; ++j) to[j] += from[j];
        }
      }
    }
  });
}

void LoraGroup::add_gradients_b(WorkerPool& pool, std::size_t module, const ElementRows& dy,
                                const LoraHidden& h) const {
  const std::size_t rank = empty() ? 0 : offsets_[module + 1] - offsets_[module];
  if (!trains_ || rank == 0) return;
  pool.run(blocks_of(dy.columns, kPanelColumns), [&](std::size_t block, Scratch& scratch) {
    const std::size_t column = block * kPanelColumns;
    const std::size_t count = std::min(kPanelColumns, dy.columns - column);
    std::byte* panel = scratch.bytes(Slot::kPanel, kernels_.panel_bytes(dy.rows));
    kernels_.pack_rows(dy.at(0, column), dy.stride, dy.rows, count, panel);
    float* sums = scratch.floats(Slot::kOutput, rank * kPanelColumns);
    const std::size_t stride = kernels_.padded(dy.rows);
    const Segment segment{
        .rows = h.transposed.data() + offsets_[module] * stride * kernels_.element_bytes,
        .stride = stride,
        .depth = dy.rows,
        .panel = panel};
    kernels_.multiply(rank, count, {&segment, 1}, sums, kPanelColumns, false);
    const float* from = sums;
    for (const LoraFactor& factor : modules_[module].factors) {
      for (std::size_t r = 0; r < factor.rank; ++r, from += kPanelColumns) {
        if (factor.gradient_b == nullptr) continue;
        for (std::size_t j = 0; j < count; ++j) {
          factor.gradient_b[(column + j) * factor.rank + r] += factor.scale * from[j];
        }
      }
    }
  });
}

} // namespace coppice::native
