// SPDX-License-Identifier: Apache-2.0
// The plain loops of the model: rows of floats in, rows of floats out. No LibTorch, no allocation.
//
// Sums run over a fixed number of lanes in a fixed order, and nothing is contracted to fused
// operations, so a result depends neither on threads nor on the processor's instruction level. Rows
// may not overlap unless said. Pure functions; thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>

namespace coppice {

float dot(const float* a, const float* b, std::size_t n);

// e^x within 2 ulp for x in [-87, 88]; below, about e^-87; above, about e^88.
float exponential(float x);

// RMSNorm (Zhang and Sennrich 2019, eq. 4): y = w x / sqrt(mean(x^2) + epsilon). Returns the factor
// 1 / sqrt(...), which the backward pass needs.
float rms_norm_row(const float* x, const float* w, float epsilon, std::size_t n, float* y);
// dx of the above, from dy: factor (w dy - x factor^2 mean(w dy x)).
void rms_norm_backward_row(const float* x, const float* w, float factor, const float* dy,
                           std::size_t n, float* dx);

// The same in two steps, for engines that keep the normalized row: y = x factor, factor = 1 /
// sqrt(mean(x^2) + epsilon), which is returned; and its dx from the gradient g of y, with y itself.
float normalize_row(const float* x, float epsilon, std::size_t n, float* y);
void normalize_backward_row(const float* y, float factor, const float* g, std::size_t n, float* dx);
void multiply_row(const float* x, const float* w, std::size_t n, float* y);
void add_row(const float* x, std::size_t n, float* y);                      // y += x
void add_scaled_row(const float* x, float factor, std::size_t n, float* y); // y += factor x

// SwiGLU (Shazeer 2020): y = gate / (1 + e^-gate) * up. The way back makes y again, but for its
// last bit, where `y` isn't null.
void swiglu(const float* gate, const float* up, std::size_t n, float* y);
void swiglu_backward(const float* gate, const float* up, const float* dy, std::size_t n,
                     float* dgate, float* dup, float* y);

// The same with other activations of the gate: GELU by tanh (Hendrycks and Gimpel 2016), and the
// square of ReLU (So et al. 2021).
void geglu(const float* gate, const float* up, std::size_t n, float* y);
void geglu_backward(const float* gate, const float* up, const float* dy, std::size_t n,
                    float* dgate, float* dup, float* y);
void squared_reglu(const float* gate, const float* up, std::size_t n, float* y);
void squared_reglu_backward(const float* gate, const float* up, const float* dy, std::size_t n,
                            float* dgate, float* dup, float* y);

// RoPE (Su et al. 2021, eq. 34) in the order of GGUF's llama rows: within each of `heads` heads,
// columns (2i, 2i + 1) for i < pairs turn by the i-th angle, in place if y is x. `sign` -1 turns
// back (the backward pass).
struct RopeShape {
  std::size_t heads = 0;
  std::size_t head_width = 0;
  std::size_t pairs = 0;
};
void rotate_row(const float* x, const float* cosines, const float* sines, float sign,
                const RopeShape& shape, float* y);

// The same in the usual order: columns (i, pairs + i) turn together.
void rotate_halves_row(const float* x, const float* cosines, const float* sines, float sign,
                       const RopeShape& shape, float* y);

// Soft-capping (Gemma 2): x = cap tanh(x / cap), in place; and its slope from the capped value.
void cap_row(float* x, float cap, std::size_t n);
void cap_slope_row(const float* capped, float cap, std::size_t n, float* slope);

float maximum(const float* x, std::size_t n);
// Whether x[i] is `top`, the maximum, and nothing before it is.
bool is_first_maximum(const float* x, std::size_t i, float top);
// x = e^(x - shift), in place. Returns their sum.
float exponentiate_row(float* x, float shift, std::size_t n);
void scale_row(float* x, float factor, std::size_t n);
// The gradient through softmax: d = p (d - mean) scale, with mean = sum(p d).
void softmax_backward_row(const float* p, float mean, float scale, std::size_t n, float* d);

// One AdamW step (Loshchilov and Hutter 2019, algorithm 2, as PyTorch computes it) over n values.
struct AdamStep {
  float decay = 1; // 1 - learning rate * weight decay
  float beta1 = 0;
  float beta2 = 0;
  float step_size = 0; // learning rate / (1 - beta1^t)
  float root_bias = 1; // sqrt(1 - beta2^t)
  float epsilon = 0;
};
void adam_update(const AdamStep& step, const float* gradient, std::size_t n, float* first,
                 float* second, float* values);

// One step of SGD with momentum, as PyTorch computes it: m = momentum m + g + decay w; w -= rate m.
struct SgdStep {
  float rate = 0;
  float momentum = 0;
  float decay = 0;
};
void sgd_update(const SgdStep& step, const float* gradient, std::size_t n, float* buffer,
                float* values);

} // namespace coppice
