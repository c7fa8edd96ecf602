// SPDX-License-Identifier: Apache-2.0
// The processes that compute one simulation together, and the few things they say to each other.
//
// Every rank runs the same program on the same scenario; it calls the same functions in the same
// order, and a rank that calls another one than its peers is refused by name. Each wait has a
// deadline. A rank that is lost is named in the error of all others; after an error a Ranks is
// broken, and every later call returns that error. Names no LibTorch type. For one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/ids.h"

namespace coppice {

struct RankPlace {
  std::uint32_t rank = 0;       // of `size`
  std::uint32_t size = 1;       // ranks in all
  std::uint32_t local_rank = 0; // among the ranks of this host: which of its GPUs to take
};

class Ranks {
 public:
  virtual ~Ranks() = default;
  virtual RankPlace place() const = 0;

  // values[i] becomes the sum of all ranks' values[i] modulo 2^32: the same bits in any order.
  virtual Result<void> sum(std::span<std::uint32_t> values) = 0;
  // The root's bytes, on every rank. At most kMaxRankBytes.
  virtual Result<void> broadcast(Bytes& bytes, std::uint32_t root) = 0;
  // Each rank's bytes, in the order of ranks, at the root; nothing elsewhere. The longest of them
  // times the number of ranks is at most kMaxRankBytes.
  virtual Result<std::vector<Bytes>> gather(ByteSpan bytes, std::uint32_t root) = 0;
  // The same, on every rank.
  virtual Result<std::vector<Bytes>> all_gather(ByteSpan bytes) = 0;
  // Returns when all ranks have come.
  virtual Result<void> barrier() = 0;
};

inline constexpr std::uint64_t kMaxRankBytes = std::uint64_t{1} << 30U;

struct RanksOptions {
  Millis start{300'000};  // until all ranks have come
  Millis wait{1'800'000}; // of one call, for the slowest rank
  Millis silence{20'000}; // a rank that gave no sign of life for so long is lost
};

// Rank 0 of 1: needs no module, and nothing waits.
std::unique_ptr<Ranks> single_rank();

// As the environment says (sim/rendezvous.h): alone, or with the others through the module
// libcoppice_cluster.so (beside the program, or where COPPICE_CLUSTER_MODULE points).
// kUnavailable without it, kInvalidArgument for an environment that contradicts itself,
// kDeadlineExceeded with the ranks that didn't come.
Result<std::unique_ptr<Ranks>> open_ranks(const RanksOptions& options = {});

// What must be equal on all ranks for a sum of theirs to be reproducible.
struct RunIdentity {
  Sha256 configuration; // of everything that the run follows from
  Sha256 base;          // of the base model's file
  std::string instruction_level;
  std::string program_version;
};

// Compares over all ranks; each of them gets the same verdict. kFailedPrecondition names the first
// rank that differs, in what, and both values.
Result<void> check_same_run(Ranks& ranks, const RunIdentity& identity);

} // namespace coppice
