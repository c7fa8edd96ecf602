// SPDX-License-Identifier: Apache-2.0
// Who is who among the processes of a run, as the launcher's environment says.
//
// In this order: torchrun's RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT; Slurm's
// SLURM_PROCID, SLURM_STEP_NUM_TASKS (else SLURM_NTASKS) and SLURM_LOCALID; Open MPI's
// OMPI_COMM_WORLD_*; PMI_RANK and PMI_SIZE; else one process alone. MASTER_ADDR and MASTER_PORT
// are heeded whatever the launcher. Pure but for the lookup that is passed in.
#pragma once

#include <functional>
#include <string>

#include "sim/ranks.h"

namespace coppice {

struct Rendezvous {
  RankPlace place;
  std::string launcher; // "torchrun", "slurm", "mpi", "pmi", "none"
  std::string address;  // of the store that ranks meet at; empty where there is one rank
  std::uint16_t port = 0;
  // torchrun's agent holds the store already: rank 0 must not open a second one at its port.
  bool agent_store = false;
  std::string attempt; // differs between restarts of one run, which share the agent's store
};

// The value of a variable, or nullptr.
using Lookup = std::function<const char*(const char* variable)>;

inline constexpr std::uint32_t kMaxRanks = 4096;
inline constexpr std::uint16_t kRendezvousPort = 29500; // PyTorch's own default

// kInvalidArgument, with the variable named, for numbers that aren't any or contradict each other,
// and where several hosts can't be told which one rank 0 is on.
Result<Rendezvous> read_rendezvous(const Lookup& lookup);

// The first host of Slurm's "node[003-007,9],login1": "node003". Empty if there is none.
std::string first_host(std::string_view node_list);

} // namespace coppice
