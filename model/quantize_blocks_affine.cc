// SPDX-License-Identifier: Apache-2.0
// Types whose runs have a scale and a minimum: Q2_K, Q4_K, Q5_K. See Note [Searching for scales].
#include <algorithm>
#include <limits>

#include "model/block_search.h"
#include "model/encode.h"

namespace coppice::encode {
namespace {

// A run as w = scale q - min, min >= 0.
struct Affine {
  float scale = 0.0F;
  float min = 0.0F;
};

// Sums over a run of w times: 1, x, q, x q, q q.
struct AffineSums {
  float one = 0.0F, x = 0.0F, q = 0.0F, xq = 0.0F, qq = 0.0F;
};

AffineSums sums_at(const Run& run, float inverse, float min, float most) {
  AffineSums sums;
  for (std::size_t i = 0; i < run.size; ++i) {
    const float q = round_even(clamp((run.x[i] + min) * inverse, 0.0F, most));
    const float w = run.w[i];
    sums.one += w;
    sums.x += w * run.x[i];
    sums.q += w * q;
    sums.xq += w * run.x[i] * q;
    sums.qq += w * q * q;
  }
  return sums;
}

// Squared error of a run at (scale, min) for the codes of the sums, less the sum of w x x.
double error_of(const AffineSums& sums, double scale, double min) {
  return scale * (scale * double{sums.qq} - 2.0 * double{sums.xq}) +
         min * (min * double{sums.one} + 2.0 * (double{sums.x} - scale * double{sums.q}));
}

// The least-squares pair for the codes of the sums.
Affine solve(const AffineSums& sums) {
  const double determinant = double{sums.one} * double{sums.qq} - double{sums.q} * double{sums.q};
  if (determinant > 0.0) {
    const double scale =
        (double{sums.one} * double{sums.xq} - double{sums.x} * double{sums.q}) / determinant;
    const double min =
        (double{sums.q} * double{sums.xq} - double{sums.qq} * double{sums.x}) / determinant;
    if (min >= 0.0) return {static_cast<float>(scale), static_cast<float>(min)};
  }
  return {sums.qq > 0.0F ? sums.xq / sums.qq : 0.0F, 0.0F};
}

// Steps over the range are tried from `first` on, `count` of them, `width` apart.
struct Grid {
  float first;
  float width;
  int count;
};

Affine best_affine(const Run& run, float most, const Grid& grid) {
  float low = 0.0F;
  float high = run.x[0];
  for (std::size_t i = 0; i < run.size; ++i) {
    low = std::min(low, run.x[i]);
    high = std::max(high, run.x[i]);
  }
  Affine best{0.0F, -low};
  if (high - low < std::numeric_limits<float>::min()) return best;
  double least = std::numeric_limits<double>::max();
  const auto try_at = [&](float inverse, float min) {
    const AffineSums sums = sums_at(run, inverse, min, most);
    const Affine affine = solve(sums);
    const double error = error_of(sums, double{affine.scale}, double{affine.min});
    if (affine.scale > 0.0F && error < least) least = error, best = affine;
  };
  for (int step = 0; step < grid.count; ++step) {
    try_at((grid.first + grid.width * static_cast<float>(step)) / (high - low), -low);
  }
  for (int repeat = 0; repeat < 2 && best.scale > 0.0F; ++repeat) {
    try_at(1.0F / best.scale, best.min);
  }
  return best;
}

template <std::size_t kRuns>
struct AffineBlock {
  float d = 0.0F;
  float dmin = 0.0F;
  std::array<int, kRuns> s{};
  std::array<int, kRuns> m{};
  std::array<std::uint8_t, kLargeBlock> codes{};
};

// Sums over a block for the least-squares pair (d, dmin): of w times a a, a b, b b, x a, x b, with
// a = s q and b = m.
struct BlockSums {
  double aa = 0.0, ab = 0.0, bb = 0.0, xa = 0.0, xb = 0.0;
};

// kMost is the highest code, kHighest the highest s and m.
template <std::size_t kRuns, int kMost, int kHighest>
class AffineSearch {
 public:
  AffineSearch(const float* x, const float* w, const Grid& grid) : x_(x), w_(w) {
    for (std::size_t r = 0; r < kRuns; ++r) {
      ideal_[r] = best_affine(run(r), static_cast<float>(kMost), grid);
      largest_.scale = std::max(largest_.scale, ideal_[r].scale);
      largest_.min = std::max(largest_.min, ideal_[r].min);
    }
  }

