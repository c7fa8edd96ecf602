// SPDX-License-Identifier: Apache-2.0
#include "tests/aggregator/lora_regression.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "adapters/factored_rank.h"
#include "aggregator/patch.h"
#include "base/check.h"
#include "base/random.h"
#include "client/kept_rules.h"
#include "tests/aggregator/normal_draws.h"

namespace coppice {
namespace {

constexpr std::size_t kWidth = 24; // rows and columns of W
constexpr std::size_t kRank = 4;
constexpr std::size_t kClients = 10;
constexpr std::size_t kSamples = 16;
constexpr std::size_t kRounds = 60;
constexpr std::size_t kSteps = 10;

template <std::size_t rows, std::size_t columns>
using Matrix = std::array<std::array<double, columns>, rows>;
using Weights = Matrix<kWidth, kWidth>; // (out, in)

double squared_norm(const Weights& w) {
  double sum = 0;
  for (const auto& row : w) {
    for (const double value : row) sum += value * value;
  }
  return sum;
}

struct Client {
  Weights truth{};
  Matrix<kWidth, kSamples> x{}; // (in, samples)
  Matrix<kSamples, kWidth> xt{};
};

Weights scaled_to(double energy, Weights w) {
  const double scale = std::sqrt(energy / squared_norm(w));
  for (auto& row : w) {
    for (double& value : row) value *= scale;
  }
  return w;
}

// P M, scaled to |W|^2 = energy.
template <std::size_t rank>
Weights low_rank(const Matrix<kWidth, rank>& p, const Matrix<rank, kWidth>& m, double energy) {
  Weights w{};
  for (std::size_t o = 0; o < kWidth; ++o) {
    for (std::size_t k = 0; k < rank; ++k) {
      for (std::size_t i = 0; i < kWidth; ++i) w[o][i] += p[o][k] * m[k][i];
    }
  }
  return scaled_to(energy, w);
}

std::vector<Client> make_clients(RegressionTarget target, std::uint64_t seed) {
  constexpr double kEnergy = kWidth; // as the identity's: singular values are near 1
  NormalDraws common({.experiment = seed});
  const auto p = common.matrix<Matrix<kWidth, kRank>>();
  const auto m = common.matrix<Matrix<kRank, kWidth>>();
  const Weights full = scaled_to(kEnergy, common.matrix<Matrix<kWidth, kWidth>>());
  std::vector<Client> clients(kClients);
  for (std::size_t c = 0; c < kClients; ++c) {
    Client& client = clients[c];
    NormalDraws own({.experiment = seed, .client = c + 1});
    client.x = own.matrix<Matrix<kWidth, kSamples>>();
    for (std::size_t i = 0; i < kWidth; ++i) {
      for (std::size_t j = 0; j < kSamples; ++j) client.xt[j][i] = client.x[i][j];
    }
    switch (target) {
      case RegressionTarget::kFullRank: client.truth = full; break;
      case RegressionTarget::kLowRank: client.truth = low_rank(p, m, kEnergy); break;
      case RegressionTarget::kOutputMap:
        client.truth = low_rank(own.matrix<Matrix<kWidth, kRank>>(), m, kEnergy);
        break;
      case RegressionTarget::kInputMap:
        client.truth = low_rank(p, own.matrix<Matrix<kRank, kWidth>>(), kEnergy);
        break;
      case RegressionTarget::kDeviation: {
        client.truth = low_rank(p, m, kEnergy);
        const auto own_left = own.matrix<Matrix<kWidth, 2>>();
        const Weights deviation =
            low_rank(own_left, own.matrix<Matrix<2, kWidth>>(), 0.36 * kEnergy);
        for (std::size_t o = 0; o < kWidth; ++o) {
          for (std::size_t i = 0; i < kWidth; ++i) client.truth[o][i] += deviation[o][i];
        }
        break;
      }
    }
  }
  return clients;
}

std::shared_ptr<const AdapterSpec> spec_of() {
  return std::make_shared<const AdapterSpec>(
      AdapterSpec{.architecture = "regression",
                  .targets = {{.tensor = "map",
                               .in = kWidth,
                               .out = kWidth,
                               .rank = kRank,
                               .alpha = static_cast<float>(kRank)}}});
}

// Of the ranks from `first` on.
void add_product(const ProductView& product, Weights& w, std::size_t first = 0) {
  for (std::size_t o = 0; o < kWidth; ++o) {
    for (std::size_t k = first; k < product.rank; ++k) {
      const double b = product.scale * static_cast<double>(product.b[o * product.rank + k]);
      for (std::size_t i = 0; i < kWidth; ++i) {
        w[o][i] += b * static_cast<double>(product.a[k * kWidth + i]);
      }
    }
  }
}

Weights plus(Weights base, const Adapter& adapter) {
  add_product(product_of(adapter, 0), base);
  return base;
}

using Factor = Matrix<kRank, kWidth>; // A, or B transposed

// Kingma and Ba's Adam with the trainers' constants.
struct Adam {
  Factor mean{};
  Factor square{};

