// SPDX-License-Identifier: Apache-2.0
// Degree and threshold of the secure aggregation graph, from what is assumed of the devices.
//
// Bell, Bonawitz, Gascon, Lepoint, Raykova, "Secure single-server aggregation with
// (poly)logarithmic overhead", CCS 2020, theorems 3.8 and 3.10, with tail bounds of the
// hypergeometric distribution computed instead of estimated. Devices compute the same numbers
// themselves.
//
// Note [Equivocation and the size of a sum]
// No parameters let a semi-malicious server have both secrets of a device. But by telling devices
// different survivors it can strike members from the sum that every list named, down to fewer than
// any one list: each struck member costs it t shares of a mask key, less those of corrupt
// neighbours, and each honest device gives as many as its list names neighbours gone. If that is at
// most g, a device has at most y corrupt neighbours, and h are honest, then at most h g / (t - y)
// honest members are struck. g <= k - t if devices refuse lists that leave fewer than t of their
// neighbours alive, which they must; in a complete graph g <= members - min_survivors too.
//
// Pure; thread-safe.
#pragma once

#include <cstdint>

#include "base/result.h"

namespace coppice {

enum class ServerModel : std::uint8_t {
  kSemiHonest = 0,    // follows the protocol, and looks at everything
  kSemiMalicious = 1, // may also tell neighbours of one device different survivors
};

// Fewer devices than this form a complete graph.
inline constexpr std::uint32_t kCompleteGraphBelow = 32;
// The smallest roster. Of two devices each would hold the other's secrets whole (threshold 1), and
// neither could leave; three is the least with a threshold of two.
inline constexpr std::uint32_t kMinMembers = 3;
// The largest for which the tables of the tests were computed.
inline constexpr std::uint32_t kMaxMembers = 1'000'000;
// Restarts with fresh keys give a curious server as many draws of the graph: 2^3 of them, which the
// security parameter pays for.
inline constexpr std::uint32_t kMaxAttempts = 8;

// What is assumed of the devices in a roster. Shares are of all members, in [0, 1), and count whole
// devices: of 8 members with `corrupt` .1 none is corrupt. Bits are in [1, 128].
struct GraphAssumptions {
  double corrupt = 0.1; // share that works with the server, at most
  double dropout = 0.1; // share that leaves after the roster is closed, at most
  ServerModel server = ServerModel::kSemiMalicious;
  double security_bits = 43;    // the server learns more than the sum with at most 2^-this: 40 + 3
  double correctness_bits = 40; // the sum can't be recovered with at most 2^-this
  bool operator==(const GraphAssumptions&) const = default;
};

struct GraphParameters {
  std::uint32_t degree = 0;    // k: neighbours of a device, even unless the graph is complete
  std::uint32_t threshold = 0; // t: shares that recover a secret, at least 2
  bool operator==(const GraphParameters&) const = default;
};

// The smallest degree, and with it the smallest threshold, that meet the assumptions for `members`
// devices. Below kCompleteGraphBelow the graph is complete, and nothing is left to chance: whoever
// is corrupt, whoever leaves; there the threshold is the largest that recovers, since that is what
// keeps an equivocating server's sums large, and one device may always leave where that is secure,
// even if its share of the members rounds to none. kFailedPrecondition, with the numbers and what
// to change, where none meets them, and where corrupt + dropout (corrupt + 2 dropout, if
// semi-malicious) is above 0.9 in a sparse graph; kInvalidArgument for values out of range.
// Milliseconds at 10^6 members.
Result<GraphParameters> find_graph_parameters(std::uint32_t members,
                                              const GraphAssumptions& assumptions);

// Never a complete graph, however few the members: published figures include small rosters.
Result<GraphParameters> find_sparse_graph_parameters(std::uint32_t members,
                                                     const GraphAssumptions& assumptions);

// Whether `parameters` keep `assumptions`' security for `members` devices (its correctness is the
// server's own affair). kFailedPrecondition says which part fails; kInvalidArgument as above. Some
// ten tail sums: microseconds.
Result<void> check_graph_security(std::uint32_t members, const GraphParameters& parameters,
                                  const GraphAssumptions& assumptions);

} // namespace coppice