  AffineBlock<kRuns> search() {
    const auto highest = static_cast<float>(kHighest);
    for (const float share : {1.0F, 0.94F}) {
      refine(as_half(largest_.scale / (highest * share)),
             as_half(largest_.min / (highest * share)));
    }
    for (std::size_t r = 0; r < kRuns; ++r) {
      const float scale = best_.d * static_cast<float>(best_.s[r]);
      const float min = best_.dmin * static_cast<float>(best_.m[r]);
      const float inverse = scale != 0.0F ? 1.0F / scale : 0.0F;
      for (std::size_t i = r * kSize; i < (r + 1) * kSize; ++i) {
        best_.codes[i] = static_cast<std::uint8_t>(
            round_even(clamp((x_[i] + min) * inverse, 0.0F, static_cast<float>(kMost))));
      }
    }
    return best_;
  }

 private:
  static constexpr std::size_t kSize = kLargeBlock / kRuns;
  static constexpr int kRepeats = 3;
  // What is chosen for a run: s, m, the sums of its codes, and the error.
  struct Choice {
    int s = 0;
    int m = 0;
    AffineSums sums;
    double error = std::numeric_limits<double>::max();
  };

  Run run(std::size_t r) const { return {x_ + r * kSize, w_ + r * kSize, kSize}; }

  void refine(float d, float dmin) {
    for (int repeat = 0; repeat < kRepeats && (d > 0.0F || dmin > 0.0F); ++repeat) {
      const BlockSums sums = assign(d, dmin);
      const float before = d;
      const float before_min = dmin;
      solve_block(sums, d, dmin);
      if (d == before && dmin == before_min) return;
    }
  }

  static int nearest_part(double value) {
    return static_cast<int>(std::lround(std::clamp(value, 0.0, double{kHighest})));
  }

  // At a given s: m from the ideal, then once more from the codes that it gives.
  void consider(std::size_t r, int s, float d, float dmin, Choice& best) const {
    const float scale = d * static_cast<float>(s);
    const float inverse = s > 0 ? 1.0F / scale : 0.0F;
    int m = dmin > 0.0F ? nearest_part(double{ideal_[r].min} / double{dmin}) : 0;
    for (int pass = 0; pass < 2; ++pass) {
      const float min = dmin * static_cast<float>(m);
      const AffineSums sums = sums_at(run(r), inverse, min, static_cast<float>(kMost));
      // For these codes another m may be nearer.
      int better = m;
      if (dmin > 0.0F && sums.one > 0.0F) {
        better = nearest_part((double{scale} * double{sums.q} - double{sums.x}) /
                              (double{dmin} * double{sums.one}));
      }
      const double error = error_of(sums, double{scale}, double{dmin} * better);
      if (error < best.error) best = {s, better, sums, error};
      if (better == m) return;
      m = better;
    }
  }

  // The best s and m of each run at (d, dmin), and the sums for the best pair for them.
  BlockSums assign(float d, float dmin) {
    std::array<Choice, kRuns> choices;
    double error = 0.0;
    BlockSums all;
    for (std::size_t r = 0; r < kRuns; ++r) {
      const int middle = d > 0.0F ? nearest_part(double{ideal_[r].scale} / double{d}) : 0;
      for (int s = std::max(middle - 1, 0); s <= std::min(middle + 1, kHighest); ++s) {
        consider(r, s, d, dmin, choices[r]);
      }
      const Choice& choice = choices[r];
      error += choice.error;
      const double s = choice.s;
      const double m = choice.m;
      all.aa += s * s * double{choice.sums.qq};
      all.ab += s * m * double{choice.sums.q};
      all.bb += m * m * double{choice.sums.one};
      all.xa += s * double{choice.sums.xq};
      all.xb += m * double{choice.sums.x};
    }
    if (error < best_error_) {
      best_error_ = error;
      best_.d = d;
      best_.dmin = dmin;
      for (std::size_t r = 0; r < kRuns; ++r) best_.s[r] = choices[r].s, best_.m[r] = choices[r].m;
    }
    return all;
  }

