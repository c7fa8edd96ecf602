// SPDX-License-Identifier: Apache-2.0
#include "tests/aggregator/toy_classification.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "client/kept_rules.h"
#include "protocol/plan_encoding.h"
#include "tests/aggregator/normal_draws.h"
#include "tests/aggregator/strategy_rounds.h"

namespace coppice {
namespace {

constexpr std::size_t kWidth = 24; // inputs, and outputs of the layer
constexpr std::size_t kClasses = 10;
constexpr std::size_t kClients = 10;
constexpr std::size_t kTests = 400;
constexpr double kChance = 1.0 / kClasses;

using Input = std::array<double, kWidth>;
using Layer = std::array<Input, kWidth>;  // (out, in)
using Head = std::array<Input, kClasses>; // (class, out)

struct Example {
  Input x{};
  std::size_t label = 0;
};

struct Client {
  std::vector<Example> train, test;
};

struct World {
  Layer layer{};
  Head head{};
  std::vector<Client> clients;
};

World make_world(ToyTask task, std::size_t examples, std::uint64_t seed) {
  NormalDraws common({.experiment = seed});
  const double unit = 1 / std::sqrt(static_cast<double>(kWidth));
  World world{.layer = common.matrix<Layer>(unit),
              .head = common.matrix<Head>(unit),
              .clients = std::vector<Client>(kClients)};
  const auto means = common.matrix<Head>();
  for (std::size_t c = 0; c < kClients; ++c) {
    NormalDraws own({.experiment = seed, .client = c + 1});
    std::array<std::size_t, kClasses> names{};
    std::iota(names.begin(), names.end(), 0);
    if (task == ToyTask::kPermutedLabels) own.random().shuffle(std::span<std::size_t>(names));
    const auto draw = [&](std::size_t kind) {
      Example made{.x = means[kind], .label = names[kind]};
      for (double& value : made.x) value += own();
      return made;
    };
    for (std::size_t i = 0; i < examples; ++i) {
      world.clients[c].train.push_back(
          draw(task == ToyTask::kOneLabel ? c : own.random().below(kClasses)));
    }
    for (std::size_t i = 0; i < kTests; ++i) world.clients[c].test.push_back(draw(i % kClasses));
  }
  return world;
}

std::shared_ptr<const AdapterSpec> spec_of(std::uint32_t rank) {
  return std::make_shared<const AdapterSpec>(
      AdapterSpec{.architecture = "toy",
                  .targets = {{.tensor = "layer",
                               .in = kWidth,
                               .out = kWidth,
                               .rank = rank,
                               .alpha = static_cast<float>(rank)}}});
}

// A frozen world around the values of an adapter, as doubles in the order of Adapter::values().
class Model {
 public:
  Model(const World& world, std::uint32_t rank) : world_(world), rank_(rank) {}

  using Logits = std::array<double, kClasses>;
  Logits logits(std::span<const double> values, const Input& x) {
    const double* const a = values.data();
    const double* const b = a + rank_ * kWidth;
    low_.assign(rank_, 0.0);
    for (std::size_t k = 0; k < rank_; ++k) {
      for (std::size_t i = 0; i < kWidth; ++i) low_[k] += a[k * kWidth + i] * x[i];
    }
    Input hidden{};
    for (std::size_t o = 0; o < kWidth; ++o) {
      for (std::size_t i = 0; i < kWidth; ++i) hidden[o] += world_.layer[o][i] * x[i];
      for (std::size_t k = 0; k < rank_; ++k) hidden[o] += b[o * rank_ + k] * low_[k];
    }
    Logits made{};
    for (std::size_t c = 0; c < kClasses; ++c) {
      for (std::size_t o = 0; o < kWidth; ++o) made[c] += world_.head[c][o] * hidden[o];
    }
    return made;
  }

  // Adds the gradient of an example's cross entropy, times `weight`.
  void add_gradient(std::span<const double> values, const Example& example, double weight,
                    std::span<double> gradient) {
    Logits error = logits(values, example.x);
    const double most = *std::ranges::max_element(error);
    double sum = 0;
    for (double& value : error) sum += value = std::exp(value - most);
    for (double& value : error) value *= weight / sum;
    error[example.label] -= weight;
    const double* const b = values.data() + rank_ * kWidth;
    double* const of_a = gradient.data();
    double* const of_b = of_a + rank_ * kWidth;
    std::vector<double> of_low(rank_);
    for (std::size_t o = 0; o < kWidth; ++o) {
      double of_hidden = 0;
      for (std::size_t c = 0; c < kClasses; ++c) of_hidden += world_.head[c][o] * error[c];
      for (std::size_t k = 0; k < rank_; ++k) {
        of_b[o * rank_ + k] += of_hidden * low_[k];
        of_low[k] += of_hidden * b[o * rank_ + k];
      }
    }
    for (std::size_t k = 0; k < rank_; ++k) {
      for (std::size_t i = 0; i < kWidth; ++i) of_a[k * kWidth + i] += of_low[k] * example.x[i];
    }
  }

