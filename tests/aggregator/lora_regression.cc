// SPDX-License-Identifier: Apache-2.0
#include "tests/aggregator/lora_regression.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>

#include "adapters/core_basis.h"
#include "adapters/factored_rank.h"
#include "adapters/rank_slices.h"
#include "aggregator/patch.h"
#include "base/check.h"
#include "base/random.h"
#include "client/kept_rules.h"
#include "tests/aggregator/regression_clients.h"

namespace coppice {
namespace {

constexpr std::size_t kRounds = 60;
constexpr std::size_t kSteps = 10;

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
template <std::size_t rows, std::size_t columns>
struct Adam {
  Matrix<rows, columns> mean{};
  Matrix<rows, columns> square{};

  void move(Matrix<rows, columns>& values, const Matrix<rows, columns>& gradient, double rate,
            int step) {
    const double mean_scale = 1.0 / (1.0 - std::pow(0.9, step));
    const double square_scale = 1.0 / (1.0 - std::pow(0.999, step));
    for (std::size_t k = 0; k < rows; ++k) {
      for (std::size_t i = 0; i < columns; ++i) {
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
  bool descends = false; // plain steps
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
    if (drift_.alpha > 0 || !drift_.correction.empty()) add_drift(of_a, of_b);
    ++steps_;
    if (drift_.descends) {
      descend(a_, of_a, learning_rate);
      descend(bt_, of_b, learning_rate);
      return;
    }
    if (trains.a) adam_a_.move(a_, of_a, learning_rate, steps_);
    if (trains.core) {
      move_core(of_b, learning_rate);
    } else if (trains.b) {
      adam_b_.move(bt_, of_b, learning_rate, steps_);
    }
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
  static void descend(Factor& values, const Factor& gradient, double rate) {
    for (std::size_t k = 0; k < kRank; ++k) {
      for (std::size_t i = 0; i < kWidth; ++i) values[k][i] -= rate * gradient[k][i];
    }
  }
  // B moves by U times what an optimizer of the core makes of U^T times its gradient.
  void move_core(const Factor& of_b, double learning_rate) {
    if (!basis_) basis_.emplace(adapter_);
    const auto u = basis_->target(0);
    Matrix<kRank, kRank> gradient{}, change{};
    for (std::size_t i = 0; i < kRank; ++i) {
      for (std::size_t j = 0; j < kRank; ++j) {
        for (std::size_t o = 0; o < kWidth; ++o) gradient[i][j] += u[o * kRank + i] * of_b[j][o];
      }
    }
    adam_core_.move(change, gradient, learning_rate, steps_);
    for (std::size_t i = 0; i < kRank; ++i) {
      for (std::size_t j = 0; j < kRank; ++j) {
        for (std::size_t o = 0; o < kWidth; ++o) bt_[j][o] += u[o * kRank + i] * change[i][j];
      }
    }
  }

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
  Adam<kRank, kWidth> adam_a_;
  Adam<kRank, kWidth> adam_b_;
  Adam<kRank, kRank> adam_core_;
  std::optional<CoreBasis> basis_;
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
        seed_(seed),
        clients_(make_clients(target, seed)),
        server_{
            .shared = repeat_as_slices(
                with_patch(Adapter::initial(spec_of(), seed), rule.patch).value(), rule.clusters),
            .patch = {.out = kWidth, .in = kWidth, .rank = 0, .b = {}, .a = {}}} {
    for (std::size_t c = 0; c < kClients; ++c) {
      const std::uint32_t rank = rule.ranks[c % rule.ranks.size()];
      const bool second = rule.keeps == Keeps::kSecond;
      own_.push_back(second ? Adapter::initial(spec_of(), seed + 1000 * (c + 1)) : received(rank));
      if (rule.dynamic > 0 || rule.control_variates)
        corrections_.emplace_back(server_.shared.values().size());
    }
  }

  // False where somebody's values are no longer finite.
  bool round(std::size_t number) {
    Trains trains = rule_.trains(number);
    if (number >= rule_.cores_from) trains = {.a = false, .b = true, .core = true};
    const Weights base = patched_base();
    choose_clusters(number);
    std::vector<Adapter> trained;
    std::vector<double> losses;
    for (std::size_t c = 0; c < kClients; ++c) {
      const Adapter start = start_of(c);
      const std::vector<float> correction = correction_of(c);
      const Drift drift{
          .descends = rule_.descends, .alpha = rule_.dynamic, .correction = correction};
      losses.push_back(loss_of(clients_[c], plus(base, start)));
      trained.push_back(train(clients_[c], base, start, rate(), trains, kSteps, drift,
                              rule_.trained_ranks[c % rule_.trained_ranks.size()]));
      if (!trained.back().finite()) return false;
      if (rule_.dynamic > 0) {
        move_dynamic_correction<float>(static_cast<float>(rule_.dynamic), start.values(),
                                       std::as_const(trained.back()).values(), corrections_[c]);
      }
      if (rule_.control_variates) {
        move_control_variate<float>(static_cast<float>(kSteps * rate()), start.values(),
                                    std::as_const(trained.back()).values(), server_.control,
                                    corrections_[c]);
      }
    }
    keep_own(trained);
    if (rule_.clusters > 1) put_in_clusters(trained);
    if (rule_.keeps != Keeps::kAdapter) {
      rule_.aggregate({.number = number,
                       .trained = trained,
                       .losses = losses,
                       .clusters = clusters_,
                       .learning_rate = rate()},
                      server_);
    }
    if (rule_.keeps == Keeps::kSecond) {
      const Weights shared = plus(patched_base(), server_.shared);
      for (std::size_t c = 0; c < kClients; ++c) {
        own_[c] = train(clients_[c], shared, own_[c], rate_, {}, kSteps);
      }
    }
    return server_.shared.finite();
  }

  double error() {
    const Weights base = patched_base();
    choose_clusters(kRounds);
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
  double rate() const { return rule_.descends ? 10 * rate_ : rate_; }
  // What client c takes from its gradient: FedDyn's h_k, or SCAFFOLD's c_k - c. Empty: nothing.
  std::vector<float> correction_of(std::size_t c) const {
    if (corrections_.empty()) return {};
    std::vector<float> correction = corrections_[c];
    for (std::size_t i = 0; i < server_.control.size(); ++i) correction[i] -= server_.control[i];
    return correction;
  }
  // As devices do (client/cluster_choice.h).
  void choose_clusters(std::size_t round) {
    const Weights base = patched_base();
    for (std::size_t c = 0; rule_.clusters > 1 && c < kClients; ++c) {
      std::vector<double> losses;
      for (std::uint32_t cluster = 0; cluster < rule_.clusters; ++cluster) {
        losses.push_back(
            loss_of(clients_[c], plus(base, slice_of(server_.shared, rule_.clusters, cluster))));
      }
      const auto [least, most] = std::ranges::minmax_element(losses);
      clusters_[c] = *least < *most
                         ? static_cast<std::uint32_t>(least - losses.begin())
                         : static_cast<std::uint32_t>(
                               KeyedRandom({.experiment = seed_, .round = round, .client = c})
                                   .below(rule_.clusters));
    }
  }
  // What each trained, in its place of the shared adapter.
  void put_in_clusters(std::vector<Adapter>& trained) const {
    for (std::size_t c = 0; c < kClients; ++c) {
      Adapter whole = server_.shared;
      auto from = trained[c].values().begin();
      for_each_of_slice(
          whole.spec(), rule_.clusters, clusters_[c], [&](std::size_t first, std::size_t count) {
            std::copy_n(from, count, whole.values().begin() + static_cast<std::ptrdiff_t>(first));
            from += static_cast<std::ptrdiff_t>(count);
          });
      trained[c] = std::move(whole);
    }
  }
  Adapter received(std::uint32_t rank) const {
    if (rank == kRank) return server_.shared;
    return with_rank(server_.shared, rank, RankCut::kPrefix).value().adapter;
  }
  // What client c trains, and uses after the last round: the shared adapter, or its own part of it.
  Adapter start_of(std::size_t c) const {
    if (rule_.keeps == Keeps::kAdapter) return own_[c];
    if (rule_.clusters > 1) return slice_of(server_.shared, rule_.clusters, clusters_[c]);
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
  std::uint64_t seed_;
  std::vector<Client> clients_;
  RegressionServer server_;
  std::vector<Adapter> own_;                    // one a client: what it keeps
  std::vector<std::vector<float>> corrections_; // likewise
  std::vector<std::uint32_t> clusters_ = std::vector<std::uint32_t>(kClients); // likewise
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
