// SPDX-License-Identifier: Apache-2.0
// Types whose runs have a scale and no minimum: Q3_K, Q6_K, IQ4_NL, IQ4_XS. See Note [Searching for
// scales].
#include <algorithm>
#include <limits>

#include "model/block_search.h"
#include "model/encode.h"

namespace coppice::encode {
namespace {

template <typename Levels>
ScaleSums sums_at(const Run& run, float inverse) {
  ScaleSums sums;
  for (std::size_t i = 0; i < run.size; ++i) {
    const float level = Levels::nearest(run.x[i] * inverse);
    const float weighted = run.w[i] * level;
    sums.xl += weighted * run.x[i];
    sums.ll += weighted * level;
  }
  return sums;
}

// Squared error of a run at a scale, with the nearest codes, less what no scale can change.
template <typename Levels>
float error_at(const Run& run, float scale, ScaleSums* sums) {
  *sums = sums_at<Levels>(run, scale != 0.0F ? 1.0F / scale : 0.0F);
  return scale * (scale * sums->ll - 2.0F * sums->xl);
}

// The grid: `steps` to either side, in shares `width` of the farthest level.
struct Grid {
  int steps;
  float width;
  bool both_ends; // the largest weight may also lie at the other end
};

template <typename Levels>
float best_scale(const Run& run, const Grid& grid) {
  float largest = 0.0F;
  for (std::size_t i = 0; i < run.size; ++i) {
    if (std::abs(run.x[i]) > std::abs(largest)) largest = run.x[i];
  }
  if (std::abs(largest) < std::numeric_limits<float>::min()) return 0.0F;
  float best = 0.0F;
  float best_gain = 0.0F;
  const auto try_at = [&](float inverse) {
    const ScaleSums sums = sums_at<Levels>(run, inverse);
    if (sums.ll <= 0.0F) return;
    const float gain = sums.xl * sums.xl / sums.ll;
    if (gain <= best_gain) return;
    best_gain = gain;
    best = sums.xl / sums.ll;
  };
  for (int step = -grid.steps; step <= grid.steps; ++step) {
    const float share = 1.0F + grid.width * static_cast<float>(step);
    try_at(Levels::kFarthest * share / largest);
    if (grid.both_ends) try_at(Levels::kOther * share / largest);
  }
  return best;
}

// A block of 256 in runs: scale d, each run's s, each weight's code.
template <std::size_t kRuns>
struct ScaledBlock {
  float d = 0.0F;
  std::array<int, kRuns> s{};
  std::array<std::uint8_t, kLargeBlock> codes{};
};

template <typename Levels, std::size_t kRuns, int kLowest, int kHighest>
class ScaledSearch {
 public:
  ScaledSearch(const float* x, const float* w, const Grid& grid) : x_(x), w_(w) {
    for (std::size_t r = 0; r < kRuns; ++r) {
      ideal_[r] = best_scale<Levels>(run(r), grid);
      if (std::abs(ideal_[r]) > std::abs(largest_)) largest_ = ideal_[r];
    }
  }

  ScaledBlock<kRuns> search() {
    // The largest scale at the end that reaches farther, a little within, or at the other end.
    const auto lowest = static_cast<float>(kLowest);
    for (const float s : {lowest, lowest * 0.96F, lowest * 0.9F, static_cast<float>(kHighest)}) {
      refine(as_half(largest_ / s));
    }
    for (std::size_t r = 0; r < kRuns; ++r) {
      const float scale = best_.d * static_cast<float>(best_.s[r]);
      const float inverse = scale != 0.0F ? 1.0F / scale : 0.0F;
      for (std::size_t i = r * kSize; i < (r + 1) * kSize; ++i) {
        best_.codes[i] = static_cast<std::uint8_t>(Levels::code(Levels::nearest(x_[i] * inverse)));
      }
    }
    return best_;
  }

 private:
  static constexpr std::size_t kSize = kLargeBlock / kRuns;
  static constexpr int kRepeats = 3;

  Run run(std::size_t r) const { return {x_ + r * kSize, w_ + r * kSize, kSize}; }

  void refine(float d) {
    for (int repeat = 0; repeat < kRepeats && d != 0.0F; ++repeat) {
      const float next = assign(d);
      if (next == d) return;
      d = next;
    }
  }

  // The best s of each run at d; gives the best d for them.
  float assign(float d) {
    std::array<int, kRuns> s;
    double error = 0.0;
    double xl = 0.0;
    double ll = 0.0;
    for (std::size_t r = 0; r < kRuns; ++r) {
      const int middle = static_cast<int>(std::lround(ideal_[r] / d));
      float least = std::numeric_limits<float>::max();
      ScaleSums best;
      for (int part = middle - 1; part <= middle + 1; ++part) {
        const int candidate = std::clamp(part, kLowest, kHighest);
        ScaleSums sums;
        const float at = error_at<Levels>(run(r), d * static_cast<float>(candidate), &sums);
        if (at < least) least = at, best = sums, s[r] = candidate;
      }
      error += double{least};
      xl += double{best.xl} * s[r];
      ll += double{best.ll} * s[r] * s[r];
    }
    if (error < best_error_) best_error_ = error, best_.d = d, best_.s = s;
    return ll > 0.0 ? as_half(static_cast<float>(xl / ll)) : d;
  }

