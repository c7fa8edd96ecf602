// SPDX-License-Identifier: Apache-2.0
// Every bound of the protocol, in one place. A number here is checked before memory is taken for
// it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace coppice::limits {

// 2: secure aggregation, noise; 3: SGD, halves that stay, sums by groups, smaller uploads;
// 4: cores, clusters, late uploads
inline constexpr std::uint16_t kProtocolVersion = 4;
inline constexpr std::uint16_t kOldestProtocolVersion = 1; // the previous one

inline constexpr std::size_t kChunkBytes = 256 * 1024; // of uploads and releases
// Chunks that `size` bytes travel in; sizes are at most kUploadBytes or kReleaseBytes.
constexpr std::uint32_t chunks_of(std::uint64_t size) {
  return static_cast<std::uint32_t>((size + kChunkBytes - 1) / kChunkBytes);
}
inline constexpr std::size_t kFrameBytes = kChunkBytes + 4 * 1024; // one ZeroMQ message: MAXMSGSIZE
inline constexpr std::size_t kControlFrameBytes =
    64 * 1024;                                             // control socket: a plan is the largest
inline constexpr std::size_t kEnrollFrameBytes = 2 * 1024; // enroll socket, both ways
inline constexpr std::size_t kUploadBytes = std::size_t{1} << 30U;  // one finished upload
inline constexpr std::size_t kReleaseBytes = std::size_t{1} << 30U; // one step or adapter
inline constexpr std::size_t kSlots = 4096;                         // of one plan
inline constexpr std::size_t kSlotName = 128;                       // bytes
inline constexpr std::size_t kStatementBytes = 1024; // a signed key set, certificate or release
inline constexpr std::size_t kEndpoint = 256;        // bytes of an endpoint's text
inline constexpr std::size_t kInviteText = 4096;     // characters of an invite
inline constexpr std::size_t kFeatures = 32;         // required by one plan
inline constexpr std::size_t kText = 1024;           // any sentence in a message
inline constexpr std::uint64_t kClients = 100'000;   // of one aggregator
inline constexpr std::uint64_t kParameters = std::uint64_t{1} << 28U; // of one adapter
inline constexpr std::uint64_t kMaxWeight = 1024;                     // w_max of a plan
inline constexpr std::int64_t kLongestRoundMs = std::int64_t{7} * 24 * 3600 * 1000;
inline constexpr std::uint32_t kCreditChunks = 8; // chunks under way from one client
inline constexpr std::uint32_t kTurns = 1000;     // parts that uploads are sent in, one a round
inline constexpr std::uint32_t kClusters = 16;    // that the ranks of an adapter are cut into
inline constexpr std::uint32_t kStaleness = 100;  // releases that an upload may be late
inline constexpr double kWrapBits = 40; // a sum that could wrap does so with at most 2^-this

// secure aggregation
inline constexpr std::size_t kSecAggMessageBytes = std::size_t{16} << 20U; // one whole message
inline constexpr std::uint32_t kSecAggPieces = 64;                         // that it is cut into
inline constexpr std::size_t kRosterMembers = 10'000;                      // devices in one sum
inline constexpr std::size_t kGraphDegree = 2'000; // neighbours of one: their boxes are one piece
inline constexpr std::size_t kSecAggStateBytes = std::size_t{4} << 20U; // of a device, on disk

} // namespace coppice::limits
