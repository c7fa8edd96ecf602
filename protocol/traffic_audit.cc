// SPDX-License-Identifier: Apache-2.0
#include "protocol/traffic_audit.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <set>
#include <unordered_map>

#include "base/text.h"

namespace coppice {
namespace {

constexpr std::size_t kMostFindings = 16;
constexpr std::uint64_t kMostHeartbeatBytes = 32;

void find(TrafficAudit& audit, std::string words) {
  if (audit.findings.size() < kMostFindings) audit.findings.push_back(std::move(words));
}

// What transport there is in one connection, each kind once.
class TransportSeen {
 public:
  bool allows(const TrafficRecord& record) {
    const ZmtpFrame& frame = record.frame;
    if (frame.kind == ZmtpKind::kGreeting) return once(record.connection, "greeting");
    if (frame.kind != ZmtpKind::kCommand) return false;
    if (frame.command == "PING" || frame.command == "PONG") {
      return frame.wire_bytes <= kMostHeartbeatBytes;
    }
    return frame.wire_bytes <= kMostHandshakeBytes && once(record.connection, frame.command);
  }

 private:
  bool once(std::uint64_t connection, const std::string& what) {
    return seen_.emplace(connection, what).second;
  }
  std::set<std::pair<std::uint64_t, std::string>> seen_;
};

} // namespace

TrafficAudit audit_traffic(std::span<const TrafficRecord> records,
                           std::span<const LedgerLine> ledger) {
  TrafficAudit audit;
  std::map<std::pair<std::string, std::uint64_t>, std::uint64_t> open; // lines not yet seen
  for (const LedgerLine& line : ledger) ++open[{line.route, line.bytes}];
  TransportSeen transport;
  for (const TrafficRecord& record : records) {
    if (record.direction != TrafficDirection::kUp) continue;
    const ZmtpFrame& frame = record.frame;
    if (frame.kind == ZmtpKind::kMessage) {
      const auto line = open.find({record.route, frame.plaintext_bytes});
      if (line != open.end() && line->second > 0) {
        --line->second;
        ++audit.frames;
        audit.bytes += frame.plaintext_bytes;
        // Of a frame that broke off less may have passed than its plaintext.
        audit.transport_bytes +=
            frame.wire_bytes - std::min(frame.wire_bytes, frame.plaintext_bytes);
        continue;
      }
    } else if (transport.allows(record)) {
      audit.transport_bytes += frame.wire_bytes;
      continue;
    }
    ++audit.unaccounted_frames;
    audit.unaccounted_bytes += frame.wire_bytes;
    find(audit,
         cat("connection ", record.connection, " (", record.route, ") sent ", frame.wire_bytes,
             " bytes that no ledger has", frame.command.empty() ? "" : ": ", frame.command));
  }
  for (const auto& [key, count] : open) {
    if (count == 0) continue;
    audit.missing_frames += count;
    audit.missing_bytes += count * key.second;
    find(audit, cat("a ledger of ", key.first, " has ", count, " frames of ", key.second,
                    " bytes that were not seen"));
  }
  return audit;
}

std::vector<ConnectionTotals> traffic_totals(std::span<const TrafficRecord> records) {
  std::map<std::uint64_t, ConnectionTotals> totals;
  for (const TrafficRecord& record : records) {
    ConnectionTotals& row = totals[record.connection];
    row.connection = record.connection;
    row.route = record.route;
    const std::uint64_t message = record.frame.kind == ZmtpKind::kMessage ? 1 : 0;
    const bool up = record.direction == TrafficDirection::kUp;
    (up ? row.frames_up : row.frames_down) += message;
    (up ? row.bytes_up : row.bytes_down) += record.frame.wire_bytes;
  }
  std::vector<ConnectionTotals> rows;
  for (auto& [connection, row] : totals) rows.push_back(std::move(row));
  return rows;
}

namespace {

// Needles by their first 8 bytes: one pass over a haystack, however many there are.
class NeedleIndex {
 public:
  static constexpr std::size_t kPrefix = 8;

  explicit NeedleIndex(std::span<const Bytes> needles) : needles_(needles), may_start_(1U << 16U) {
    for (std::size_t i = 0; i < needles.size(); ++i) {
      if (needles[i].size() < kPrefix) continue;
      const std::uint64_t prefix = load(needles[i].data());
      by_prefix_[prefix].push_back(i);
      may_start_[slot(prefix)] = true;
    }
  }

  void search(ByteSpan haystack, std::vector<NeedleFound>& found) {
    for (std::size_t at = 0; at + kPrefix <= haystack.size(); ++at) {
      const std::uint64_t prefix = load(haystack.data() + at);
      if (!may_start_[slot(prefix)]) continue;
      const auto starting = by_prefix_.find(prefix);
      if (starting == by_prefix_.end()) continue;
      std::erase_if(starting->second, [&](std::size_t needle) { // the first occurrence is enough
        const Bytes& wanted = needles_[needle];
        if (wanted.size() > haystack.size() - at ||
            std::memcmp(wanted.data(), haystack.data() + at, wanted.size()) != 0) {
          return false;
        }
        found.push_back({needle, at});
        return true;
      });
    }
  }

 private:
  static std::uint64_t load(const std::uint8_t* bytes) {
    std::uint64_t value = 0;
    std::memcpy(&value, bytes, sizeof(value));
    return value;
  }
  static std::size_t slot(std::uint64_t prefix) { // 2^64 over the golden ratio spreads the bits
    return static_cast<std::size_t>((prefix * 0x9e3779b97f4a7c15U) >> 48U);
  }

  std::span<const Bytes> needles_;
  std::vector<bool> may_start_;
  std::unordered_map<std::uint64_t, std::vector<std::size_t>> by_prefix_;
};

} // namespace

std::vector<NeedleFound> contains_any(ByteSpan haystack, std::span<const Bytes> needles) {
  std::vector<NeedleFound> found;
  NeedleIndex(needles).search(haystack, found);
  for (std::size_t i = 0; i < needles.size(); ++i) {
    if (needles[i].empty() || needles[i].size() >= NeedleIndex::kPrefix) continue;
    const auto at = std::ranges::search(haystack, needles[i]).begin();
    if (at != haystack.end()) found.push_back({i, static_cast<std::size_t>(at - haystack.begin())});
  }
  std::ranges::sort(found, {}, &NeedleFound::needle);
  return found;
}

} // namespace coppice
