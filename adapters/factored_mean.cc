// SPDX-License-Identifier: Apache-2.0
#include "adapters/factored_mean.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "adapters/factored_svd.h"
#include "base/text.h"

namespace coppice {
namespace {

Result<std::vector<double>> shares(std::span<const ProductView> clients,
                                   std::span<const double> weights) {
  if (weights.size() != clients.size()) {
    return invalid_argument(cat(clients.size(), " clients have ", weights.size(),
                                " weights; give one weight a client"));
  }
  double sum = 0;
  for (const double weight : weights) {
    if (!std::isfinite(weight) || weight < 0) {
      return invalid_argument(
          cat("a client's weight is ", weight, "; weights are finite and at least 0"));
    }
    sum += weight;
  }
  if (!(sum > 0) || !std::isfinite(sum)) {
    return invalid_argument(
        cat("the clients' weights sum to ", sum, ": there is nothing to average"));
  }
  std::vector<double> result(weights.begin(), weights.end());
  for (double& weight : result) weight /= sum;
  return result;
}

std::vector<float> to_float(const std::vector<double>& values) {
  std::vector<float> result(values.size());
  std::ranges::transform(values, result.begin(),
                         [](double value) { return static_cast<float>(value); });
  return result;
}

double squared_norm(std::span<const float> values) {
  double sum = 0;
  for (const float value : values) sum += static_cast<double>(value) * static_cast<double>(value);
  return sum;
}

// Bbar Abar of clients of one rank and scale.
Result<Product> unscaled_mean(std::span<const ProductView> clients,
                              std::span<const double> weights) {
  std::vector<ProductView> factors(clients.begin(), clients.end());
  for (ProductView& client : factors) client.scale = 1;
  return padded_mean(factors, weights, factors.front().rank, 1);
}

} // namespace

Result<std::vector<double>> norm_weights(std::span<const ProductView> clients) {
  COPPICE_TRY(validate_parts(clients));
  std::vector<double> weights;
  for (const ProductView& client : clients) {
    weights.push_back(COPPICE_TRY(sum_norm(std::span(&client, 1))));
  }
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  for (double& weight : weights) {
    weight = sum > 0 ? weight / sum : 1.0 / static_cast<double>(weights.size());
  }
  return weights;
}

Result<Product> padded_mean(std::span<const ProductView> clients, std::span<const double> weights,
                            std::size_t rank, double scale) {
  COPPICE_TRY(validate_parts(clients));
  const std::vector<double> share = COPPICE_TRY(shares(clients, weights));
  if (!std::isfinite(scale) || !(scale > 0)) {
    return invalid_argument(cat("an adapter's scale of ", scale, " can't carry an average"));
  }
  const std::size_t out = clients.front().out;
  const std::size_t in = clients.front().in;
  std::vector<double> b(out * rank, 0.0);
  std::vector<double> a(rank * in, 0.0);
  for (std::size_t i = 0; i < clients.size(); ++i) {
    const ProductView& client = clients[i];
    const std::size_t kept = std::min(rank, client.rank);
    for (std::size_t at = 0; at < kept * in; ++at) {
      a[at] += share[i] * static_cast<double>(client.a[at]);
    }
    const double left = share[i] * (client.scale / scale);
    for (std::size_t row = 0; row < out; ++row) {
      for (std::size_t k = 0; k < kept; ++k) {
        b[row * rank + k] += left * static_cast<double>(client.b[row * client.rank + k]);
      }
    }
  }
  return Product{.out = out, .in = in, .rank = rank, .b = to_float(b), .a = to_float(a)};
}

Result<FedexUpdate> fedex_update(std::span<const ProductView> clients,
                                 std::span<const double> weights, std::size_t patch_rank) {
  COPPICE_TRY(validate_parts(clients));
  const ProductView& first = clients.front();
  for (const ProductView& client : clients) {
    if (client.rank != first.rank || client.scale != first.scale) {
      return invalid_argument(
          cat("a client of rank ", client.rank, " and scale ", client.scale, " beside one of ",
              first.rank, " and ", first.scale,
              ": factors of one rank and scale have an average with a residual; "
              "use stacking or a recompressed sum for mixed ranks"));
    }
  }
  const std::vector<double> share = COPPICE_TRY(shares(clients, weights));
  std::vector<ProductView> parts(clients.begin(), clients.end());
  for (std::size_t i = 0; i < parts.size(); ++i) parts[i].scale *= share[i];
  FedexUpdate update;
  const double mean_norm = COPPICE_TRY(sum_norm(parts));
  update.mean_energy = mean_norm * mean_norm;
  update.mean = COPPICE_TRY(unscaled_mean(clients, weights));
  // Less the mean as it was rounded to float32: so the patch makes up for that rounding too.
  parts.push_back(update.mean.view(-first.scale));
  Recompressed residual = COPPICE_TRY(recompress(parts, patch_rank, Balance::kSplit));
  update.patch =
      resized(residual.product, std::min(residual.product.rank, residual.numerical_rank));
  update.residual_energy = residual.energy;
  update.dropped_energy = residual.dropped_energy;
  return update;
}

double tail_norm(const ProductView& product, std::size_t kept) {
  COPPICE_CHECK(kept <= product.rank, "a tail begins within the rank");
  double b = 0;
  for (std::size_t row = 0; row < product.out; ++row) {
    b += squared_norm(product.b.subspan(row * product.rank + kept, product.rank - kept));
  }
  return std::sqrt(b) * std::sqrt(squared_norm(product.a.subspan(kept * product.in)));
}

} // namespace coppice
