// SPDX-License-Identifier: Apache-2.0
// Rules that aggregate updates of which some may be wrong on purpose: averages with a bound on what
// one client can do, and medians. Krum's family is in krum.h.
//
// All take K updates of one size and give the next step in double. Common to all:
// - The same bits come out however the clients are ordered, and at every instruction level.
// - An update that has a value that is not finite is left out as a whole, and named in `left_out`;
//   the rule then runs on the others, K counting those alone. (Flower 1.41 counts them: one NaN
//   makes its median NaN.) Nothing is left: kFailedPrecondition.
// - Where a rule takes weights they are the clients' shares, as numbers of examples; none given
//   means equal shares. A client chooses its own number: bound it before (the plan's weight limit).
//   Where a rule has no weights, its definition has none.
// - kInvalidArgument: updates of different sizes, weights of another number, settings out of range.
// Pure functions; thread-safe.
#pragma once

#include <optional>

#include "aggregator/update_rows.h"

namespace coppice {

struct RobustResult {
  std::vector<double> update;        // (parameters)
  std::vector<std::size_t> left_out; // places of clients whose updates weren't finite, ascending
  std::vector<std::size_t> chosen;   // Krum's family alone: places of clients, the best score first
};

// The median of each coordinate; of an even number the mean of the middle two. As Flower's
// FedMedian, without weights. Withstands any minority, coordinate by coordinate.
// (Yin et al., "Byzantine-robust distributed learning", ICML 2018, definition 1.)
Result<RobustResult> coordinate_median(UpdateRows updates);

// How many values a trimmed mean cuts from each end: `count`, or else the whole part of `fraction`
// of K. The product is rounded as a double before: 0.29 of 100 are 28, in Flower as here.
struct Trim {
  double fraction = 0.2; // from each end, as Flower's beta; in [0, 0.5)
  std::optional<std::size_t> count;
};
// The mean of each coordinate's values without the least and the greatest. As Flower's
// FedTrimmedAvg, without weights. Withstands as many clients as are cut from one end.
// kFailedPrecondition where a count leaves nothing. (Yin et al. 2018, definition 2.)
Result<RobustResult> trimmed_mean(UpdateRows updates, const Trim& trim = {});

// sum_k p_k x_k min(1, bound / |x_k|): the mean after each update, taken as one vector over all its
// tensors, was scaled to an L2 norm of `bound` at most. Limits a client to p_k bound.
// (Sun et al., "Can you really backdoor federated learning?", 2019: norm thresholding.)
Result<RobustResult> norm_bound(UpdateRows updates, double bound,
                                std::span<const double> weights = {});

// The smoothed Weiszfeld algorithm towards the geometric median, argmin_v sum_k p_k |v - x_k|:
//   v <- sum_k b_k x_k / sum_k b_k with b_k = p_k / max(nu, |v - x_k|), `passes` times.
// (Pillutla, Kakade, Harchaoui, "Robust aggregation for federated learning", IEEE TSP 2022.) The
// algorithm leaves open where v begins. Here it is `start`, or zero, which is the adapter as the
// clients received it: every device knows that, and a far outlier weighs next to nothing from the
// first pass on, while a start at the mean lets it drag v along for several.
struct RfaSettings {
  std::size_t passes = 3;
  double nu =
      1e-6; // in the updates' units: well below their distances, or else the rule is the mean
};
Result<RobustResult> rfa(UpdateRows updates, const RfaSettings& settings = {},
                         std::span<const double> weights = {}, std::span<const double> start = {});

// Centered clipping: v <- v + sum_k p_k (x_k - v) min(1, radius / |x_k - v|), `passes` times, from
// `centre`, or zero. One pass never moves further than `radius` from where it began. Within the
// radius of all updates it is the mean. (Karimireddy, He, Jaggi, "Learning from history for
// Byzantine robust optimization", ICML 2021, with equal shares; there the centre is the last
// round's result, and clients send momentum.)
struct CenteredClipSettings {
  double radius = 0; // tau; no default, as it is in the updates' units
  std::size_t passes = 1;
};
Result<RobustResult> centered_clip(UpdateRows updates, const CenteredClipSettings& settings,
                                   std::span<const double> weights = {},
                                   std::span<const double> centre = {});

} // namespace coppice
