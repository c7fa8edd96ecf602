// SPDX-License-Identifier: Apache-2.0
#include "model/row_kernels.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

// Each loop is compiled for several instruction levels and chosen when the module is loaded. None
// of them is allowed to fuse or reorder (-ffp-contract=off, no -ffast-math), so all give the same
// bits.
#if defined(__x86_64__) && defined(__GNUC__)
#define COPPICE_LEVELS __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define COPPICE_LEVELS
#endif
#define COPPICE_INLINE inline __attribute__((always_inline))

namespace coppice {
namespace {

constexpr std::size_t kLanes = 16;
using Lanes = float __attribute__((vector_size(kLanes * sizeof(float))));

COPPICE_INLINE void load(Lanes& lanes, const float* x) { std::memcpy(&lanes, x, sizeof lanes); }

// Lane i with lane i + 8 and so on: a fixed tree, so that the order of additions is part of the
// definition. Halves are vectors too: a loop over lanes would go through memory. `into(a, b)` is
// a = a o b, for vectors and for floats.
template <typename Operation>
COPPICE_INLINE float fold_lanes(const Lanes& lanes, Operation into) {
  using Half = float __attribute__((vector_size(kLanes / 2 * sizeof(float))));
  using Quarter = float __attribute__((vector_size(kLanes / 4 * sizeof(float))));
  Half halves[2];
  std::memcpy(halves, &lanes, sizeof halves);
  into(halves[0], halves[1]);
  Quarter quarters[2];
  std::memcpy(quarters, halves, sizeof quarters);
  into(quarters[0], quarters[1]);
  float low = quarters[0][0];
  float high = quarters[0][1];
  into(low, float{quarters[0][2]});
  into(high, float{quarters[0][3]});
  into(low, high);
  return low;
}

COPPICE_INLINE float sum_lanes(const Lanes& lanes) {
  return fold_lanes(lanes, [](auto& a, const auto& b) { a += b; });
}

// Cody and Waite: x = n ln 2 + r with |r| <= ln 2 / 2, and the Taylor series of e^r to r^7, whose
// remainder (0.3466^8 / 8! = 5e-9) is under a tenth of an ulp.
COPPICE_INLINE float exponential_inline(float x) {
  constexpr float kRounder = 12582912.0F;  // 1.5 * 2^23: adding it rounds to an integer
  constexpr float kLn2High = 0.693359375F; // exact in 10 bits
  constexpr float kLn2Low = -2.12194440e-4F;
  x = x < -87.0F ? -87.0F : x;
  x = x > 88.0F ? 88.0F : x;
  const float shifted = x * 1.44269504F + kRounder;
  const float n = shifted - kRounder;
  const float r = (x - n * kLn2High) - n * kLn2Low;
  float y = 1.0F / 5040;
  y = y * r + 1.0F / 720;
  y = y * r + 1.0F / 120;
  y = y * r + 1.0F / 24;
  y = y * r + 1.0F / 6;
  y = y * r + 0.5F;
  y = y * r * r + r + 1.0F;
  // The low bits of `shifted` hold n; moved into the exponent they are a factor of 2^n.
  const auto power = (std::bit_cast<std::uint32_t>(shifted) + 127U) << 23U;
  return y * std::bit_cast<float>(power);
}

// The same, lane by lane and bit for bit. Written out, since compilers turn the two bounds of a
// loop over exponential_inline() into branches that all lanes pay for.
using Integers = std::int32_t __attribute__((vector_size(kLanes * sizeof(std::int32_t))));
COPPICE_INLINE void exponential_lanes(Lanes& x) {
  const Lanes zero = {};
  const Lanes least = zero - 87.0F;
  const Lanes most = zero + 88.0F;
  x = x < least ? least : x;
  x = x > most ? most : x;
  const Lanes shifted = x * 1.44269504F + 12582912.0F;
  const Lanes n = shifted - 12582912.0F;
  const Lanes r = (x - n * 0.693359375F) - n * -2.12194440e-4F;
  Lanes y = zero + 1.0F / 5040;
  y = y * r + 1.0F / 720;
  y = y * r + 1.0F / 120;
  y = y * r + 1.0F / 24;
  y = y * r + 1.0F / 6;
  y = y * r + 0.5F;
  y = y * r * r + r + 1.0F;
  Integers power;
  std::memcpy(&power, &shifted, sizeof power);
  power = (power + 127) << 23;
  Lanes factor;
  std::memcpy(&factor, &power, sizeof factor);
  x = y * factor;
}

// 1 - 2 / (e^2x + 1), exact to float32's precision relative to 1.
COPPICE_INLINE float tanh_inline(float x) {
  return 1.0F - 2.0F / (exponential_inline(2.0F * x) + 1.0F);
}

constexpr float kGeluRoot = 0.7978845608F; // sqrt(2 / pi)
constexpr float kGeluCube = 0.044715F;

} // namespace

COPPICE_LEVELS float dot(const float* a, const float* b, std::size_t n) {
  Lanes sums[4] = {};
  Lanes x, y;
  std::size_t i = 0;
  for (; i + 4 * kLanes <= n; i += 4 * kLanes) {
    for (std::size_t part = 0; part < 4; ++part) {
      load(x, a + i + part * kLanes);
      load(y, b + i + part * kLanes);
      sums[part] += x * y;
    }
  }
  for (; i + kLanes <= n; i += kLanes) {
    load(x, a + i);
    load(y, b + i);
    sums[0] += x * y;
  }
  float sum = sum_lanes((sums[0] + sums[1]) + (sums[2] + sums[3]));
  for (; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

float exponential(float x) { return exponential_inline(x); }

COPPICE_LEVELS float rms_norm_row(const float* x, const float* w, float epsilon, std::size_t n,
                                  float* y) {
  const float mean = dot(x, x, n) / static_cast<float>(n);
  const float factor = 1.0F / std::sqrt(mean + epsilon);
  for (std::size_t i = 0; i < n; ++i) y[i] = w[i] * (x[i] * factor);
  return factor;
}

COPPICE_LEVELS void rms_norm_backward_row(const float* x, const float* w, float factor,
                                          const float* dy, std::size_t n, float* dx) {
  for (std::size_t i = 0; i < n; ++i) dx[i] = w[i] * dy[i];
  const float mean = dot(dx, x, n) / static_cast<float>(n);
  const float along = factor * factor * mean;
  for (std::size_t i = 0; i < n; ++i) dx[i] = factor * (dx[i] - x[i] * along);
}

COPPICE_LEVELS float normalize_row(const float* x, float epsilon, std::size_t n, float* y) {
  const float factor = 1.0F / std::sqrt(dot(x, x, n) / static_cast<float>(n) + epsilon);
  for (std::size_t i = 0; i < n; ++i) y[i] = x[i] * factor;
  return factor;
}

COPPICE_LEVELS void normalize_backward_row(const float* y, float factor, const float* g,
                                           std::size_t n, float* dx) {
  const float mean = dot(g, y, n) / static_cast<float>(n);
  for (std::size_t i = 0; i < n; ++i) dx[i] = factor * (g[i] - y[i] * mean);
}

COPPICE_LEVELS void multiply_row(const float* x, const float* w, std::size_t n, float* y) {
  for (std::size_t i = 0; i < n; ++i) y[i] = x[i] * w[i];
}

COPPICE_LEVELS void add_row(const float* x, std::size_t n, float* y) {
  for (std::size_t i = 0; i < n; ++i) y[i] += x[i];
}

COPPICE_LEVELS void add_scaled_row(const float* x, float factor, std::size_t n, float* y) {
  for (std::size_t i = 0; i < n; ++i) y[i] += factor * x[i];
}

COPPICE_LEVELS void geglu(const float* gate, const float* up, std::size_t n, float* y) {
  for (std::size_t i = 0; i < n; ++i) {
    const float g = gate[i];
    const float t = tanh_inline(kGeluRoot * (g + kGeluCube * g * g * g));
    y[i] = 0.5F * g * (1.0F + t) * up[i];
  }
}

COPPICE_LEVELS void geglu_backward(const float* gate, const float* up, const float* dy,
                                   std::size_t n, float* dgate, float* dup, float* y) {
  if (y != nullptr) geglu(gate, up, n, y);
  for (std::size_t i = 0; i < n; ++i) {
    const float g = gate[i];
    const float t = tanh_inline(kGeluRoot * (g + kGeluCube * g * g * g));
    const float inner = kGeluRoot * (1.0F + 3.0F * kGeluCube * g * g);
    dup[i] = dy[i] * 0.5F * g * (1.0F + t);
    dgate[i] = dy[i] * up[i] * (0.5F * (1.0F + t) + 0.5F * g * (1.0F - t * t) * inner);
  }
}

COPPICE_LEVELS void squared_reglu(const float* gate, const float* up, std::size_t n, float* y) {
  for (std::size_t i = 0; i < n; ++i) {
    const float g = gate[i] > 0.0F ? gate[i] : 0.0F;
    y[i] = g * g * up[i];
  }
}

COPPICE_LEVELS void squared_reglu_backward(const float* gate, const float* up, const float* dy,
                                           std::size_t n, float* dgate, float* dup, float* y) {
  if (y != nullptr) squared_reglu(gate, up, n, y);
  for (std::size_t i = 0; i < n; ++i) {
    const float g = gate[i] > 0.0F ? gate[i] : 0.0F;
    dup[i] = dy[i] * g * g;
    dgate[i] = dy[i] * up[i] * 2.0F * g;
  }
}

COPPICE_LEVELS void swiglu(const float* gate, const float* up, std::size_t n, float* y) {
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    Lanes g, u;
    load(g, gate + i);
    load(u, up + i);
    Lanes e = -g;
    exponential_lanes(e);
    const Lanes out = g / (1.0F + e) * u;
    std::memcpy(y + i, &out, sizeof out);
  }
  for (; i < n; ++i) {
    y[i] = gate[i] / (1.0F + exponential_inline(-gate[i])) * up[i];
  }
}

COPPICE_LEVELS void swiglu_backward(const float* gate, const float* up, const float* dy,
                                    std::size_t n, float* dgate, float* dup, float* y) {
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    Lanes g, u, d;
    load(g, gate + i);
    load(u, up + i);
    load(d, dy + i);
    Lanes e = -g;
    exponential_lanes(e);
    const Lanes sigmoid = 1.0F / (1.0F + e);
    const Lanes silu = g * sigmoid;
    if (y != nullptr) {
      const Lanes out = silu * u;
      std::memcpy(y + i, &out, sizeof out);
    }
    const Lanes to_up = d * silu;
    const Lanes to_gate = d * u * (sigmoid + silu * (1.0F - sigmoid));
    std::memcpy(dup + i, &to_up, sizeof to_up);
    std::memcpy(dgate + i, &to_gate, sizeof to_gate);
  }
  for (; i < n; ++i) {
    const float sigmoid = 1.0F / (1.0F + exponential_inline(-gate[i]));
    const float silu = gate[i] * sigmoid;
    if (y != nullptr) y[i] = silu * up[i];
    dup[i] = dy[i] * silu;
    dgate[i] = dy[i] * up[i] * (sigmoid + silu * (1.0F - sigmoid));
  }
}

COPPICE_LEVELS void rotate_row(const float* x, const float* cosines, const float* sines, float sign,
                               const RopeShape& shape, float* y) {
  for (std::size_t head = 0; head < shape.heads; ++head) {
    const float* in = x + head * shape.head_width;
    float* out = y + head * shape.head_width;
    for (std::size_t i = 0; i < shape.pairs; ++i) {
      const float sine = sign * sines[i];
      const float a = in[2 * i];
      const float b = in[2 * i + 1];
      out[2 * i] = a * cosines[i] - b * sine;
      out[2 * i + 1] = a * sine + b * cosines[i];
    }
    for (std::size_t i = 2 * shape.pairs; i < shape.head_width; ++i) out[i] = in[i];
  }
}

COPPICE_LEVELS void rotate_halves_row(const float* x, const float* cosines, const float* sines,
                                      float sign, const RopeShape& shape, float* y) {
  for (std::size_t head = 0; head < shape.heads; ++head) {
    const float* low = x + head * shape.head_width;
    const float* high = low + shape.pairs;
    float* out = y + head * shape.head_width;
    for (std::size_t i = 0; i < shape.pairs; ++i) {
      const float sine = sign * sines[i];
      const float a = low[i];
      const float b = high[i];
      out[i] = a * cosines[i] - b * sine;
      out[shape.pairs + i] = a * sine + b * cosines[i];
    }
    for (std::size_t i = 2 * shape.pairs; i < shape.head_width; ++i) out[i] = low[i];
  }
}

COPPICE_LEVELS void cap_row(float* x, float cap, std::size_t n) {
  const float inverse = 1.0F / cap;
  for (std::size_t i = 0; i < n; ++i) x[i] = cap * tanh_inline(x[i] * inverse);
}

COPPICE_LEVELS void cap_slope_row(const float* capped, float cap, std::size_t n, float* slope) {
  const float inverse = 1.0F / cap;
  for (std::size_t i = 0; i < n; ++i) {
    const float share = capped[i] * inverse;
    slope[i] = 1.0F - share * share;
  }
}

// By vectors: compilers turn the choice in a loop over floats into comparisons of one at a time.
COPPICE_LEVELS float maximum(const float* x, std::size_t n) {
  float best = x[0];
  if (n < kLanes) {
    for (std::size_t i = 1; i < n; ++i) best = x[i] > best ? x[i] : best;
    return best;
  }
  Lanes tops, values;
  load(tops, x + n - kLanes); // the last ones, some of which the loop sees again
  for (std::size_t i = 0; i + kLanes <= n; i += kLanes) {
    load(values, x + i);
    tops = values > tops ? values : tops;
  }
  return fold_lanes(tops, [](auto& a, const auto& b) { a = b > a ? b : a; });
}

// The search runs only where the target is a maximum, so a row costs one comparison as a rule.
bool is_first_maximum(const float* x, std::size_t i, float top) {
  return x[i] == top && std::find(x, x + i, top) == x + i;
}

// What is left after whole vectors is exponentiated as the row's last vector, before the loop
// writes over what both hold, and summed one by one.
COPPICE_LEVELS float exponentiate_row(float* x, float shift, std::size_t n) {
  const bool overlaps = n > kLanes && n % kLanes != 0;
  Lanes last = {};
  if (overlaps) {
    load(last, x + n - kLanes);
    last -= shift;
    exponential_lanes(last);
  }
  Lanes sums = {};
  Lanes values;
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    load(values, x + i);
    values -= shift;
    exponential_lanes(values);
    std::memcpy(x + i, &values, sizeof values);
    sums += values;
  }
  float sum = sum_lanes(sums);
  if (overlaps) {
    std::memcpy(x + n - kLanes, &last, sizeof last);
    for (; i < n; ++i) sum += x[i];
  }
  for (; i < n; ++i) {
    x[i] = exponential_inline(x[i] - shift);
    sum += x[i];
  }
  return sum;
}

