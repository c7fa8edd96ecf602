// SPDX-License-Identifier: Apache-2.0
// Server optimizers: a round's mean delta taken as a pseudo-gradient, and stepped along with memory
// of the rounds before.
//
// (Hsu, Qi, Brown, "Measuring the effects of non-identical data distribution for federated visual
// classification", 2019, for FedAvgM; Reddi et al., "Adaptive federated optimization", ICLR 2021,
// algorithm 2, for the others.) With D the mean delta, all arithmetic per parameter and in double:
//   kFedAvgM       m <- momentum m + D                       step = learning_rate m
//   kFedAdagrad    v <- v + D^2
//   kFedAdam       v <- beta2 v + (1 - beta2) D^2
//   kFedYogi       v <- v - (1 - beta2) D^2 sign(v - D^2)
//   the last three m <- beta1 m + (1 - beta1) D              step = learning_rate m / (sqrt(v) +
//   tau)
// m begins at 0, v at `initial_second_moment`. They change how fast the rounds reach where plain
// averaging would end, and not where that is: D is 0 there.
//
// Where Flower 1.41 and the papers differ there are both:
// - v begins at 0 in Flower; the paper asks for at least tau^2.
// - Flower's FedAdam, and it alone, corrects Adam's bias, and counts rounds from 2: in round t,
// from
//   1, its step is multiplied by sqrt(1 - beta2^(t + 1)) / (1 - beta1^(t + 1)). The paper has none.
// - Flower's FedAvgM has momentum 0 by default, which with its learning rate of 1 is plain FedAvg.
//   Hsu et al. use 0.9.
// - Flower's eta_l is never used: the clients' learning rate is the recipe's.
// Under another name the same rule may have another scale: where a library averages momentum,
// m <- beta m + (1 - beta) D, its learning rate is ours / (1 - beta).
//
// The state is per entry of the factors A and B. A strategy that re-factors them (a rotation, a
// singular value decomposition) makes it meaningless and begins afresh.
// Pure functions; thread-safe.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"

namespace coppice {

enum class ServerRule { kFedAvgM, kFedAdagrad, kFedAdam, kFedYogi };

enum class BiasCorrection { kNone, kFlower }; // see above; of kFedAdam alone

struct ServerOptimizerSettings {
  ServerRule rule = ServerRule::kFedAvgM;
  double learning_rate = 1.0; // Flower's eta, or server_learning_rate
  double momentum = 0.0;      // kFedAvgM alone; Flower's server_momentum
  double beta1 = 0.0;         // the others
  double beta2 = 0.0;         // kFedAdam and kFedYogi
  double tau = 1e-3;          // all but kFedAvgM: the less, the more steps adapt
  double initial_second_moment = 0.0;
  BiasCorrection bias_correction = BiasCorrection::kNone;

  // kInvalidArgument, naming the field, unless learning_rate and tau are positive, momentum, beta1
  // and beta2 at least 0 and below 1, initial_second_moment at least 0, all finite; for a bias
  // correction of another rule than kFedAdam.
  Result<void> validate() const;
};

// Flower 1.41's definitions and defaults:
//   kFedAvgM learning rate 1, momentum 0; kFedAdagrad 0.1, beta1 0; kFedAdam 0.1, beta1 0.9, beta2
//   0.99, its bias correction; kFedYogi 0.01, beta1 0.9, beta2 0.99; tau 1e-3 and v from 0.
ServerOptimizerSettings flower_settings(ServerRule rule);
// The papers' definitions with the same learning rates, betas and tau (the papers tune the learning
// rate for each task): momentum 0.9, v from tau^2, no bias correction.
ServerOptimizerSettings paper_settings(ServerRule rule);

// What is kept from round to round; fresh, it is as constructed. Plain values, to be stored under
// these names.
struct ServerOptimizerState {
  std::uint64_t rounds = 0;          // steps made; rounds that gave no step don't count
  std::vector<double> momentum;      // m (parameters)
  std::vector<double> second_moment; // v (parameters); empty for kFedAvgM
};

struct ServerStep {
  std::vector<double> step;   // next shared adapter minus this one (parameters)
  ServerOptimizerState state; // to be stored together with what the step made
};

// kInvalidArgument for settings out of range, a delta without values or with one that is not
// finite; kFailedPrecondition for a state of another number of parameters or of another rule, or
// where a value of the step or the new state would not be finite.
Result<ServerStep> server_step(const ServerOptimizerSettings& settings,
                               const ServerOptimizerState& state,
                               std::span<const double> mean_delta);

} // namespace coppice
