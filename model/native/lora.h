// SPDX-License-Identifier: Apache-2.0
// LoRA of linear layers that read the same input (Hu et al. 2021): y_m = W_m x + sum s B (A x).
//
// The A's of a group are one matrix, so that x is read once: h = x A^T, with the columns of module
// m side by side, padded with zeros to a step of the depth. B's product then is one more segment of
// W's own, and A's one more segment of the gradient's way back; there they fill whole steps.
#pragma once

#include <span>
#include <vector>

#include "model/native/buffer.h"
#include "model/native/product_kernels.h"
#include "model/native/worker_pool.h"

namespace coppice::native {

// One adapter of one linear layer. Gradients are added to, where they are not null.
struct LoraFactor {
  const float* a = nullptr; // (rank, in)
  const float* b = nullptr; // (out, rank)
  std::size_t rank = 0;
  float scale = 0;
  float* gradient_a = nullptr;
  float* gradient_b = nullptr;
};

std::size_t total_rank(std::span<const LoraFactor> factors);
bool any_trained(std::span<const LoraFactor> factors); // has a place for its gradient

// Adapters of one linear layer, and its rows.
struct LoraModule {
  std::span<const LoraFactor> factors;
  std::size_t out = 0;
};

// Floats (T, width), and the same as elements, in rows or transposed as it was asked for.
struct LoraHidden {
  Buffer floats;
  Buffer elements;   // (T, whole steps): a product's input
  Buffer transposed; // (width, padded T): a gradient's
  std::size_t rows = 0;
};

class LoraGroup {
 public:
  // The factors must outlive it, and keep their values while it is used.
  LoraGroup(const ProductKernels& kernels, std::size_t in, std::vector<LoraModule> modules);

  bool empty() const { return width_ == 0; }
  bool trains() const { return trains_; }

  // h = x A^T, for all modules: in rows, for forward_segment(), or transposed, for gradients.
  void project(WorkerPool& pool, const ElementRows& x, LoraHidden& h) const;
  void project_transposed(WorkerPool& pool, const ElementRows& x, LoraHidden& h) const;
  // The columns of module m of dh: s dy B.
  void back_project(WorkerPool& pool, std::size_t module, const ElementRows& dy,
                    LoraHidden& dh) const;
  // After the last back_project(): both.
  void finish_back_projection(LoraHidden& dh) const;

  // h of a module times its B's rows [row, row + count): a segment of y's product.
  Segment forward_segment(std::size_t module, const LoraHidden& h, std::size_t row,
                          std::size_t count, Scratch& scratch) const;
  // dh times the A's columns [column, column + count): a segment of dx's product.
  Segment backward_segment(const LoraHidden& dh, std::size_t column, std::size_t count,
                           Scratch& scratch) const;

  // A's gradients: dh^T x. B's of one module: s dy^T h.
  void add_gradients_a(WorkerPool& pool, const ElementRows& x, const LoraHidden& dh) const;
  void add_gradients_b(WorkerPool& pool, std::size_t module, const ElementRows& dy,
                       const LoraHidden& h) const;

 private:
  void resize(LoraHidden& h, std::size_t rows) const;
  void project_floats(WorkerPool& pool, const ElementRows& x, LoraHidden& h) const;
  // Of h.floats. Columns [from[i], from[i + 1]) go to to[i], with zeros after them.
  void make_elements(LoraHidden& h, std::span<const std::size_t> from,
                     std::span<const std::size_t> to) const;
  void make_transpose(LoraHidden& h) const;
  // Floats (rows, columns) += x times panels over the columns of `h` from `column` on.
  void multiply(WorkerPool& pool, const ElementRows& x, const std::byte* panels,
                std::size_t columns, std::size_t column, LoraHidden& h) const;
  // Of all B's of a module, with their scales: (count, padded rank), as floats and as elements.
  void scaled_b_rows(std::size_t module, std::size_t row, std::size_t count, float* floats,
                     std::byte* elements) const;

  const ProductKernels& kernels_;
  std::size_t in_;
  std::vector<LoraModule> modules_;
  std::vector<std::size_t> offsets_;       // of each module's columns, and the end
  std::vector<std::size_t> whole_offsets_; // the same in elements of h
  std::size_t width_ = 0;
  bool trains_ = false;
  Buffer a_; // (width, in) elements
};

} // namespace coppice::native
