// SPDX-License-Identifier: Apache-2.0
#include "adapters/factored.h"

#include <algorithm>
#include <cmath>

#include "base/text.h"

namespace coppice {
namespace {

bool all_finite(std::span<const float> values) {
  return std::ranges::all_of(values, [](float value) { return std::isfinite(value); });
}

} // namespace

ProductView Product::view(double scale) const {
  return {.out = out, .in = in, .rank = rank, .b = b, .a = a, .scale = scale};
}

ProductView product_of(const Adapter& adapter, std::size_t target, double weight) {
  const AdapterTarget& shape = adapter.spec().targets[target];
  return {.out = shape.out,
          .in = shape.in,
          .rank = shape.rank,
          .b = adapter.b(target),
          .a = adapter.a(target),
          .scale = weight * static_cast<double>(adapter.spec().scale(target))};
}

Result<void> validate_parts(std::span<const ProductView> parts) {
  if (parts.empty())
    return invalid_argument("a sum of no products has no shape; give at least one");
  const ProductView& first = parts.front();
  if (first.out == 0 || first.in == 0) return invalid_argument("a product needs rows and columns");
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const ProductView& part = parts[i];
    if (part.out != first.out || part.in != first.in) {
      return invalid_argument(cat("product ", i, " is ", part.out, " x ", part.in,
                                  ", the first is ", first.out, " x ", first.in,
                                  ": only updates of one layer have a sum"));
    }
    if (part.b.size() != part.out * part.rank || part.a.size() != part.rank * part.in) {
      return invalid_argument(cat("the factors of product ", i, " have ", part.b.size(), " and ",
                                  part.a.size(), " values, which isn't rank ", part.rank, " of ",
                                  part.out, " x ", part.in));
    }
    if (!std::isfinite(part.scale) || !all_finite(part.b) || !all_finite(part.a)) {
      return invalid_argument(cat("product ", i, " holds a value that isn't finite; leave it out"));
    }
  }
  return {};
}

Result<Product> stacked(std::span<const ProductView> parts) {
  COPPICE_TRY(validate_parts(parts));
  Product sum{.out = parts.front().out, .in = parts.front().in, .rank = 0, .b = {}, .a = {}};
  for (const ProductView& part : parts) sum.rank += part.rank;
  sum.b.resize(sum.out * sum.rank);
  sum.a.reserve(sum.rank * sum.in);
  std::size_t before = 0; // ranks of the parts already placed
  for (const ProductView& part : parts) {
    for (const float value : part.a) {
      sum.a.push_back(static_cast<float>(part.scale * static_cast<double>(value)));
    }
    for (std::size_t row = 0; row < sum.out; ++row) {
      std::ranges::copy(part.b.subspan(row * part.rank, part.rank),
                        sum.b.begin() + static_cast<std::ptrdiff_t>(row * sum.rank + before));
    }
    before += part.rank;
  }
  return sum;
}

Product resized(const Product& product, std::size_t rank) {
  Product result{.out = product.out, .in = product.in, .rank = rank, .b = {}, .a = product.a};
  result.a.resize(rank * product.in);
  result.b.resize(product.out * rank);
  const std::size_t kept = std::min(rank, product.rank);
  for (std::size_t row = 0; row < product.out; ++row) {
    for (std::size_t k = 0; k < kept; ++k) {
      result.b[row * rank + k] = product.b[row * product.rank + k];
    }
  }
  return result;
}

double inner_product(const ProductView& x, const ProductView& y) {
  COPPICE_CHECK(x.out == y.out && x.in == y.in, "only products of one shape have an inner product");
  std::vector<double> gram(x.rank * y.rank, 0.0); // B_x^T B_y
  for (std::size_t row = 0; row < x.out; ++row) {
    for (std::size_t k = 0; k < x.rank; ++k) {
      const auto left = static_cast<double>(x.b[row * x.rank + k]);
      for (std::size_t l = 0; l < y.rank; ++l) {
        gram[k * y.rank + l] += left * static_cast<double>(y.b[row * y.rank + l]);
      }
    }
  }
  double sum = 0;
  for (std::size_t k = 0; k < x.rank; ++k) {
    for (std::size_t l = 0; l < y.rank; ++l) {
      double rows = 0; // (A_x A_y^T)_kl
      for (std::size_t column = 0; column < x.in; ++column) {
        rows += static_cast<double>(x.a[k * x.in + column]) *
                static_cast<double>(y.a[l * y.in + column]);
      }
      sum += gram[k * y.rank + l] * rows;
    }
  }
  return x.scale * y.scale * sum;
}

} // namespace coppice
