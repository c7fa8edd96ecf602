// SPDX-License-Identifier: Apache-2.0
#include "aggregator/update_rows.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <numeric>

#include "base/instruction_levels.h"
#include "base/text.h"

namespace coppice {
namespace {

constexpr std::size_t kRowLanes = 16;
using Floats = float __attribute__((vector_size(kRowLanes * sizeof(float))));
using RowIntegers = std::int32_t __attribute__((vector_size(kRowLanes * sizeof(std::int32_t))));
constexpr std::size_t kWideLanes = 8; // of double
using HalfFloats = float __attribute__((vector_size(kWideLanes * sizeof(float))));
using Doubles = double __attribute__((vector_size(kWideLanes * sizeof(double))));

constexpr std::size_t kBlockColumns = 1024;    // of a block that stays in the cache
constexpr std::size_t kTile = 4;               // rows against as many rows, or added at once
constexpr std::int32_t kExponent = 0x7F800000; // all ones in NaN and infinity alone

COPPICE_LEVELS bool all_finite(const float* values, std::size_t n) {
  RowIntegers found = {};
  std::size_t i = 0;
  for (; i + kRowLanes <= n; i += kRowLanes) {
    RowIntegers bits;
    std::memcpy(&bits, values + i, sizeof bits);
    found |= (bits & kExponent) == kExponent;
  }
  std::int32_t any[kRowLanes];
  std::memcpy(any, &found, sizeof found);
  for (; i < n; ++i) any[0] |= std::isfinite(values[i]) ? 0 : 1;
  return std::all_of(std::begin(any), std::end(any), [](std::int32_t lane) { return lane == 0; });
}

// sum += w[0] rows[0] + ... in this order, one addition after the other.
COPPICE_LEVELS void add_four_rows(const float* const* rows, const double* w, std::size_t n,
                                  double* sum) {
  std::size_t i = 0;
  for (; i + kWideLanes <= n; i += kWideLanes) {
    Doubles s;
    std::memcpy(&s, sum + i, sizeof s);
#pragma GCC unroll 4
    for (std::size_t row = 0; row < kTile; ++row) {
      HalfFloats x;
      std::memcpy(&x, rows[row] + i, sizeof x);
      s += __builtin_convertvector(x, Doubles) * w[row];
    }
    std::memcpy(sum + i, &s, sizeof s);
  }
  for (; i < n; ++i) {
    for (std::size_t row = 0; row < kTile; ++row) {
      sum[i] += static_cast<double>(rows[row][i]) * w[row];
    }
  }
}

COPPICE_LEVELS void add_row(const float* row, double w, std::size_t n, double* sum) {
  constexpr std::size_t kStride = 4 * kWideLanes;
  std::size_t i = 0;
  for (; i + kStride <= n; i += kStride) {
#pragma GCC unroll 4
    for (std::size_t part = 0; part < kStride; part += kWideLanes) {
      HalfFloats x;
      Doubles s;
      std::memcpy(&x, row + i + part, sizeof x);
      std::memcpy(&s, sum + i + part, sizeof s);
      s += __builtin_convertvector(x, Doubles) * w;
      std::memcpy(sum + i + part, &s, sizeof s);
    }
  }
  for (; i < n; ++i) sum[i] += static_cast<double>(row[i]) * w;
}

COPPICE_LEVELS double distance_to_centre(const float* row, const double* centre, std::size_t n) {
  Doubles sums[2] = {};
  std::size_t i = 0;
  for (; i + 2 * kWideLanes <= n; i += 2 * kWideLanes) {
#pragma GCC unroll 2
    for (std::size_t part = 0; part < 2; ++part) {
      HalfFloats x;
      Doubles c;
      std::memcpy(&x, row + i + part * kWideLanes, sizeof x);
      std::memcpy(&c, centre + i + part * kWideLanes, sizeof c);
      const Doubles difference = __builtin_convertvector(x, Doubles) - c;
      sums[part] += difference * difference;
    }
  }
  const Doubles both = sums[0] + sums[1];
  double sum = 0;
  for (std::size_t lane = 0; lane < kWideLanes; ++lane) sum += both[lane];
  for (; i < n; ++i) {
    const double difference = static_cast<double>(row[i]) - centre[i];
    sum += difference * difference;
  }
  return sum;
}

// The squared distances of four rows from four others over `n` columns, a multiple of kRowLanes,
// added to `sums` (4, 4).
COPPICE_LEVELS void add_tile_distances(const float* const* a, const float* const* b, std::size_t n,
                                       double* sums) {
  Floats squares[kTile][kTile] = {};
  for (std::size_t column = 0; column < n; column += kRowLanes) {
    Floats x[kTile], y[kTile];
#pragma GCC unroll 4
    for (std::size_t i = 0; i < kTile; ++i) {
      std::memcpy(&x[i], a[i] + column, sizeof x[i]);
      std::memcpy(&y[i], b[i] + column, sizeof y[i]);
    }
#pragma GCC unroll 4
    for (std::size_t i = 0; i < kTile; ++i) {
#pragma GCC unroll 4
      for (std::size_t j = 0; j < kTile; ++j) {
        const Floats difference = x[i] - y[j];
        squares[i][j] += difference * difference;
      }
    }
  }
#pragma GCC unroll 4
  for (std::size_t i = 0; i < kTile; ++i) {
#pragma GCC unroll 4
    for (std::size_t j = 0; j < kTile; ++j) {
      HalfFloats halves[2];
      std::memcpy(halves, &squares[i][j], sizeof halves);
      const Doubles lanes =
          __builtin_convertvector(halves[0], Doubles) + __builtin_convertvector(halves[1], Doubles);
      sums[i * kTile + j] += ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) +
                             ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
    }
  }
}

bool rows_before(const UpdateRow& a, double a_weight, const UpdateRow& b, double b_weight) {
  const int order = std::memcmp(a.data(), b.data(), a.size_bytes());
  return order != 0 ? order < 0 : a_weight < b_weight;
}

Result<void> check_shapes(UpdateRows rows, std::span<const double> weights) {
  if (rows.empty() || rows.front().empty()) {
    return Error{ErrorCode::kInvalidArgument, "there are no updates to aggregate"};
  }
  for (std::size_t row = 0; row < rows.size(); ++row) {
    if (rows[row].size() != rows.front().size()) {
      return Error{ErrorCode::kInvalidArgument,
                   cat("update ", row, " has ", rows[row].size(), " values and the first has ",
                       rows.front().size(), "; updates of one round have one size")};
    }
  }
  if (!weights.empty() && weights.size() != rows.size()) {
    return Error{ErrorCode::kInvalidArgument,
                 cat(weights.size(), " weights for ", rows.size(), " updates")};
  }
  for (std::size_t row = 0; row < weights.size(); ++row) {
    if (!(std::isfinite(weights[row]) && weights[row] >= 0)) {
      return Error{ErrorCode::kInvalidArgument,
                   cat("the weight of update ", row, " is ", weights[row],
                       "; weights are finite and at least 0")};
    }
  }
  return {};
}

} // namespace

