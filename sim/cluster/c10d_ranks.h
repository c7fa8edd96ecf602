// SPDX-License-Identifier: Apache-2.0
// Ranks over PyTorch's c10d: a TCPStore to meet at, and Gloo, or NCCL where it was built in and
// there is a GPU a rank.
#pragma once

#include "sim/rendezvous.h"

namespace coppice::cluster {

// See open_ranks(). `rendezvous` has more than one rank.
Result<std::unique_ptr<Ranks>> open_c10d_ranks(const Rendezvous& rendezvous,
                                               const RanksOptions& options);

} // namespace coppice::cluster
