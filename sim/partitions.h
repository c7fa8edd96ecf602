// SPDX-License-Identifier: Apache-2.0
// How a finite pool of labelled pieces is dealt to clients.
//
// What every partition holds: a piece goes to at most one client, and what client i has follows
// from (settings, pool, number of clients, seed) alone, whoever was asked before. share() costs
// the client's own size plus at most 64 x labels; no table has an entry a client.
//
//   by user      a user's pieces, in the source's order
//   iid          every piece dealt, at random; sizes differ by at most one piece
//   dirichlet    client i's mixture of labels is one draw from Dirichlet(a), a_l = alpha x labels x
//                (label l's share of the pool): the usual symmetric Dirichlet(alpha) where labels
//                are equally common (Hsu, Qi and Brown 2019, arXiv 1909.06335). A label's mean
//                share of a client is its share p of the pool, the variance p (1 - p) / (alpha
//                labels + 1). Sizes are equal to within one piece a label: as large as they can be
//                without giving a piece of any label twice, so some pieces of the other labels are
//                left over. For that the mixtures of all clients are summed once, when the
//                partition is made (clients x labels draws), and kept for every 64th client.
//   pathological each client has pieces of exactly `labels_per_client` labels; a label's pieces are
//                divided evenly over those who have it. In any `labels` clients in a row, from a
//                multiple of it, each label is had equally often
//   shards       pieces sorted by label, cut into clients x shards_per_client equal shards, each
//                client has `shards_per_client` of them, at random (McMahan et al. 2017,
//                1602.05629)
//   quantity     as iid, sizes in proportion to exp(sigma z), z standard normal
//   drift        client i has the i-th run of the source's order
//
// Immutable: thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "sim/scenario.h"

namespace coppice {

// What partitions know of a pool; one entry a piece, in the source's order.
struct PoolShape {
  std::span<const std::uint32_t> user;  // 0 .. users-1
  std::span<const std::uint16_t> label; // 0 .. labels-1, each of which occurs
  std::uint32_t users = 0;
  std::uint32_t labels = 0;
};

class DealtPool {
 public:
  virtual ~DealtPool() = default;
  // Numbers of pieces, ascending. `client` < the number of clients that it was made for.
  virtual std::vector<std::uint32_t> share(std::uint64_t client) const = 0;
};

// `clients` are at least one. kInvalidArgument names the setting: fewer pieces (users) than
// clients, more labels a client than there are, no labels where the partition goes by them.
Result<std::unique_ptr<const DealtPool>> deal_pool(const DataSettings& settings,
                                                   const PoolShape& pool, std::uint64_t clients,
                                                   std::uint64_t seed);

// Ranges of alpha, sigma and the counts: kInvalidArgument names the setting.
Result<void> check_partition_numbers(const DataSettings& settings);

// Streams of the data's draws; `use` keeps them apart.
enum class DataDraw : std::uint64_t {
  kUsers,
  kOrder,
  kMixture,
  kLabels,
  kShards,
  kSize,
  kHeldOut,
  kPortions,
};
KeyedRandom data_stream(std::uint64_t seed, DataDraw use, std::uint64_t client);

// A client's labels under the pathological partition.
std::vector<std::uint32_t> pathological_labels(std::uint64_t seed, std::uint64_t client,
                                               std::uint32_t labels, std::uint32_t each);
// exp(sigma z) of a client.
double quantity_weight(std::uint64_t seed, std::uint64_t client, double sigma);

} // namespace coppice