  const float* x_;
  const float* w_;
  std::array<float, kRuns> ideal_{};
  float largest_ = 0.0F;
  ScaledBlock<kRuns> best_;
  double best_error_ = 0.0; // of a block of zeros
};

} // namespace

void q3_k(const float* x, const float* w, std::uint8_t* block) {
  using L = Q3KLayout;
  const Grid grid{.steps = 9, .width = 0.035F, .both_ends = true};
  const auto found = ScaledSearch<LinearLevels<-4, 3>, 16, -32, 31>(x, w, grid).search();
  std::fill_n(block, L::kBytes, std::uint8_t{0});
  put_half(block + L::kScale, found.d);
  for (std::size_t r = 0; r < 16; ++r) {
    const auto s = static_cast<unsigned>(found.s[r] + 32);
    block[L::kScales + r % 8] |= static_cast<std::uint8_t>((s & 15U) << (r / 8 * 4));
    block[L::kScales + 8 + r % 4] |= static_cast<std::uint8_t>((s >> 4U) << (r / 4 * 2));
  }
  for (std::size_t i = 0; i < kLargeBlock; ++i) {
    const unsigned code = found.codes[i];
    block[L::kLow + i / 128 * 32 + i % 32] |=
        static_cast<std::uint8_t>((code & 3U) << (i % 128 / 32 * 2));
    block[L::kHigh + i % 32] |= static_cast<std::uint8_t>((code >> 2U) << (i / 32));
  }
}

void q6_k(const float* x, const float* w, std::uint8_t* block) {
  using L = Q6KLayout;
  const Grid grid{.steps = 9, .width = 0.004F, .both_ends = false};
  const auto found = ScaledSearch<LinearLevels<-32, 31>, 16, -128, 127>(x, w, grid).search();
  std::fill_n(block, L::kBytes, std::uint8_t{0});
  put_half(block + L::kScale, found.d);
  for (std::size_t r = 0; r < 16; ++r) {
    block[L::kScales + r] = static_cast<std::uint8_t>(static_cast<std::int8_t>(found.s[r]));
  }
  for (std::size_t i = 0; i < kLargeBlock; ++i) {
    const unsigned code = found.codes[i];
    const std::size_t half = i / 128;
    const std::size_t run = i % 128 / 32;
    block[L::kLow + half * 64 + run % 2 * 32 + i % 32] |=
        static_cast<std::uint8_t>((code & 15U) << (run / 2 * 4));
    block[L::kHigh + half * 32 + i % 32] |= static_cast<std::uint8_t>((code >> 4U) << (run * 2));
  }
}

void iq4_nl(const float* x, const float* w, std::uint8_t* block) {
  const Run run{x, w, kSmallBlock};
  const float scale =
      as_half(best_scale<NonlinearLevels>(run, {.steps = 10, .width = 0.015F, .both_ends = true}));
  const float inverse = scale != 0.0F ? 1.0F / scale : 0.0F;
  put_half(block, scale);
  std::fill_n(block + 2, kSmallBlock / 2, std::uint8_t{0});
  for (std::size_t i = 0; i < kSmallBlock; ++i) {
    const unsigned code = NonlinearLevels::code(NonlinearLevels::nearest(x[i] * inverse));
    block[2 + i % 16] |= static_cast<std::uint8_t>(code << (i / 16 * 4));
  }
}

void iq4_xs(const float* x, const float* w, std::uint8_t* block) {
  using L = Iq4XsLayout;
  const Grid grid{.steps = 10, .width = 0.015F, .both_ends = true};
  const auto found = ScaledSearch<NonlinearLevels, 8, -32, 31>(x, w, grid).search();
  std::fill_n(block, L::kBytes, std::uint8_t{0});
  put_half(block + L::kScale, found.d);
  for (std::size_t r = 0; r < 8; ++r) {
    const auto s = static_cast<unsigned>(found.s[r] + 32);
    block[L::kScalesLow + r / 2] |= static_cast<std::uint8_t>((s & 15U) << (r % 2 * 4));
    block[L::kScalesHigh + r / 4] |= static_cast<std::uint8_t>((s >> 4U) << (r % 4 * 2));
  }
  for (std::size_t i = 0; i < kLargeBlock; ++i) {
    block[L::kLow + i / 32 * 16 + i % 16] |=
        static_cast<std::uint8_t>(found.codes[i] << (i % 32 / 16 * 4));
  }
}

} // namespace coppice::encode
