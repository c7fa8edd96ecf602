// SPDX-License-Identifier: Apache-2.0
// How unequal a fleet's data is: what partitions are judged by.
//
// Sizes and labels are in bytes of text, all three splits together. Entropies in bits: 0 for
// a client of one label, log2(labels) for equal parts.
#pragma once

#include "sim/client_data.h"

namespace coppice {

struct Quantiles {
  double least = 0;
  double p10 = 0;
  double median = 0;
  double p90 = 0;
  double most = 0;
};
// Of the sorted values, the one at floor(q (n - 1)). Zeros of an empty list.
Quantiles quantiles_of(std::vector<double> values);

// 0: all the same; near 1: one has it all. Sum over pairs of |x_i - x_j| over 2 n^2 mean.
double gini(std::vector<double> values);

struct ClientSkew {
  std::uint64_t client = 0;
  std::uint64_t bytes = 0;
  double label_entropy = 0;
  std::vector<std::uint64_t> label_bytes;
};

struct DataSkew {
  std::uint64_t clients = 0;
  std::uint64_t unseen = 0;          // of all clients
  std::vector<ClientSkew> looked_at; // evenly spaced over all clients' numbers
  std::uint64_t bytes = 0;           // of those looked at, as is the rest
  std::uint64_t empty = 0;           // without any text
  Quantiles sizes;
  double size_gini = 0;
  Quantiles label_entropy; // of clients
  double mean_label_entropy = 0;
  double all_label_entropy = 0; // of their labels together
  std::vector<std::uint64_t> label_bytes;
};

// Looks at `at_most` clients, 0: all of them; keeps their labels.
DataSkew measure_skew(const ClientData& data, std::uint64_t at_most);

} // namespace coppice
