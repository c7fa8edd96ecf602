// SPDX-License-Identifier: Apache-2.0
// Federated LoRA classification: ten classes of Gaussian inputs, a frozen layer and a frozen head
// that know nothing of them, and an adapter on the layer.
//
// logits = H (W + s B A) x, with W 24 x 24 and H 10 x 24 drawn once and frozen, x ~ N(mean of its
// class, 1). Ten clients descend on cross entropy over their own examples, full batches, by Adam
// that is begun anew each round as on devices, or by plain gradient descent; the figure is the
// share of test examples that the adapter which client i then uses puts first, mean over clients.
// Plans, sums and steps are a strategy's own (strategy_rounds.h). A run that diverges has chance's
// accuracy, one in ten. What a client keeps and sends follows from the plan's recipe by the
// device's rules (client/kept_rules.h, protocol/plan_encoding.h). Training runs in double.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string_view>

namespace coppice {

enum class ToyTask {
  kOneLabel,       // client i has examples of class i alone; all are tested on all classes
  kPermutedLabels, // client i has all classes, and names of its own for them; tested on its names
};

struct ToyRegime {
  std::uint32_t rank = 4;
  std::size_t rounds = 40;
  std::size_t steps = 10;    // of a client, a round
  std::size_t examples = 32; // of a client
  bool adam = true;          // with the trainers' constants; else plain gradient descent
};

struct ToyResult {
  double learning_rate = 0;
  double accuracy = 0; // mean over three seeds
  double low = 0;
  double high = 0;
  double values_sent = 0; // by a client, a round, mean over rounds
};

// With seeds 2 to 4.
ToyResult toy_at(std::string_view strategy, ToyTask task, const ToyRegime& regime, double rate);
// As tuned_regression(): the best of `rates` on seed 1 is frozen for seeds 2 to 4.
ToyResult tuned_toy(std::string_view strategy, ToyTask task, const ToyRegime& regime,
                    std::initializer_list<double> rates = {0.003, 0.01, 0.03});

} // namespace coppice
