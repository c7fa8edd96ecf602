// SPDX-License-Identifier: Apache-2.0
// A TCP proxy between devices and aggregator that writes down every frame's direction and length.
//
// For the audit (docs/protocol.md, "The audit"): it forwards bytes unchanged, holds no keys, and
// reads ZMTP's framing only. Listens where it is told to, so keep it on the loopback: it
// authenticates nobody. One thread of its own, from open() to destruction. Methods are thread-safe.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "protocol/traffic_audit.h"

namespace coppice {

struct ProxyRoute {
  std::string name; // "control", or "device 3, bulk": what records and ledger lines are matched by
  std::string listen; // "tcp://127.0.0.1:0": port 0 takes a free one
  std::string target; // "tcp://127.0.0.1:7788"
};

struct RecordingProxyOptions {
  std::vector<ProxyRoute> routes;
  std::size_t capture_bytes = 0;        // raw bytes kept for captured(), from the start
  std::size_t most_records = 1U << 20U; // more end the proxy with overflowed(): no silent gap
};

class RecordingProxy {
 public:
  // kInvalidArgument (an endpoint that is no tcp://IPv4:port), kUnavailable (port in use), kIo.
  static Result<std::unique_ptr<RecordingProxy>> open(const RecordingProxyOptions& options);
  virtual ~RecordingProxy() = default;
  // Where each route listens, in order: "tcp://127.0.0.1:41234".
  virtual std::vector<std::string> endpoints() const = 0;
  // Up to now; frames that are half-way come when they are whole, or with their connection's end.
  virtual std::vector<TrafficRecord> records() const = 0;
  virtual Bytes captured() const = 0; // both directions, as they came
  virtual bool overflowed() const = 0;
  // Closes every connection and the ports; records() then holds the unfinished frames too.
  virtual void stop() = 0;
};

} // namespace coppice
