// SPDX-License-Identifier: Apache-2.0
// Between sim/ranks.cc and the module libcoppice_cluster.so.
#pragma once

#include "sim/rendezvous.h"

namespace coppice {

// The symbol that the module exports, and its type: true and the ranks, or false and *error.
inline constexpr char kClusterSymbol[] = "coppice_cluster_open";
using OpenClusterRanks = bool(const Rendezvous* rendezvous, const RanksOptions* options,
                              std::unique_ptr<Ranks>* ranks, Error* error);

} // namespace coppice