 private:
  const World& world_;
  std::size_t rank_;
  std::vector<double> low_; // A x of the last logits()
};

// On the factors that the recipe trains.
Adapter train(Model& model, const Client& client, const Adapter& start, const Recipe& recipe,
              double rate, const ToyRegime& regime) {
  std::vector<double> values(start.values().begin(), start.values().end());
  std::vector<double> mean(values.size()), square(values.size()), gradient(values.size());
  std::vector<bool> trained(values.size());
  for_each_chosen(start.spec(), {.a = recipe.train_a, .b = recipe.train_b},
                  [&](std::size_t first, std::size_t count) {
                    std::fill_n(trained.begin() + static_cast<std::ptrdiff_t>(first), count, true);
                  });
  const double weight = 1 / static_cast<double>(client.train.size());
  for (std::size_t step = 1; step <= regime.steps; ++step) {
    std::ranges::fill(gradient, 0.0);
    for (const Example& example : client.train) {
      model.add_gradient(values, example, weight, gradient);
    }
    const double mean_scale = 1 - std::pow(0.9, step);
    const double square_scale = 1 - std::pow(0.999, step);
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (!trained[i]) continue;
      if (!regime.adam) {
        values[i] -= rate * gradient[i];
        continue;
      }
      mean[i] = 0.9 * mean[i] + 0.1 * gradient[i];
      square[i] = 0.999 * square[i] + 0.001 * gradient[i] * gradient[i];
      values[i] -= rate * (mean[i] / mean_scale) / (std::sqrt(square[i] / square_scale) + 1e-8);
    }
  }
  Adapter made = start;
  std::ranges::transform(values, made.values().begin(),
                         [](double value) { return static_cast<float>(value); });
  return made;
}

double accuracy_of(Model& model, const Client& client, const Adapter& adapter) {
  const std::vector<double> values(adapter.values().begin(), adapter.values().end());
  std::size_t right = 0;
  for (const Example& example : client.test) {
    const auto logits = model.logits(values, example.x);
    const auto first = std::ranges::max_element(logits) - logits.begin();
    right += static_cast<std::size_t>(first) == example.label ? 1 : 0;
  }
  return static_cast<double>(right) / static_cast<double>(client.test.size());
}

struct Outcome {
  double accuracy = 0;
  double values = 0; // sent, in so many uploads
  double uploads = 0;
};

Outcome toy(std::string_view strategy, ToyTask task, const ToyRegime& regime, double rate,
            std::uint64_t seed) {
  const World world = make_world(task, regime.examples, seed);
  Model model(world, regime.rank);
  StrategyRounds rounds({.name = std::string(strategy)});
  RegressionServer server{.shared = Adapter::initial(spec_of(regime.rank), seed), .patch = {}};
  std::vector<KeptVectors> kept(kClients);
  const std::vector<double> losses(kClients, 1.0); // no strategy here weighs by them
  Outcome outcome;
  for (std::size_t number = 0; number < regime.rounds; ++number) {
    const Recipe recipe = rounds.recipe(number + 1);
    const auto release = std::make_shared<const Adapter>(server.shared);
    std::vector<std::vector<double>> sent;
    for (std::size_t c = 0; c < kClients; ++c) {
      const auto start = with_own_factors(release, kept[c]);
      const Adapter trained = train(model, world.clients[c], *start, recipe, rate, regime);
      if (!trained.finite()) {
        outcome.accuracy = kChance;
        return outcome;
      }
      kept[c] =
          kept_after(recipe, kept[c], {.start = *start, .trained = trained, .steps = regime.steps});
      const auto moved = delta_between(trained, *start).value();
      auto delta = chosen_values<float>(start->spec(), shared_factors(recipe), moved);
      outcome.values += static_cast<double>(delta.size());
      outcome.uploads += 1;
      delta = all_values(start->spec(), shared_factors(recipe), std::move(delta));
      sent.emplace_back(delta.begin(), delta.end());
    }
    rounds.make({.number = number, .trained = {}, .losses = losses}, sent, server);
  }
  const auto release = std::make_shared<const Adapter>(server.shared);
  for (std::size_t c = 0; c < kClients; ++c) {
    outcome.accuracy += accuracy_of(model, world.clients[c], *with_own_factors(release, kept[c])) /
                        static_cast<double>(kClients);
  }
  return outcome;
}

} // namespace

ToyResult toy_at(std::string_view strategy, ToyTask task, const ToyRegime& regime, double rate) {
  ToyResult result{.learning_rate = rate, .low = 1};
  for (const std::uint64_t seed : {2U, 3U, 4U}) {
    const Outcome outcome = toy(strategy, task, regime, rate, seed);
    result.accuracy += outcome.accuracy / 3;
    result.values_sent = outcome.values / outcome.uploads;
    result.low = std::min(result.low, outcome.accuracy);
    result.high = std::max(result.high, outcome.accuracy);
  }
  return result;
}

ToyResult tuned_toy(std::string_view strategy, ToyTask task, const ToyRegime& regime,
                    std::initializer_list<double> rates) {
  double best = -1;
  double chosen = 0;
  for (const double rate : rates) {
    const double accuracy = toy(strategy, task, regime, rate, 1).accuracy;
    if (accuracy <= best) continue;
    best = accuracy;
    chosen = rate;
  }
  return toy_at(strategy, task, regime, chosen);
}

} // namespace coppice