  // Least squares of x = d a - dmin b; keeps a value that has no better one.
  static void solve_block(const BlockSums& sums, float& d, float& dmin) {
    const double determinant = sums.aa * sums.bb - sums.ab * sums.ab;
    if (determinant > 1e-9 * sums.aa * sums.bb) {
      const double scale = (sums.xa * sums.bb - sums.xb * sums.ab) / determinant;
      const double min = (sums.xa * sums.ab - sums.xb * sums.aa) / determinant;
      if (scale > 0.0 && min >= 0.0) {
        d = as_half(static_cast<float>(scale));
        dmin = as_half(static_cast<float>(min));
        return;
      }
    }
    if (sums.aa > 0.0 && sums.xa > 0.0 && sums.bb == 0.0) {
      d = as_half(static_cast<float>(sums.xa / sums.aa));
    }
  }

  const float* x_;
  const float* w_;
  std::array<Affine, kRuns> ideal_{};
  Affine largest_;
  AffineBlock<kRuns> best_;
  double best_error_ = 0.0; // of a block of zeros
};

// The packing that unpack_k_scales() reads.
void put_k_scales(const std::array<int, 8>& s, const std::array<int, 8>& m, std::uint8_t* to) {
  for (std::size_t j = 0; j < 4; ++j) {
    const auto low_s = static_cast<unsigned>(s[j]);
    const auto low_m = static_cast<unsigned>(m[j]);
    const auto high_s = static_cast<unsigned>(s[j + 4]);
    const auto high_m = static_cast<unsigned>(m[j + 4]);
    to[j] = static_cast<std::uint8_t>(low_s | (high_s >> 4U) << 6U);
    to[j + 4] = static_cast<std::uint8_t>(low_m | (high_m >> 4U) << 6U);
    to[j + 8] = static_cast<std::uint8_t>((high_s & 15U) | (high_m & 15U) << 4U);
  }
}

// Low nibbles of codes, as Q4_K and Q5_K have them, into zeroed bytes.
void put_k_nibbles(const std::array<std::uint8_t, kLargeBlock>& codes, std::uint8_t* to) {
  for (std::size_t i = 0; i < kLargeBlock; ++i) {
    to[i / 64 * 32 + i % 32] |= static_cast<std::uint8_t>((codes[i] & 15U) << (i % 64 / 32 * 4));
  }
}

} // namespace

void q2_k(const float* x, const float* w, std::uint8_t* block) {
  using L = Q2KLayout;
  const Grid grid{.first = 2.4F, .width = 0.1F, .count = 20};
  const auto found = AffineSearch<16, 3, 15>(x, w, grid).search();
  std::fill_n(block, L::kBytes, std::uint8_t{0});
  put_half(block + L::kScale, found.d);
  put_half(block + L::kMin, found.dmin);
  for (std::size_t r = 0; r < 16; ++r) {
    block[L::kScales + r] = static_cast<std::uint8_t>(found.s[r] | found.m[r] << 4);
  }
  for (std::size_t i = 0; i < kLargeBlock; ++i) {
    block[L::kLow + i / 128 * 32 + i % 32] |=
        static_cast<std::uint8_t>(found.codes[i] << (i % 128 / 32 * 2));
  }
}

void q4_k(const float* x, const float* w, std::uint8_t* block) {
  using L = Q4KLayout;
  const Grid grid{.first = 13.5F, .width = 0.2F, .count = 20};
  const auto found = AffineSearch<8, 15, 63>(x, w, grid).search();
  std::fill_n(block, L::kBytes, std::uint8_t{0});
  put_half(block + L::kScale, found.d);
  put_half(block + L::kMin, found.dmin);
  put_k_scales(found.s, found.m, block + L::kScales);
  put_k_nibbles(found.codes, block + L::kLow);
}

void q5_k(const float* x, const float* w, std::uint8_t* block) {
  using L = Q5KLayout;
  const Grid grid{.first = 29.5F, .width = 0.2F, .count = 16};
  const auto found = AffineSearch<8, 31, 63>(x, w, grid).search();
  std::fill_n(block, L::kBytes, std::uint8_t{0});
  put_half(block + L::kScale, found.d);
  put_half(block + L::kMin, found.dmin);
  put_k_scales(found.s, found.m, block + L::kScales);
  put_k_nibbles(found.codes, block + L::kLow);
  for (std::size_t i = 0; i < kLargeBlock; ++i) {
    block[L::kHigh + i % 32] |= static_cast<std::uint8_t>((found.codes[i] >> 4U) << (i / 32));
  }
}

} // namespace coppice::encode
