// SPDX-License-Identifier: Apache-2.0
// Clients' updates side by side, and the passes over them that rules of aggregation are made of.
//
// A row is one client's update: float32, one value a parameter. Rows are borrowed, never copied. A
// round's order of clients is an accident, so admit_rows() brings them into an order that their
// values alone decide: whatever is computed from it afterwards has the same bits however the
// clients came. Every loop adds in one fixed order, whatever the machine's instruction level. Pure
// functions; thread-safe.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/result.h"

namespace coppice {

using UpdateRow = std::span<const float>;                   // (parameters)
using UpdateRows = std::span<const std::span<const float>>; // (clients), rows of one size

struct AdmittedRows {
  std::vector<UpdateRow> rows; // (admitted), by their bytes and, where those are equal, weights
  std::vector<double> weights; // as `rows`; they sum to 1
  std::vector<std::size_t> clients;  // as `rows`: places in what was given
  std::vector<std::size_t> left_out; // places of rows with NaN or infinity, ascending
  std::size_t parameters() const { return rows.front().size(); }
};

// The rows that can be counted. A row that has NaN or an infinity anywhere is left out as a whole:
// no rule can bound what it does to a sum. Empty `weights` mean that all rows weigh the same.
// kInvalidArgument for no rows, rows without values or of different sizes, weights of another
// number than the rows, or one that is negative or not finite; kFailedPrecondition where no row is
// finite, or where those that are have no weight.
Result<AdmittedRows> admit_rows(UpdateRows rows, std::span<const double> weights = {});

// sum += weight * row, row after row, in double. The same bits whether the rows come in one call or
// in many; calls of four or more take two thirds of the time. Sizes must agree.
void add_weighted(UpdateRows rows, std::span<const double> weights, std::span<double> sum);

// |row - centre|^2 over all parameters, in double. Sizes must agree.
double squared_distance(UpdateRow row, std::span<const double> centre);

// All |row_i - row_j|^2, symmetric, zeros on the diagonal; (rows, rows). From differences rather
// than from products, as |x|^2 + |y|^2 - 2 x y loses everything where rows are alike. Differences
// and squares are in float32, up to 64 squares are added in float32 and those sums in double: the
// relative error is below 2^-17 where the squares are normal floats. Differences of less than 1e-22
// count as none, and distances beyond 1e19 become infinite.
std::vector<double> squared_distances(UpdateRows rows);

} // namespace coppice
