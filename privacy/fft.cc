// SPDX-License-Identifier: Apache-2.0
#include "privacy/fft.h"

#include <cmath>
#include <cstdint>
#include <numbers>
#include <utility>

#include "base/check.h"
#include "base/text.h"

namespace coppice {
namespace {

constexpr std::size_t kMinLength = 4;
constexpr std::size_t kMaxLength = std::size_t{1} << 24U;

void reverse_bits(std::span<double> re, std::span<double> im) {
  const std::size_t n = re.size();
  for (std::size_t i = 1, j = 0; i < n; ++i) {
    std::size_t bit = n >> 1U;
    for (; (j & bit) != 0; bit >>= 1U) j ^= bit;
    j ^= bit;
    if (i < j) {
      std::swap(re[i], re[j]);
      std::swap(im[i], im[j]);
    }
  }
}

// One stage: blocks of 2 m, each two transforms of m combined.
void butterflies(double* re, double* im, std::size_t n, std::size_t m, const double* c,
                 const double* s) {
  for (std::size_t block = 0; block < n; block += 2 * m) {
    double* const low_re = re + block;
    double* const low_im = im + block;
    double* const high_re = low_re + m;
    double* const high_im = low_im + m;
    for (std::size_t j = 0; j < m; ++j) {
      const double x = high_re[j] * c[j] - high_im[j] * s[j];
      const double y = high_re[j] * s[j] + high_im[j] * c[j];
      high_re[j] = low_re[j] - x;
      high_im[j] = low_im[j] - y;
      low_re[j] += x;
      low_im[j] += y;
    }
  }
}

} // namespace

Result<RealFft> RealFft::create(std::size_t length) {
  if (length < kMinLength || length > kMaxLength || (length & (length - 1)) != 0) {
    return Error{ErrorCode::kInvalidArgument,
                 cat("a transform of length ", length, "; it must be a power of two from ",
                     kMinLength, " to ", kMaxLength)};
  }
  return RealFft(length);
}

RealFft::RealFft(std::size_t length) : half_(length / 2), cos_(length), sin_(length) {
  // The finest stage starts at half_ - 1 and has half_ angles; coarser ones are every second of it.
  double* const c = cos_.data() + half_ - 1;
  double* const s = sin_.data() + half_ - 1;
  for (std::size_t j = 0; j < half_; ++j) {
    const double angle = std::numbers::pi * static_cast<double>(j) / static_cast<double>(half_);
    c[j] = std::cos(angle);
    s[j] = -std::sin(angle);
  }
  for (std::size_t m = half_ / 2; m > 0; m /= 2) {
    for (std::size_t j = 0; j < m; ++j) {
      cos_[m - 1 + j] = cos_[2 * m - 1 + 2 * j];
      sin_[m - 1 + j] = sin_[2 * m - 1 + 2 * j];
    }
  }
}

void RealFft::transform(std::span<double> re, std::span<double> im) const {
  reverse_bits(re, im);
  for (std::size_t m = 1; m < half_; m *= 2) {
    butterflies(re.data(), im.data(), half_, m, cos_.data() + m - 1, sin_.data() + m - 1);
  }
}

// Even samples become real parts, odd ones imaginary parts of a sequence of half the length; the
// transforms of both are taken apart again by their symmetry (Numerical Recipes, section 12.3).
Spectrum RealFft::forward(std::span<const double> x) const {
  COPPICE_CHECK(x.size() == length());
  std::vector<double> re(half_);
  std::vector<double> im(half_);
  for (std::size_t j = 0; j < half_; ++j) {
    re[j] = x[2 * j];
    im[j] = x[2 * j + 1];
  }
  transform(re, im);
  Spectrum out{std::vector<double>(half_ + 1), std::vector<double>(half_ + 1)};
  for (std::size_t k = 0; k <= half_; ++k) {
    const std::size_t at = k % half_;
    const std::size_t mirror = (half_ - k) % half_;
    const double even_re = 0.5 * (re[at] + re[mirror]);
    const double even_im = 0.5 * (im[at] - im[mirror]);
    const double odd_re = 0.5 * (im[at] + im[mirror]);
    const double odd_im = 0.5 * (re[mirror] - re[at]);
    const double c = k < half_ ? cos_[half_ - 1 + k] : -1.0;
    const double s = k < half_ ? sin_[half_ - 1 + k] : 0.0;
    out.re[k] = even_re + c * odd_re - s * odd_im;
    out.im[k] = even_im + c * odd_im + s * odd_re;
  }
  return out;
}

std::vector<double> RealFft::inverse(const Spectrum& spectrum) const {
  COPPICE_CHECK(spectrum.re.size() == half_ + 1 && spectrum.im.size() == half_ + 1);
  std::vector<double> re(half_);
  std::vector<double> im(half_);
  for (std::size_t k = 0; k < half_; ++k) {
    const std::size_t mirror = half_ - k;
    const double even_re = spectrum.re[k] + spectrum.re[mirror];
    const double even_im = spectrum.im[k] - spectrum.im[mirror];
    const double diff_re = spectrum.re[k] - spectrum.re[mirror];
    const double diff_im = spectrum.im[k] + spectrum.im[mirror];
    const double c = cos_[half_ - 1 + k];
    const double s = -sin_[half_ - 1 + k];
    const double odd_re = c * diff_re - s * diff_im;
    const double odd_im = c * diff_im + s * diff_re;
    re[k] = even_re - odd_im;
    im[k] = even_im + odd_re;
  }
  transform(im, re); // exchanged: the inverse transform
  const double scale = 1.0 / static_cast<double>(length());
  std::vector<double> x(length());
  for (std::size_t j = 0; j < half_; ++j) {
    x[2 * j] = re[j] * scale;
    x[2 * j + 1] = im[j] * scale;
  }
  return x;
}

void power(Spectrum& spectrum, std::size_t times) {
  for (std::size_t k = 0; k < spectrum.re.size(); ++k) {
    double base_re = spectrum.re[k];
    double base_im = spectrum.im[k];
    double re = 1.0;
    double im = 0.0;
    for (std::size_t left = times; left > 0; left >>= 1U) {
      if ((left & 1U) != 0) {
        const double next = re * base_re - im * base_im;
        im = re * base_im + im * base_re;
        re = next;
      }
      const double squared = (base_re - base_im) * (base_re + base_im);
      base_im = 2.0 * base_re * base_im;
      base_re = squared;
    }
    spectrum.re[k] = re;
    spectrum.im[k] = im;
  }
}

void multiply(Spectrum& a, const Spectrum& b) {
  COPPICE_CHECK(a.re.size() == b.re.size());
  for (std::size_t k = 0; k < a.re.size(); ++k) {
    const double re = a.re[k] * b.re[k] - a.im[k] * b.im[k];
    a.im[k] = a.re[k] * b.im[k] + a.im[k] * b.re[k];
    a.re[k] = re;
  }
}

} // namespace coppice