  void move(Factor& values, const Factor& gradient, double rate, int step) {
    const double mean_scale = 1.0 / (1.0 - std::pow(0.9, step));
    const double square_scale = 1.0 / (1.0 - std::pow(0.999, step));
    for (std::size_t k = 0; k < kRank; ++k) {
      for (std::size_t i = 0; i < kWidth; ++i) {
        const double g = gradient[k][i];
        mean[k][i] = 0.9 * mean[k][i] + 0.1 * g;
        square[k][i] = 0.999 * square[k][i] + 0.001 * g * g;
        values[k][i] -=
            rate * mean_scale * mean[k][i] / (std::sqrt(square_scale * square[k][i]) + 1e-8);
      }
    }
  }
};

// What is added to the loss: -<correction, w> + alpha/2 |w - start|^2.
struct Drift {
  double alpha = 0;
  std::span<const float> correction; // in the order of Adapter::values(); empty: none
};

// Descent on one client's data, with all of a step's products in loops over a constant
// width. Ranks from `trained` on are the base's, and stay.
class Descent {
 public:
  Descent(const Client& client, Weights base, const Adapter& start, const Drift& drift,
          std::size_t trained)
      : client_(client),
        adapter_(start),
        drift_(drift),
        whole_rank_(start.spec().targets[0].rank),
        rank_(std::min(whole_rank_, trained)),
        scale_(static_cast<double>(start.spec().scale(0))) {
    add_product(product_of(start, 0), base, rank_);
    Weights left{}; // what the base leaves to explain, transposed
    for (std::size_t o = 0; o < kWidth; ++o) {
      for (std::size_t i = 0; i < kWidth; ++i) left[i][o] = client.truth[o][i] - base[o][i];
    }
    for (std::size_t j = 0; j < kSamples; ++j) {
      for (std::size_t i = 0; i < kWidth; ++i) {
        for (std::size_t o = 0; o < kWidth; ++o) wanted_[j][o] += left[i][o] * client.xt[j][i];
      }
    }
    for (std::size_t k = 0; k < rank_; ++k) {
      for (std::size_t i = 0; i < kWidth; ++i) {
        a_[k][i] = static_cast<double>(start.a(0)[k * kWidth + i]);
        bt_[k][i] = static_cast<double>(start.b(0)[i * whole_rank_ + k]);
      }
    }
  }

  void step(double learning_rate, Trains trains) {
    Matrix<kRank, kSamples> hidden{}; // A X
    for (std::size_t k = 0; k < rank_; ++k) {
      for (std::size_t i = 0; i < kWidth; ++i) {
        for (std::size_t j = 0; j < kSamples; ++j) hidden[k][j] += a_[k][i] * client_.x[i][j];
      }
    }
    Matrix<kWidth, kSamples> error{}; // s B A X - wanted
    Matrix<kSamples, kWidth> error_t{};
    for (std::size_t j = 0; j < kSamples; ++j) {
      for (std::size_t o = 0; o < kWidth; ++o) error_t[j][o] = -wanted_[j][o];
      for (std::size_t k = 0; k < rank_; ++k) {
        const double value = scale_ * hidden[k][j];
        for (std::size_t o = 0; o < kWidth; ++o) error_t[j][o] += value * bt_[k][o];
      }
      for (std::size_t o = 0; o < kWidth; ++o) error[o][j] = error_t[j][o];
    }
    const double rate = scale_ / static_cast<double>(kSamples);
    Matrix<kRank, kSamples> back{}; // B^T error
    for (std::size_t k = 0; k < rank_; ++k) {
      for (std::size_t o = 0; o < kWidth; ++o) {
        for (std::size_t j = 0; j < kSamples; ++j) back[k][j] += bt_[k][o] * error[o][j];
      }
    }
    Factor of_a{};
    Factor of_b{};
    for (std::size_t k = 0; k < rank_; ++k) {
      for (std::size_t j = 0; j < kSamples; ++j) {
        const double to_a = rate * back[k][j];
        const double to_b = rate * hidden[k][j];
        for (std::size_t i = 0; i < kWidth; ++i) {
          of_a[k][i] += to_a * client_.xt[j][i];
          of_b[k][i] += to_b * error_t[j][i];
        }
      }
    }
    if (drift_.alpha > 0) add_drift(of_a, of_b);
    ++steps_;
    if (trains.a) adam_a_.move(a_, of_a, learning_rate, steps_);
    if (trains.b) adam_b_.move(bt_, of_b, learning_rate, steps_);
  }

