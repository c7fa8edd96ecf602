// SPDX-License-Identifier: Apache-2.0
// Does what was seen on the wire equal what devices wrote down? Pure functions over both lists.
//
// Lengths only: contents are judged elsewhere, on frames opened by whoever holds the keys
// (FrameTap), with contains_any(). Thread-safe.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "protocol/zmtp.h"

namespace coppice {

enum class TrafficDirection : std::uint8_t { kUp, kDown }; // from the device; to the device

// A frame that the proxy passed on.
struct TrafficRecord {
  std::uint64_t connection = 0; // counted from 1, in the order of accepting
  std::string route{};          // the proxy's name for the listening port
  TrafficDirection direction = TrafficDirection::kUp;
  ZmtpFrame frame{};
  Millis time{}; // monotonic
};

// A frame that a device says it sent: its plaintext length, as given to ClientTransport::send() or
// enroll_exchange(). `route` is the one that this device's connections run through.
struct LedgerLine {
  std::string route;
  std::uint64_t bytes = 0;
};

struct TrafficAudit {
  std::uint64_t frames = 0;             // from devices, matched with one ledger line each
  std::uint64_t bytes = 0;              // their plaintext
  std::uint64_t transport_bytes = 0;    // from devices: greetings, handshakes, PING, PONG, framing
  std::uint64_t unaccounted_frames = 0; // from devices, and in no ledger
  std::uint64_t unaccounted_bytes = 0;  // on the wire
  std::uint64_t missing_frames = 0; // in a ledger, and not seen: only a killed device may have some
  std::uint64_t missing_bytes = 0;
  std::vector<std::string> findings; // the first few of the unaccounted and missing, in words
};

// The longest handshake frame that counts as transport: libzmq's INITIATE with the metadata of a
// DEALER without a routing id takes exactly this on the wire; more could carry something.
inline constexpr std::uint64_t kMostHandshakeBytes = 301;

// Matches messages and lines by route and length, each line once. Of each connection one greeting,
// and one command of each name within kMostHandshakeBytes, count as transport (PING and PONG: all,
// up to 32 bytes); every other frame from a device is unaccounted.
TrafficAudit audit_traffic(std::span<const TrafficRecord> records,
                           std::span<const LedgerLine> ledger);

struct ConnectionTotals {
  std::uint64_t connection = 0;
  std::string route;
  std::uint64_t frames_up = 0; // messages
  std::uint64_t frames_down = 0;
  std::uint64_t bytes_up = 0; // on the wire, everything
  std::uint64_t bytes_down = 0;
};
// One row a connection, in order.
std::vector<ConnectionTotals> traffic_totals(std::span<const TrafficRecord> records);

struct NeedleFound {
  std::size_t needle = 0; // index
  std::size_t offset = 0; // of its first occurrence
  bool operator==(const NeedleFound&) const = default;
};
// Which of the needles stand in the bytes. Empty needles are found nowhere.
std::vector<NeedleFound> contains_any(ByteSpan haystack, std::span<const Bytes> needles);

} // namespace coppice
