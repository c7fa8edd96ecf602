// SPDX-License-Identifier: Apache-2.0
// The discrete Fourier transform of real sequences whose length is a power of two: what convolving
// privacy losses thousands of times needs, and no more.
//
// Radix 2, double precision; the same bits on every machine whose libm gives the same sines.
// One object may be used by many threads at once; it holds only its tables (length doubles each of
// sines and cosines).
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/result.h"

namespace coppice {

// The first half of the transform of a real sequence, frequencies 0 to length / 2; the rest is its
// mirror.
struct Spectrum {
  std::vector<double> re; // (length / 2 + 1)
  std::vector<double> im; // (length / 2 + 1)
};

class RealFft {
 public:
  // kInvalidArgument unless `length` is a power of two from 4 to 2^24.
  static Result<RealFft> create(std::size_t length);

  std::size_t length() const { return 2 * half_; }

  // sum_t x[t] exp(-2 pi i k t / length) for k = 0 ... length / 2; x.size() == length().
  Spectrum forward(std::span<const double> x) const;

  // The sequence of which `spectrum` is the transform (scaled by 1 / length).
  std::vector<double> inverse(const Spectrum& spectrum) const;

 private:
  explicit RealFft(std::size_t length);
  // Complex transform of length half_, in place; the inverse swaps the two arrays.
  void transform(std::span<double> re, std::span<double> im) const;

  std::size_t half_;
  // cos and -sin of 2 pi j / (2 m) for j < m, one stage after another, m = 1, 2, 4 ... half_; the
  // last one is the split into real sequences.
  std::vector<double> cos_;
  std::vector<double> sin_;
};

// spectrum^times, frequency by frequency: `times` fold cyclic convolution. Repeated squaring, so
// the error is about times x 1e-16 of the result and no libm is involved.
void power(Spectrum& spectrum, std::size_t times);

// a *= b; both of one length.
void multiply(Spectrum& a, const Spectrum& b);

} // namespace coppice
