// SPDX-License-Identifier: Apache-2.0
// What the program finds when it opens libcoppice_cluster.so; see sim/ranks_module.h.
#include "sim/cluster/c10d_ranks.h"
#include "sim/ranks_module.h"

// Signature of coppice::OpenClusterRanks. True: *ranks is set; false: *error is.
extern "C" __attribute__((visibility("default"))) bool coppice_cluster_open(
    const coppice::Rendezvous* rendezvous, const coppice::RanksOptions* options,
    std::unique_ptr<coppice::Ranks>* ranks, coppice::Error* error) {
  auto made = coppice::cluster::open_c10d_ranks(*rendezvous, *options);
  if (!made) {
    *error = std::move(made).error();
    return false;
  }
  *ranks = std::move(made).value();
  return true;
}
static_assert(std::is_same_v<decltype(coppice_cluster_open), coppice::OpenClusterRanks>);
