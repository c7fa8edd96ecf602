// SPDX-License-Identifier: Apache-2.0
#include "aggregator/krum.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "aggregator/column_sorter.h"
#include "base/text.h"

namespace coppice {
namespace {

// K >= per_fault f + 3
Result<void> check_majority(const char* rule, std::size_t updates, std::size_t faulty,
                            std::size_t per_fault) {
  if (updates >= 3 && faulty <= (updates - 3) / per_fault) return {};
  return Error{
      ErrorCode::kFailedPrecondition,
      cat(rule, " against ", faulty, " faulty updates needs at least ", per_fault, " * ", faulty,
          " + 3 that are finite, and got ", updates, "; wait for more or expect fewer faults")};
}

// Who is near whom, for a set that shrinks.
class Neighbourhood {
 public:
  explicit Neighbourhood(UpdateRows rows)
      : count_(rows.size()), distances_(squared_distances(rows)), present_(count_, true) {
    for (std::size_t row = 0; row < count_; ++row) {
      std::vector<std::size_t> others;
      for (std::size_t other = 0; other < count_; ++other) {
        if (other != row) others.push_back(other);
      }
      std::sort(others.begin(), others.end(), [&](std::size_t a, std::size_t b) {
        return std::pair(distance(row, a), a) < std::pair(distance(row, b), b);
      });
      nearest_.push_back(std::move(others));
    }
  }

  // The sum of squared distances to the `neighbours` nearest that are left, from the nearest on.
  double score(std::size_t row, std::size_t neighbours) const {
    double sum = 0;
    for (const std::size_t other : nearest_[row]) {
      if (neighbours == 0) break;
      if (!present_[other]) continue;
      sum += distance(row, other);
      --neighbours;
    }
    return sum;
  }
  bool present(std::size_t row) const { return present_[row]; }
  void remove(std::size_t row) { present_[row] = false; }

 private:
  double distance(std::size_t a, std::size_t b) const { return distances_[a * count_ + b]; }
  std::size_t count_;
  std::vector<double> distances_;                 // (count, count)
  std::vector<std::vector<std::size_t>> nearest_; // (count, count - 1), the nearest first
  std::vector<bool> present_;
};

// The `keep` best scores, best first; rows come in the order that breaks ties.
std::vector<std::size_t> best_scores(UpdateRows rows, std::size_t faulty, std::size_t keep) {
  const Neighbourhood neighbourhood(rows);
  std::vector<double> scores(rows.size());
  for (std::size_t row = 0; row < rows.size(); ++row) {
    scores[row] = neighbourhood.score(row, rows.size() - faulty - 2);
  }
  std::vector<std::size_t> order(rows.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return scores[a] < scores[b]; });
  order.resize(keep);
  return order;
}

std::vector<std::size_t> repeated_krum(UpdateRows rows, std::size_t faulty, std::size_t keep) {
  Neighbourhood neighbourhood(rows);
  std::vector<std::size_t> chosen;
  for (std::size_t left = rows.size(); chosen.size() < keep; --left) {
    const std::size_t neighbours = left > faulty + 2 ? left - faulty - 2 : 1;
    std::size_t best = rows.size();
    double least = 0;
    for (std::size_t row = 0; row < rows.size(); ++row) {
      if (!neighbourhood.present(row)) continue;
      const double score = neighbourhood.score(row, neighbours);
      if (best == rows.size() || score < least) {
        best = row;
        least = score;
      }
    }
    chosen.push_back(best);
    neighbourhood.remove(best);
  }
  return chosen;
}

// The mean of the `keep` values that are closest to the median of a sorted column. They stand next
// to each other, so they are the first window whose next value to the right isn't closer than its
// first.
double mean_around_median(std::span<const double> sorted, std::size_t keep) {
  const std::size_t count = sorted.size();
  const double median = 0.5 * (sorted[(count - 1) / 2] + sorted[count / 2]);
  std::size_t first = 0;
  while (first + keep < count && sorted[first + keep] - median < median - sorted[first]) ++first;
  double sum = 0;
  for (std::size_t i = first; i < first + keep; ++i) sum += sorted[i];
  return sum / static_cast<double>(keep);
}

std::vector<double> means_around_medians(UpdateRows rows, std::size_t keep) {
  std::vector<double> update(rows.front().size());
  std::vector<double> column(rows.size());
  ColumnSorter sorter(rows.size());
  for (std::size_t first = 0; first < update.size(); first += ColumnSorter::kColumns) {
    sorter.sort(rows, first);
    const std::size_t columns = std::min(ColumnSorter::kColumns, update.size() - first);
    for (std::size_t i = 0; i < columns; ++i) {
      for (std::size_t rank = 0; rank < rows.size(); ++rank) {
        column[rank] = static_cast<double>(sorter.rank(rank)[i]);
      }
      update[first + i] = mean_around_median(column, keep);
    }
  }
  return update;
}

} // namespace

Result<RobustResult> krum(UpdateRows updates, std::size_t faulty) {
  return multi_krum(updates, faulty, 1);
}

Result<RobustResult> multi_krum(UpdateRows updates, std::size_t faulty, std::size_t keep,
                                std::span<const double> weights) {
  if (keep == 0) {
    return Error{ErrorCode::kInvalidArgument, "Multi-Krum: keep at least one update"};
  }
  auto admitted = COPPICE_TRY(admit_rows(updates, weights));
  const std::size_t count = admitted.rows.size();
  COPPICE_TRY(check_majority("Krum", count, faulty, 2));
  if (keep > count - faulty) {
    return Error{ErrorCode::kFailedPrecondition,
                 cat("Multi-Krum: among ", keep, " of ", count, " updates is one of ", faulty,
                     " faulty ones; keep ", count - faulty, " at most")};
  }
  const auto best = best_scores(admitted.rows, faulty, keep);
  RobustResult result{
      std::vector<double>(admitted.parameters(), 0.0), std::move(admitted.left_out), {}};
  std::vector<UpdateRow> rows;
  std::vector<double> shares;
  double total = 0;
  for (const std::size_t row : best) {
    result.chosen.push_back(admitted.clients[row]);
    rows.push_back(admitted.rows[row]);
    shares.push_back(admitted.weights[row]);
    total += shares.back();
  }
  if (!(total > 0)) {
    return Error{ErrorCode::kFailedPrecondition, "Multi-Krum: the chosen updates have no weight"};
  }
  for (double& share : shares) share /= total;
  add_weighted(rows, shares, result.update);
  return result;
}

Result<RobustResult> bulyan(UpdateRows updates, std::size_t faulty, BulyanSelection selection) {
  auto admitted = COPPICE_TRY(admit_rows(updates));
  const std::size_t count = admitted.rows.size();
  COPPICE_TRY(check_majority("Bulyan", count, faulty, 4));
  const std::size_t theta = count - 2 * faulty;
  const auto best = selection == BulyanSelection::kRepeatedKrum
                        ? repeated_krum(admitted.rows, faulty, theta)
                        : best_scores(admitted.rows, faulty, theta);
  RobustResult result{{}, std::move(admitted.left_out), {}};
  std::vector<UpdateRow> rows;
  for (const std::size_t row : best) {
    result.chosen.push_back(admitted.clients[row]);
    rows.push_back(admitted.rows[row]);
  }
  result.update = means_around_medians(rows, theta - 2 * faulty);
  return result;
}

} // namespace coppice
