// SPDX-License-Identifier: Apache-2.0
// Opaque frames over ZeroMQ with CURVE and ZAP. Knows sockets and peers, nothing of what frames
// mean.
//
// Three sockets of the aggregator: control and bulk take only peers whose CURVE key is allowed;
// enroll takes any key, one message. A frame's sender is ZAP's User-Id, never the routing id.
// MAXMSGSIZE, HWM, LINGER, handshake and reconnect times are set on each socket; ROUTERs are
// mandatory. All waits have a timeout. Each object is for one thread; the ZAP handler runs a thread
// of its own inside.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "crypto/keys.h"
#include "protocol/limits.h"

namespace coppice {

enum class Channel : std::uint8_t { kControl, kBulk, kEnroll };

// Whoever a CURVE key belongs to, if it may connect now. Called from the ZAP thread: must be
// thread-safe and fast. Revoking takes effect at the next message because the service asks again
// (see Arrival).
using Authorize = std::function<std::optional<ClientId>(const CurvePublicKey&)>;

// Where to answer: valid until the peer disconnects, then sends report kUnavailable.
struct PeerAddress {
  Channel channel = Channel::kControl;
  Bytes routing_id;
  auto operator<=>(const PeerAddress&) const = default;
};

struct Arrival {
  PeerAddress from;
  ClientId sender; // from ZAP's User-Id; zero on the enroll socket
  Bytes frame;
};

struct ServerEndpoints { // "tcp://127.0.0.1:0" binds a free port; endpoints() tells which
  std::string control;
  std::string bulk;
  std::string enroll;
};

struct ServerTransportOptions {
  ServerEndpoints endpoints;
  std::uint64_t max_clients = 1000; // descriptors are raised for it, or it is refused clearly
  int io_threads = 1;
};

class ServerTransport {
 public:
  // kUnavailable ("port in use: ..."), kResourceExhausted (descriptors), each with its mend.
  static Result<std::unique_ptr<ServerTransport>> open(const ServerTransportOptions& options,
                                                       const CurveSecretKey& key,
                                                       Authorize authorize);
  virtual ~ServerTransport() = default;
  virtual ServerEndpoints endpoints() const = 0; // as bound
  // Waits at most `timeout` for the first arrival, then takes what else is there (bounded).
  virtual Result<std::vector<Arrival>> poll(Millis timeout) = 0;
  // kUnavailable if the peer is gone, kResourceExhausted if its queue is full (try again later).
  virtual Result<void> send(const PeerAddress& to, ByteSpan frame) = 0;
  // From another thread: makes poll() return at once.
  virtual void wake() = 0;
};

// Called with each frame's plaintext just before it is handed to the socket, on the caller's
// thread. For an owner who wants to read what leaves the device; nothing is tapped unless it is
// set. A frame whose send() then fails was tapped too.
using FrameTap = std::function<void(Channel, ByteSpan)>;

struct ClientTransportOptions {
  std::string control;
  std::string bulk;
  CurvePublicKey server;
  FrameTap tap{};
};

// What is known of the control connection. `handshakes` counts those since open(): it grows when
// ZeroMQ connected anew by itself (after 1 to 2 s, doubling up to 30 s, while the server is away),
// and the new connection must check in again.
struct ConnectionState {
  bool connected = false;
  std::uint64_t handshakes = 0;
  bool refused =
      false; // the server knows this device's key and won't have it; only reconnect() tries again
  std::string problem; // the last one, in words; empty if none
};

struct ClientArrival {
  Channel channel = Channel::kControl;
  Bytes frame;
};

class ClientTransport {
 public:
  static Result<std::unique_ptr<ClientTransport>> open(const ClientTransportOptions& options,
                                                       const CurveSecretKey& key);
  virtual ~ClientTransport() = default;
  virtual Result<std::vector<ClientArrival>> poll(Millis timeout) = 0;
  virtual Result<void> send(Channel channel, ByteSpan frame) = 0; // kResourceExhausted: queue full
  virtual void wake() = 0;
  // Drops both connections and their queues, and connects anew (after the server's window).
  virtual Result<void> reconnect() = 0;
  // Drops both connections and their queues, and stays away until reconnect().
  virtual void disconnect() = 0;
  // As of the last poll().
  virtual ConnectionState connection() const = 0;
};

// One request and its reply on the enroll socket, within `timeout` (kDeadlineExceeded).
Result<Bytes> enroll_exchange(const std::string& endpoint, const CurvePublicKey& server,
                              ByteSpan request, Millis timeout);

} // namespace coppice