Result<AdmittedRows> admit_rows(UpdateRows rows, std::span<const double> weights) {
  COPPICE_TRY(check_shapes(rows, weights));
  const auto weight_of = [&](std::size_t row) { return weights.empty() ? 1.0 : weights[row]; };
  AdmittedRows admitted;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    auto& list =
        all_finite(rows[row].data(), rows[row].size()) ? admitted.clients : admitted.left_out;
    list.push_back(row);
  }
  if (admitted.clients.empty()) {
    return Error{ErrorCode::kFailedPrecondition,
                 cat("all ", rows.size(),
                     " updates have values that are not finite; look at what "
                     "the devices train")};
  }
  std::sort(admitted.clients.begin(), admitted.clients.end(), [&](std::size_t a, std::size_t b) {
    return rows_before(rows[a], weight_of(a), rows[b], weight_of(b));
  });
  double total = 0;
  for (const std::size_t client : admitted.clients) total += weight_of(client);
  if (!(total > 0 && std::isfinite(total))) {
    return Error{ErrorCode::kFailedPrecondition,
                 "the weights of the updates don't add up to a "
                 "positive finite number"};
  }
  for (const std::size_t client : admitted.clients) {
    admitted.rows.push_back(rows[client]);
    admitted.weights.push_back(weight_of(client) / total);
  }
  return admitted;
}

void add_weighted(UpdateRows rows, std::span<const double> weights, std::span<double> sum) {
  for (std::size_t first = 0; first < sum.size(); first += kBlockColumns) {
    const std::size_t columns = std::min(kBlockColumns, sum.size() - first);
    std::size_t row = 0;
    for (; row + kTile <= rows.size(); row += kTile) {
      const float* four[kTile];
      for (std::size_t i = 0; i < kTile; ++i) four[i] = rows[row + i].data() + first;
      add_four_rows(four, weights.data() + row, columns, sum.data() + first);
    }
    for (; row < rows.size(); ++row) {
      add_row(rows[row].data() + first, weights[row], columns, sum.data() + first);
    }
  }
}

double squared_distance(UpdateRow row, std::span<const double> centre) {
  return distance_to_centre(row.data(), centre.data(), row.size());
}

std::vector<double> squared_distances(UpdateRows rows) {
  const std::size_t n = rows.size();
  const std::size_t tiles = (n + kTile - 1) / kTile;
  const std::size_t parameters = rows.front().size();
  const std::size_t whole = parameters / kRowLanes * kRowLanes;
  // The last columns, filled up with zeros, and the last rows, filled up with the very last one.
  std::vector<float> rest(tiles * kTile * kRowLanes, 0.0F);
  std::vector<const float*> block(tiles * kTile);
  std::vector<double> sums(tiles * tiles * kTile * kTile, 0.0);
  const auto add_block = [&](std::size_t columns) {
    for (std::size_t i = 0; i < tiles; ++i) {
      for (std::size_t j = i; j < tiles; ++j) {
        add_tile_distances(&block[i * kTile], &block[j * kTile], columns,
                           &sums[(i * tiles + j) * kTile * kTile]);
      }
    }
  };
  for (std::size_t first = 0; first < whole; first += kBlockColumns) {
    for (std::size_t row = 0; row < block.size(); ++row) {
      block[row] = rows[std::min(row, n - 1)].data() + first;
    }
    add_block(std::min(kBlockColumns, whole - first));
  }
  for (std::size_t row = 0; row < block.size(); ++row) {
    block[row] = &rest[row * kRowLanes];
    std::copy_n(rows[std::min(row, n - 1)].data() + whole, parameters - whole,
                &rest[row * kRowLanes]);
  }
  if (whole < parameters) add_block(kRowLanes);

  std::vector<double> distances(n * n, 0.0);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = i + 1; j < n; ++j) {
      const std::size_t tile = (i / kTile) * tiles + j / kTile;
      const double sum = sums[tile * kTile * kTile + (i % kTile) * kTile + j % kTile];
      distances[i * n + j] = distances[j * n + i] = sum;
    }
  }
  return distances;
}

} // namespace coppice
