// SPDX-License-Identifier: Apache-2.0
// Who shares masks with whom: a Harary graph over a permutation that nobody chooses.
//
// Note [Joint permutation]
// Each device commits to a nonce when it advertises its keys, and opens it only after the roster
// with everybody's commitments is fixed. The permutation hashes all nonces and the roster, so one
// honest device makes it uniform, and the server can't place a device among its friends. A server
// may refuse to go on with an order that it dislikes: kMaxAttempts of those are paid for in the
// security parameter.
//
// The permutation is part of the protocol, and integers only:
//   seed   = domain_hash(kGraph, roster hash, nonce 0, nonce 1, ...)
//   block  = domain_hash(kGraph, seed, u64 number of the block: 0, 1, ...), as eight u32
//   below(n): the next u32 r, passing over those from 2^32 - 2^32 mod n up; r mod n
//   order  = 0, 1, ..., members - 1; for i = members - 1 down to 1: swap order[i], order[below(i +
//   1)]
// where numbers are little-endian. order[p] is the member at position p of the ring; neighbours are
// those at most degree / 2 positions away, or all others in a complete graph.
//
// Pure; thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "base/ids.h"

namespace coppice {

using GraphNonce = std::array<std::uint8_t, 32>;

class SecAggGraph {
 public:
  // Members are numbered as in the roster. `nonces` has one a member, at least two; `degree` is
  // even and below their number, or one less than it (checked).
  SecAggGraph(const Sha256& roster_hash, std::span<const GraphNonce> nonces, std::uint32_t degree);

  std::uint32_t members() const { return static_cast<std::uint32_t>(position_.size()); }
  std::uint32_t degree() const { return degree_; }
  // Members next to `member`, sorted. Symmetric: j is a neighbour of i exactly if i is one of j.
  std::vector<std::uint32_t> neighbours(std::uint32_t member) const;
  // Of `member` on the ring, 0 .. members() - 1.
  std::uint32_t position(std::uint32_t member) const;

 private:
  std::vector<std::uint32_t> position_; // of each member on the ring
  std::vector<std::uint32_t> member_;   // at each position
  std::uint32_t degree_;
};

} // namespace coppice
