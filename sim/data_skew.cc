// SPDX-License-Identifier: Apache-2.0
#include "sim/data_skew.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace coppice {
namespace {

double entropy_bits(std::span<const std::uint64_t> counts) {
  const auto all = static_cast<double>(std::accumulate(counts.begin(), counts.end(), 0ULL));
  double bits = 0;
  for (const std::uint64_t count : counts) {
    if (count == 0) continue;
    const double share = static_cast<double>(count) / all;
    bits -= share * std::log2(share);
  }
  return bits;
}

double mean_of(const std::vector<double>& values) {
  if (values.empty()) return 0;
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

} // namespace

Quantiles quantiles_of(std::vector<double> values) {
  if (values.empty()) return {};
  std::ranges::sort(values);
  const auto at = [&](double q) {
    return values[static_cast<std::size_t>(q * static_cast<double>(values.size() - 1))];
  };
  return {.least = at(0), .p10 = at(0.1), .median = at(0.5), .p90 = at(0.9), .most = at(1)};
}

double gini(std::vector<double> values) {
  std::ranges::sort(values);
  const auto n = static_cast<double>(values.size());
  double sum = 0;
  double ranked = 0; // sum of rank x value, ranks from 1
  for (std::size_t i = 0; i < values.size(); ++i) {
    sum += values[i];
    ranked += static_cast<double>(i + 1) * values[i];
  }
  return sum > 0 ? 2 * ranked / (n * sum) - (n + 1) / n : 0;
}

DataSkew measure_skew(const ClientData& data, std::uint64_t at_most) {
  DataSkew skew;
  skew.clients = data.clients();
  skew.label_bytes.resize(data.labels().size());
  for (std::uint64_t client = 0; client < skew.clients; ++client) {
    if (data.unseen(client)) ++skew.unseen;
  }
  const std::uint64_t count = at_most == 0 ? skew.clients : std::min(at_most, skew.clients);
  std::vector<double> sizes;
  std::vector<double> entropies;
  for (std::uint64_t i = 0; i < count; ++i) {
    ClientSkew one;
    one.client = i * skew.clients / count;
    one.label_bytes = data.label_bytes(one.client);
    one.bytes = std::accumulate(one.label_bytes.begin(), one.label_bytes.end(), std::uint64_t{0});
    one.label_entropy = entropy_bits(one.label_bytes);
    for (std::size_t label = 0; label < one.label_bytes.size(); ++label) {
      skew.label_bytes[label] += one.label_bytes[label];
    }
    skew.bytes += one.bytes;
    if (one.bytes == 0) ++skew.empty;
    sizes.push_back(static_cast<double>(one.bytes));
    if (one.bytes > 0) entropies.push_back(one.label_entropy);
    skew.looked_at.push_back(std::move(one));
  }
  skew.size_gini = gini(sizes);
  skew.sizes = quantiles_of(std::move(sizes));
  skew.mean_label_entropy = mean_of(entropies);
  skew.label_entropy = quantiles_of(std::move(entropies));
  skew.all_label_entropy = entropy_bits(skew.label_bytes);
  return skew;
}

} // namespace coppice
