// SPDX-License-Identifier: Apache-2.0
// Federated LoRA regression: the smallest problem that tells aggregation rules apart.
//
// Client i of 10 holds y = W_i x for 16 random inputs x, without noise, where W_i is 24 x 24; fewer
// inputs than columns, so no client alone can know its W_i. From a base of zeros it descends
//   |(base + s B A) X - Y|^2 / 32
// on an adapter of rank 4 by 10 steps of Adam a round, begun anew each round as devices do; after
// 60 rounds the figure is the mean over clients of |W_i' - W_i|^2 / |W_i|^2, where W_i' is what
// client i then uses. How the W_i differ decides which rule wins. Training runs in double; adapters
// are float32, as they travel.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "adapters/adapter.h"
#include "adapters/factored.h"

namespace coppice {

enum class RegressionTarget {
  kFullRank,  // one W for all, of full rank
  kLowRank,   // one W for all, of rank 4
  kOutputMap, // W_i = P_i M: clients differ in what they say
  kInputMap,  // W_i = P M_i: clients differ in what they read
  kTwoGroups, // two W of rank 4, each of every second client
  kDeviation, // P M, and on top of it rank 2 of each client's own with 0.36 of its energy
};

// What client i doesn't share.
enum class Keeps {
  kNothing,
  kA,       // its factor A; the update it sends has none
  kB,       // its factor B
  kAdapter, // all of its adapter: nothing is aggregated
  kSecond,  // a second adapter, trained each round on top of the new shared one, which is trained
            // as if there were none
  kTuned,   // a copy of the last shared adapter, trained for five rounds' steps more
};

struct Trains {
  bool a = true;
  bool b = true;
  bool core = false; // of B
};

struct RegressionRound {
  std::size_t number;                      // from 0
  std::span<const Adapter> trained;        // one a client, in their order
  std::span<const double> losses;          // before training, likewise
  std::span<const std::uint32_t> clusters; // likewise: which of the shared adapter's each trained
  double learning_rate;                    // the clients'
};

// Of rules that train one factor: B alone, or A and B by turns.
inline Trains only_b(std::size_t) { return {.a = false, .b = true}; }
inline Trains in_turn(std::size_t round) { return {.a = round % 2 == 1, .b = round % 2 == 0}; }

// What the aggregator holds and every client receives.
struct RegressionServer {
  Adapter shared;               // rank 4 and the rule's patch, scale 1
  Product patch;                // beside the base, frozen; of rank 0 at first
  std::vector<float> control{}; // SCAFFOLD's c, which it sends along; empty: zeros
};

// A rule as a federation sees it: what clients train and keep, and what becomes of their adapters.
struct RegressionRule {
  const char* name;
  // From what clients sent to the next state. Not called for Keeps::kAdapter.
  std::function<void(const RegressionRound&, RegressionServer&)> aggregate;
  Trains (*trains)(std::size_t round) = [](std::size_t) { return Trains{}; };
  Keeps keeps = Keeps::kNothing;
  // Alpha of FedDyn's clients: they are pulled to what they received, and keep a correction of
  // their gradient (client/kept_rules.h). 0: neither.
  double dynamic = 0;
  // Clients take plain steps of descent instead of Adam's, of ten times the grid's rates,
  bool descends = false;
  // and correct them by SCAFFOLD's control variates (client/kept_rules.h).
  bool control_variates = false;
  // Of clients, taken in turn; each gets the prefix of the shared adapter, at alpha 4.
  std::vector<std::uint32_t> ranks = {4};
  // Ranks of the shared adapter above the four that clients train.
  std::uint32_t patch = 0;
  // Of clients, taken in turn: how many of the four each trains. It computes with all of them.
  std::vector<std::uint32_t> trained_ranks = {4};
  // The round, from 0, from which on only the core of B is trained (adapters/core_basis.h).
  std::size_t cores_from = SIZE_MAX;
  // Adapters in the shared one, of which each client uses the one of the least loss on its data.
  std::uint32_t clusters = 1;
};

// The mean squared relative error after all rounds; infinity where training diverged.
double regression_error(const RegressionRule& rule, RegressionTarget target, double learning_rate,
                        std::uint64_t seed);

struct RegressionResult {
  double learning_rate = 0; // the grid's best on a seed of its own
  double mean = 0;          // over three other seeds
  double low = 0;
  double high = 0;
};
// Every rule has the same budget: learning rates 0.003, 0.01, 0.03 and 0.1 (of plain descent ten
// times as much) are tried on one seed, and the best is frozen for three others.
RegressionResult tuned_regression(const RegressionRule& rule, RegressionTarget target);

} // namespace coppice
