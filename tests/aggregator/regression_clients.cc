// SPDX-License-Identifier: Apache-2.0
#include "tests/aggregator/regression_clients.h"

#include <cmath>

#include "tests/aggregator/normal_draws.h"

namespace coppice {

double squared_norm(const Weights& w) {
  double sum = 0;
  for (const auto& row : w) {
    for (const double value : row) sum += value * value;
  }
  return sum;
}

namespace {

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

} // namespace

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
      case RegressionTarget::kTwoGroups: {
        NormalDraws group({.experiment = seed, .client = 1000 + c % 2});
        const auto left = group.matrix<Matrix<kWidth, kRank>>();
        client.truth = low_rank(left, group.matrix<Matrix<kRank, kWidth>>(), kEnergy);
        break;
      }
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

} // namespace coppice
