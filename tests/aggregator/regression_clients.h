// SPDX-License-Identifier: Apache-2.0
// Who holds what in federated LoRA regression (lora_regression.h).
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "tests/aggregator/lora_regression.h"

namespace coppice {

inline constexpr std::size_t kWidth = 24; // rows and columns of W
inline constexpr std::size_t kRank = 4;
inline constexpr std::size_t kClients = 10;
inline constexpr std::size_t kSamples = 16;

template <std::size_t rows, std::size_t columns>
using Matrix = std::array<std::array<double, columns>, rows>;
using Weights = Matrix<kWidth, kWidth>; // (out, in)

double squared_norm(const Weights& w);

struct Client {
  Weights truth{};
  Matrix<kWidth, kSamples> x{}; // (in, samples)
  Matrix<kSamples, kWidth> xt{};
};
std::vector<Client> make_clients(RegressionTarget target, std::uint64_t seed);

} // namespace coppice