COPPICE_LEVELS void scale_row(float* x, float factor, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) x[i] *= factor;
}

COPPICE_LEVELS void softmax_backward_row(const float* p, float mean, float scale, std::size_t n,
                                         float* d) {
  for (std::size_t i = 0; i < n; ++i) d[i] = p[i] * (d[i] - mean) * scale;
}

COPPICE_LEVELS void adam_update(const AdamStep& step, const float* gradient, std::size_t n,
                                float* first, float* second, float* values) {
  for (std::size_t i = 0; i < n; ++i) {
    const float g = gradient[i];
    first[i] += (g - first[i]) * (1.0F - step.beta1);
    second[i] = second[i] * step.beta2 + g * g * (1.0F - step.beta2);
    const float denominator = std::sqrt(second[i]) / step.root_bias + step.epsilon;
    values[i] = values[i] * step.decay - step.step_size * (first[i] / denominator);
  }
}

COPPICE_LEVELS void sgd_update(const SgdStep& step, const float* gradient, std::size_t n,
                               float* buffer, float* values) {
  for (std::size_t i = 0; i < n; ++i) {
    buffer[i] = buffer[i] * step.momentum + (gradient[i] + step.decay * values[i]);
    values[i] -= step.rate * buffer[i];
  }
}

} // namespace coppice