  Adapter result() {
    for (std::size_t k = 0; k < rank_; ++k) {
      for (std::size_t i = 0; i < kWidth; ++i) {
        adapter_.a(0)[k * kWidth + i] = static_cast<float>(a_[k][i]);
        adapter_.b(0)[i * whole_rank_ + k] = static_cast<float>(bt_[k][i]);
      }
    }
    return adapter_;
  }

 private:
  void add_drift(Factor& of_a, Factor& of_b) const {
    const std::size_t of_all_a = whole_rank_ * kWidth;
    const auto correction = [&](std::size_t at) {
      return drift_.correction.empty() ? 0.0 : static_cast<double>(drift_.correction[at]);
    };
    for (std::size_t k = 0; k < rank_; ++k) {
      for (std::size_t i = 0; i < kWidth; ++i) {
        const std::size_t a = k * kWidth + i, b = i * whole_rank_ + k;
        of_a[k][i] += drift_.alpha * (a_[k][i] - static_cast<double>(adapter_.a(0)[a]));
        of_a[k][i] -= correction(a);
        of_b[k][i] += drift_.alpha * (bt_[k][i] - static_cast<double>(adapter_.b(0)[b]));
        of_b[k][i] -= correction(of_all_a + b);
      }
    }
  }

  Client client_;   // a copy: as members of one object, data and factors can't overlap
  Adapter adapter_; // the start, until the result
  Drift drift_;
  std::size_t whole_rank_;
  std::size_t rank_; // trained
  double scale_;
  Matrix<kSamples, kWidth> wanted_{};
  Factor a_{};
  Factor bt_{};
  Adam adam_a_;
  Adam adam_b_;
  int steps_ = 0;
};

Adapter train(const Client& client, const Weights& base, const Adapter& start, double rate,
              Trains trains, std::size_t steps, const Drift& drift = {},
              std::size_t trained = kRank) {
  Descent descent(client, base, start, drift, trained);
  for (std::size_t s = 0; s < steps; ++s) descent.step(rate, trains);
  return descent.result();
}

// |W X - Y|^2 / (2 samples): what it descends on.
double loss_of(const Client& client, const Weights& weights) {
  double squares = 0;
  for (std::size_t o = 0; o < kWidth; ++o) {
    for (std::size_t j = 0; j < kSamples; ++j) {
      double error = 0;
      for (std::size_t i = 0; i < kWidth; ++i) {
        error += (weights[o][i] - client.truth[o][i]) * client.x[i][j];
      }
      squares += error * error;
    }
  }
  return squares / (2 * static_cast<double>(kSamples));
}

class Federation {
 public:
  Federation(const RegressionRule& rule, RegressionTarget target, double rate, std::uint64_t seed)
      : rule_(rule),
        rate_(rate),
        clients_(make_clients(target, seed)),
        server_{.shared = with_patch(Adapter::initial(spec_of(), seed), rule.patch).value(),
                .patch = {.out = kWidth, .in = kWidth, .rank = 0, .b = {}, .a = {}}} {
    for (std::size_t c = 0; c < kClients; ++c) {
      const std::uint32_t rank = rule.ranks[c % rule.ranks.size()];
      const bool second = rule.keeps == Keeps::kSecond;
      own_.push_back(second ? Adapter::initial(spec_of(), seed + 1000 * (c + 1)) : received(rank));
      if (rule.dynamic > 0) corrections_.emplace_back(server_.shared.values().size());
    }
  }

  // False where somebody's values are no longer finite.
  bool round(std::size_t number) {
    const Trains trains = rule_.trains(number);
    const Weights base = patched_base();
    std::vector<Adapter> trained;
    std::vector<double> losses;
    for (std::size_t c = 0; c < kClients; ++c) {
      const Adapter start = start_of(c);
      Drift drift{.alpha = rule_.dynamic, .correction = {}};
      if (rule_.dynamic > 0) drift.correction = corrections_[c];
      losses.push_back(loss_of(clients_[c], plus(base, start)));
      trained.push_back(train(clients_[c], base, start, rate_, trains, kSteps, drift,
                              rule_.trained_ranks[c % rule_.trained_ranks.size()]));
      if (!trained.back().finite()) return false;
      if (rule_.dynamic > 0) {
        move_dynamic_correction<float>(static_cast<float>(rule_.dynamic), start.values(),
                                       std::as_const(trained.back()).values(), corrections_[c]);
      }
    }
    keep_own(trained);
    if (rule_.keeps != Keeps::kAdapter) {
      rule_.aggregate({.number = number, .trained = trained, .losses = losses}, server_);
    }
    if (rule_.keeps == Keeps::kSecond) {
      const Weights shared = plus(patched_base(), server_.shared);
      for (std::size_t c = 0; c < kClients; ++c) {
        own_[c] = train(clients_[c], shared, own_[c], rate_, {}, kSteps);
      }
    }
    return server_.shared.finite();
  }

