// SPDX-License-Identifier: Apache-2.0
// Krum and the rules built on it: they trust the updates that have close neighbours.
//
// What robust_rules.h says of all rules holds here too. Of K updates f may be wrong on purpose. An
// update's score is the sum of its squared distances to its K - f - 2 nearest others; the lowest is
// best. (ByzFL takes K - f - 1; the paper and Flower K - f - 2.) Equal scores are common where few
// neighbours count, as the two nearest to each other tie: the update whose bytes come first is
// taken, so that the order of clients decides nothing. (Flower takes the client that comes first.)
#pragma once

#include <cstddef>

#include "aggregator/robust_rules.h"

namespace coppice {

// The update with the best score, unchanged. kFailedPrecondition unless K >= 2 f + 3, without which
// the paper promises nothing. (Flower 1.41 goes on with any K, counting at least one neighbour.)
// (Blanchard et al., "Machine learning with adversaries: Byzantine tolerant gradient descent",
// NeurIPS 2017.)
Result<RobustResult> krum(UpdateRows updates, std::size_t faulty);

// The mean of the `keep` best. One is Krum, and Flower's default; K - f is what ByzFL takes.
// kInvalidArgument for none; kFailedPrecondition for more than K - f, which must hold a wrong one,
// and as krum().
Result<RobustResult> multi_krum(UpdateRows updates, std::size_t faulty, std::size_t keep,
                                std::span<const double> weights = {});

// How Bulyan chooses its theta = K - 2 f updates.
enum class BulyanSelection {
  // The paper: Krum's winner is taken out of the set and Krum runs again on those that are left,
  // with fewer neighbours each time, though never less than one.
  kRepeatedKrum,
  // Flower 1.41: the theta best scores of one run.
  kBestScores,
};
// Of the chosen, in each coordinate, the mean of the theta - 2 f values that are closest to their
// median (of an even number the mean of the middle two; of two values as close the lesser is
// taken). kFailedPrecondition unless K >= 4 f + 3. (El Mhamdi, Guerraoui, Rouault, "The hidden
// vulnerability of distributed learning in Byzantium", ICML 2018, section 4.)
Result<RobustResult> bulyan(UpdateRows updates, std::size_t faulty,
                            BulyanSelection selection = BulyanSelection::kRepeatedKrum);

} // namespace coppice
