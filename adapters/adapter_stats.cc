// SPDX-License-Identifier: Apache-2.0
#include "adapters/adapter_stats.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/text.h"

namespace coppice {
namespace {

// The factors of a product B A in double, both with the rank as rows: B is held transposed.
struct Factors {
  std::size_t in = 0;
  std::size_t out = 0;
  std::vector<double> a;  // (rank, in)
  std::vector<double> bt; // (rank, out)
  std::size_t rank() const { return a.size() / in; }
};

// scale B A of one target, the scale in B.
Factors scaled_factors(const Adapter& adapter, std::size_t t) {
  const AdapterTarget& target = adapter.spec().targets[t];
  const auto scale = static_cast<double>(adapter.spec().scale(t));
  const auto b = adapter.b(t);
  Factors factors{.in = target.in, .out = target.out, .a = {}, .bt = {}};
  factors.a.assign(adapter.a(t).begin(), adapter.a(t).end());
  factors.bt.resize(b.size());
  for (std::size_t row = 0; row < target.out; ++row) {
    for (std::size_t k = 0; k < target.rank; ++k) {
      factors.bt[k * target.out + row] = scale * static_cast<double>(b[row * target.rank + k]);
    }
  }
  return factors;
}

double row_product(const std::vector<double>& rows, std::size_t width, std::size_t i,
                   std::size_t j) {
  double sum = 0;
  for (std::size_t c = 0; c < width; ++c) sum += rows[i * width + c] * rows[j * width + c];
  return sum;
}

double product_norm(const Factors& factors) {
  double squared = 0;
  for (std::size_t i = 0; i < factors.rank(); ++i) {
    for (std::size_t j = 0; j <= i; ++j) { // both Gram matrices are symmetric
      const double term =
          row_product(factors.a, factors.in, i, j) * row_product(factors.bt, factors.out, i, j);
      squared += i == j ? term : 2 * term;
    }
  }
  return std::sqrt(std::max(squared, 0.0)); // rounding can leave a cancelled sum below zero
}

void append(std::vector<double>& to, const std::vector<double>& rows, double factor) {
  for (const double value : rows) to.push_back(factor * value);
}

void append_difference(std::vector<double>& to, const std::vector<double>& left,
                       const std::vector<double>& right) {
  for (std::size_t i = 0; i < left.size(); ++i) to.push_back(left[i] - right[i]);
}

// Factors of L - R. Of equal ranks as B1 (A1 - A2) + (B1 - B2) A2: what the two have in common
// cancels before it is squared, so near adapters lose no digits.
Factors difference(const Factors& left, const Factors& right) {
  Factors both{.in = left.in, .out = left.out, .a = {}, .bt = {}};
  if (left.rank() == right.rank()) {
    append_difference(both.a, left.a, right.a);
    append(both.a, right.a, 1);
    append(both.bt, left.bt, 1);
    append_difference(both.bt, left.bt, right.bt);
  } else {
    append(both.a, left.a, 1);
    append(both.a, right.a, 1);
    append(both.bt, left.bt, 1);
    append(both.bt, right.bt, -1);
  }
  return both;
}

double norm(std::span<const float> values) {
  double squared = 0;
  for (const float value : values)
    squared += static_cast<double>(value) * static_cast<double>(value);
  return std::sqrt(squared);
}

std::optional<std::size_t> find_target(const AdapterSpec& spec, const std::string& tensor) {
  const auto found = std::ranges::find(spec.targets, tensor, &AdapterTarget::tensor);
  if (found == spec.targets.end()) return std::nullopt;
  return static_cast<std::size_t>(found - spec.targets.begin());
}

} // namespace

std::vector<TargetNorms> target_norms(const Adapter& adapter) {
  std::vector<TargetNorms> norms;
  for (std::size_t t = 0; t < adapter.targets(); ++t) {
    norms.push_back({.tensor = adapter.spec().targets[t].tensor,
                     .a = norm(adapter.a(t)),
                     .b = norm(adapter.b(t)),
                     .product = product_norm(scaled_factors(adapter, t))});
  }
  return norms;
}

Result<std::vector<TargetDifference>> target_differences(const Adapter& left,
                                                         const Adapter& right) {
  std::vector<TargetDifference> differences;
  for (std::size_t t = 0; t < left.targets(); ++t) {
    const std::string& tensor = left.spec().targets[t].tensor;
    const Factors ours = scaled_factors(left, t);
    TargetDifference entry{.tensor = tensor, .left = product_norm(ours)};
    entry.difference = entry.left;
    if (const auto other = find_target(right.spec(), tensor)) {
      const Factors theirs = scaled_factors(right, *other);
      if (ours.in != theirs.in || ours.out != theirs.out) {
        return Error{ErrorCode::kInvalidArgument,
                     cat(tensor, " has ", ours.out, " x ", ours.in, " weights for one adapter and ",
                         theirs.out, " x ", theirs.in,
                         " for the other: they were made for different bases")};
      }
      entry.right = product_norm(theirs);
      entry.difference = product_norm(difference(ours, theirs));
    }
    differences.push_back(std::move(entry));
  }
  for (std::size_t t = 0; t < right.targets(); ++t) {
    const std::string& tensor = right.spec().targets[t].tensor;
    if (find_target(left.spec(), tensor)) continue;
    const double alone = product_norm(scaled_factors(right, t));
    differences.push_back({.tensor = tensor, .left = 0, .right = alone, .difference = alone});
  }
  return differences;
}

} // namespace coppice
