// SPDX-License-Identifier: Apache-2.0
#include "adapters/core_basis.h"

#include <cmath>

#include "base/check.h"

namespace coppice {
namespace {

// Columns of (rows, columns), row-major.
struct Columns {
  std::vector<double>& values;
  std::size_t rows, columns;

  double& at(std::size_t row, std::size_t column) { return values[row * columns + column]; }
  double norm(std::size_t column) {
    double squares = 0;
    for (std::size_t row = 0; row < rows; ++row) squares += at(row, column) * at(row, column);
    return std::sqrt(squares);
  }
  // Takes from a column what lies along those before it; the second time what rounding left of it.
  void clear_of_earlier(std::size_t column) {
    for (int pass = 0; pass < 2; ++pass) {
      for (std::size_t earlier = 0; earlier < column; ++earlier) {
        double along = 0;
        for (std::size_t row = 0; row < rows; ++row) along += at(row, earlier) * at(row, column);
        for (std::size_t row = 0; row < rows; ++row) at(row, column) -= along * at(row, earlier);
      }
    }
  }
};

// Of what float32 holds of a column, directions below this are rounding.
constexpr double kNoDirection = 1e-6;

// The first of the rows that columns before this one cover least.
std::size_t least_covered_row(Columns of, std::size_t column) {
  std::size_t least = 0;
  double covered_least = 2;
  for (std::size_t row = 0; row < of.rows; ++row) {
    double covered = 0;
    for (std::size_t i = 0; i < column; ++i) covered += of.at(row, i) * of.at(row, i);
    if (covered < covered_least) {
      least = row;
      covered_least = covered;
    }
  }
  return least;
}

std::vector<double> basis_of(std::span<const float> b, std::size_t rows, std::size_t rank) {
  std::vector<double> basis(b.begin(), b.end());
  Columns of{basis, rows, rank};
  for (std::size_t column = 0; column < rank; ++column) {
    const double before = of.norm(column);
    of.clear_of_earlier(column);
    if (!(of.norm(column) > kNoDirection * before)) {
      for (std::size_t row = 0; row < rows; ++row) of.at(row, column) = 0;
      of.at(least_covered_row(of, column), column) = 1;
      of.clear_of_earlier(column);
    }
    const double length = of.norm(column);
    for (std::size_t row = 0; row < rows; ++row) of.at(row, column) /= length;
  }
  return basis;
}

} // namespace

std::size_t core_count(const AdapterSpec& spec) {
  std::size_t count = 0;
  for (const AdapterTarget& target : spec.targets) count += std::size_t{target.rank} * target.rank;
  return count;
}

CoreBasis::CoreBasis(const Adapter& release) : spec_(release.shared_spec()) {
  for (std::size_t t = 0; t < spec_->targets.size(); ++t) {
    const AdapterTarget& target = spec_->targets[t];
    bases_.push_back(basis_of(release.b(t), target.out, target.rank));
  }
}

std::vector<double> CoreBasis::cores(std::span<const float> all) const {
  COPPICE_CHECK(all.size() == spec_->parameters());
  std::vector<double> cores(core_count(*spec_));
  std::size_t from = 0, to = 0;
  for (std::size_t t = 0; t < bases_.size(); ++t) {
    const AdapterTarget& target = spec_->targets[t];
    const std::size_t rank = target.rank;
    from += target.a_elements();
    for (std::size_t row = 0; row < target.out; ++row) {
      const double* const basis = &bases_[t][row * rank];
      const float* const values = &all[from + row * rank];
      for (std::size_t i = 0; i < rank; ++i) {
        double* const core = &cores[to + i * rank];
        for (std::size_t j = 0; j < rank; ++j) core[j] += basis[i] * static_cast<double>(values[j]);
      }
    }
    from += target.b_elements();
    to += rank * rank;
  }
  return cores;
}

std::vector<double> CoreBasis::in_place(std::span<const double> cores) const {
  COPPICE_CHECK(cores.size() == core_count(*spec_));
  std::vector<double> all(spec_->parameters());
  std::size_t from = 0, to = 0;
  for (std::size_t t = 0; t < bases_.size(); ++t) {
    const AdapterTarget& target = spec_->targets[t];
    const std::size_t rank = target.rank;
    to += target.a_elements();
    for (std::size_t row = 0; row < target.out; ++row) {
      const double* const basis = &bases_[t][row * rank];
      double* const values = &all[to + row * rank];
      for (std::size_t i = 0; i < rank; ++i) {
        const double* const core = &cores[from + i * rank];
        for (std::size_t j = 0; j < rank; ++j) values[j] += basis[i] * core[j];
      }
    }
    to += target.b_elements();
    from += rank * rank;
  }
  return all;
}

} // namespace coppice