  double error() const {
    const Weights base = patched_base();
    double sum = 0;
    for (std::size_t c = 0; c < kClients; ++c) {
      Weights used = plus(base, rule_.keeps == Keeps::kSecond ? server_.shared : start_of(c));
      if (rule_.keeps == Keeps::kSecond) used = plus(used, own_[c]);
      if (rule_.keeps == Keeps::kTuned) {
        used = plus(base, train(clients_[c], base, server_.shared, rate_, {}, 5 * kSteps));
      }
      for (std::size_t o = 0; o < kWidth; ++o) {
        for (std::size_t i = 0; i < kWidth; ++i) used[o][i] -= clients_[c].truth[o][i];
      }
      sum += squared_norm(used) / squared_norm(clients_[c].truth);
    }
    return sum / static_cast<double>(kClients);
  }

 private:
  Weights patched_base() const {
    Weights base{};
    add_product(server_.patch.view(), base);
    return base;
  }
  Adapter received(std::uint32_t rank) const {
    if (rank == kRank) return server_.shared;
    return with_rank(server_.shared, rank, RankCut::kPrefix).value().adapter;
  }
  // What client c trains, and uses after the last round: the shared adapter, or its own part of it.
  Adapter start_of(std::size_t c) const {
    if (rule_.keeps == Keeps::kAdapter) return own_[c];
    Adapter start = received(rule_.ranks[c % rule_.ranks.size()]);
    if (rule_.keeps == Keeps::kA) std::ranges::copy(own_[c].a(0), start.a(0).begin());
    if (rule_.keeps == Keeps::kB) std::ranges::copy(own_[c].b(0), start.b(0).begin());
    return start;
  }
  // What stays is taken out of what travels: there it is as it was received.
  void keep_own(std::vector<Adapter>& trained) {
    for (std::size_t c = 0; c < kClients; ++c) {
      if (rule_.keeps == Keeps::kAdapter) own_[c] = trained[c];
      if (rule_.keeps == Keeps::kA) {
        std::ranges::copy(trained[c].a(0), own_[c].a(0).begin());
        std::ranges::copy(server_.shared.a(0), trained[c].a(0).begin());
      }
      if (rule_.keeps == Keeps::kB) {
        std::ranges::copy(trained[c].b(0), own_[c].b(0).begin());
        std::ranges::copy(server_.shared.b(0), trained[c].b(0).begin());
      }
    }
  }

  const RegressionRule& rule_;
  double rate_;
  std::vector<Client> clients_;
  RegressionServer server_;
  std::vector<Adapter> own_;                    // one a client: what it keeps
  std::vector<std::vector<float>> corrections_; // likewise
};

} // namespace

double regression_error(const RegressionRule& rule, RegressionTarget target, double learning_rate,
                        std::uint64_t seed) {
  Federation federation(rule, target, learning_rate, seed);
  for (std::size_t number = 0; number < kRounds; ++number) {
    if (!federation.round(number)) return std::numeric_limits<double>::infinity();
  }
  const double error = federation.error();
  return std::isfinite(error) ? error : std::numeric_limits<double>::infinity();
}

RegressionResult tuned_regression(const RegressionRule& rule, RegressionTarget target) {
  double best = std::numeric_limits<double>::infinity();
  RegressionResult result;
  for (const double rate : {0.003, 0.01, 0.03, 0.1}) {
    const double error = regression_error(rule, target, rate, 1);
    if (error < best) {
      best = error;
      result.learning_rate = rate;
    }
  }
  COPPICE_CHECK(std::isfinite(best), "a rule that diverges at every learning rate has no figure");
  std::vector<double> errors;
  for (const std::uint64_t seed : {2U, 3U, 4U}) {
    errors.push_back(regression_error(rule, target, result.learning_rate, seed));
  }
  result.mean = (errors[0] + errors[1] + errors[2]) / 3;
  result.low = *std::ranges::min_element(errors);
  result.high = *std::ranges::max_element(errors);
  return result;
}

} // namespace coppice
