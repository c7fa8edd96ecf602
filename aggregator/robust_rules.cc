// SPDX-License-Identifier: Apache-2.0
#include "aggregator/robust_rules.h"

#include <algorithm>
#include <cmath>

#include "aggregator/column_sorter.h"
#include "base/text.h"

namespace coppice {
namespace {

Result<void> check_positive(double value, const char* what) {
  if (value > 0 && std::isfinite(value)) return {};
  return Error{ErrorCode::kInvalidArgument,
               cat(what, " is ", value, "; it is a positive finite number")};
}

// A point to begin at: `given`, or zero.
Result<std::vector<double>> starting_point(std::span<const double> given, std::size_t parameters,
                                           const char* what) {
  if (given.empty()) return std::vector<double>(parameters, 0.0);
  if (given.size() != parameters) {
    return Error{ErrorCode::kInvalidArgument,
                 cat(what, " has ", given.size(), " values and the ", "updates have ", parameters)};
  }
  if (!std::all_of(given.begin(), given.end(), [](double x) { return std::isfinite(x); })) {
    return Error{ErrorCode::kInvalidArgument, cat(what, " has a value that is not finite")};
  }
  return std::vector<double>(given.begin(), given.end());
}

Result<std::size_t> values_to_cut(const Trim& trim, std::size_t rows) {
  if (trim.count.has_value()) {
    if (*trim.count >= (rows + 1) / 2) {
      return Error{ErrorCode::kFailedPrecondition,
                   cat("trimmed mean: cutting ", *trim.count, " from each end leaves nothing of ",
                       rows, " updates; wait for more of them or cut less")};
    }
    return *trim.count;
  }
  if (!(trim.fraction >= 0 && trim.fraction < 0.5)) {
    return Error{ErrorCode::kInvalidArgument,
                 cat("trimmed mean: the fraction to cut from each end is ", trim.fraction,
                     "; it is at least 0 and below 0.5")};
  }
  return static_cast<std::size_t>(trim.fraction * static_cast<double>(rows));
}

} // namespace

Result<RobustResult> coordinate_median(UpdateRows updates) {
  auto admitted = COPPICE_TRY(admit_rows(updates));
  RobustResult result{std::vector<double>(admitted.parameters()), std::move(admitted.left_out), {}};
  const std::size_t count = admitted.rows.size();
  ColumnSorter sorter(count);
  for (std::size_t first = 0; first < result.update.size(); first += ColumnSorter::kColumns) {
    sorter.sort(admitted.rows, first);
    const auto low = sorter.rank((count - 1) / 2);
    const auto high = sorter.rank(count / 2);
    const std::size_t columns = std::min(ColumnSorter::kColumns, result.update.size() - first);
    for (std::size_t i = 0; i < columns; ++i) {
      result.update[first + i] = 0.5 * (static_cast<double>(low[i]) + static_cast<double>(high[i]));
    }
  }
  return result;
}

Result<RobustResult> trimmed_mean(UpdateRows updates, const Trim& trim) {
  auto admitted = COPPICE_TRY(admit_rows(updates));
  const std::size_t count = admitted.rows.size();
  const std::size_t cut = COPPICE_TRY(values_to_cut(trim, count));
  RobustResult result{std::vector<double>(admitted.parameters()), std::move(admitted.left_out), {}};
  const std::size_t kept = count - 2 * cut;
  const std::vector<double> ones(kept, 1.0);
  std::vector<UpdateRow> ranks(kept);
  ColumnSorter sorter(count);
  for (std::size_t first = 0; first < result.update.size(); first += ColumnSorter::kColumns) {
    sorter.sort(admitted.rows, first);
    const std::size_t columns = std::min(ColumnSorter::kColumns, result.update.size() - first);
    for (std::size_t rank = 0; rank < kept; ++rank) ranks[rank] = sorter.rank(cut + rank);
    add_weighted(ranks, ones, std::span(result.update).subspan(first, columns));
  }
  for (double& value : result.update) value /= static_cast<double>(kept);
  return result;
}

Result<RobustResult> norm_bound(UpdateRows updates, double bound, std::span<const double> weights) {
  COPPICE_TRY(check_positive(bound, "norm bound: the bound"));
  CenteredClipSettings settings;
  settings.radius = bound;
  return centered_clip(updates, settings, weights); // around zero
}

Result<RobustResult> rfa(UpdateRows updates, const RfaSettings& settings,
                         std::span<const double> weights, std::span<const double> start) {
  COPPICE_TRY(check_positive(settings.nu, "RFA: nu"));
  if (settings.passes == 0) {
    return Error{ErrorCode::kInvalidArgument, "RFA: make at least one pass"};
  }
  auto admitted = COPPICE_TRY(admit_rows(updates, weights));
  std::vector<double> point =
      COPPICE_TRY(starting_point(start, admitted.parameters(), "RFA: the start"));
  std::vector<double> pulls(admitted.rows.size());
  for (std::size_t pass = 0; pass < settings.passes; ++pass) {
    double total = 0;
    for (std::size_t row = 0; row < pulls.size(); ++row) {
      const double distance = std::sqrt(squared_distance(admitted.rows[row], point));
      pulls[row] = admitted.weights[row] / std::max(settings.nu, distance);
      total += pulls[row];
    }
    for (double& pull : pulls) pull /= total;
    std::fill(point.begin(), point.end(), 0.0);
    add_weighted(admitted.rows, pulls, point);
  }
  return RobustResult{std::move(point), std::move(admitted.left_out), {}};
}

Result<RobustResult> centered_clip(UpdateRows updates, const CenteredClipSettings& settings,
                                   std::span<const double> weights,
                                   std::span<const double> centre) {
  COPPICE_TRY(check_positive(settings.radius, "centered clipping: the radius"));
  if (settings.passes == 0) {
    return Error{ErrorCode::kInvalidArgument, "centered clipping: make at least one pass"};
  }
  auto admitted = COPPICE_TRY(admit_rows(updates, weights));
  std::vector<double> point =
      COPPICE_TRY(starting_point(centre, admitted.parameters(), "centered clipping: the centre"));
  std::vector<double> pulls(admitted.rows.size());
  for (std::size_t pass = 0; pass < settings.passes; ++pass) {
    // v + sum_k s_k (x_k - v) = (1 - sum_k s_k) v + sum_k s_k x_k
    double stays = 1;
    for (std::size_t row = 0; row < pulls.size(); ++row) {
      const double distance = std::sqrt(squared_distance(admitted.rows[row], point));
      const double factor = distance > settings.radius ? settings.radius / distance : 1.0;
      pulls[row] = admitted.weights[row] * factor;
      stays -= pulls[row];
    }
    for (double& value : point) value *= stays;
    add_weighted(admitted.rows, pulls, point);
  }
  return RobustResult{std::move(point), std::move(admitted.left_out), {}};
}

} // namespace coppice
