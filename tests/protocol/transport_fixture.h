// SPDX-License-Identifier: Apache-2.0
// A server and clients over real sockets on the loopback, with waits that end.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <mutex>

#include "base/text.h"
#include "crypto/keys.h"
#include "protocol/transport.h"

namespace coppice {

inline constexpr Millis kSoon{
    10'000}; // far above what the loopback takes, far below a test's limit

// The allow-list: as an aggregator has one, changed while the ZAP thread reads it.
class AllowList {
 public:
  void allow(const CurvePublicKey& key, const ClientId& client) {
    const std::lock_guard lock(mutex_);
    clients_[key] = client;
  }
  void revoke(const CurvePublicKey& key) {
    const std::lock_guard lock(mutex_);
    clients_.erase(key);
  }
  std::optional<ClientId> find(const CurvePublicKey& key) const {
    const std::lock_guard lock(mutex_);
    const auto found = clients_.find(key);
    return found == clients_.end() ? std::nullopt : std::optional(found->second);
  }

 private:
  mutable std::mutex mutex_;
  std::map<CurvePublicKey, ClientId> clients_;
};

inline ClientId client_number(std::uint32_t number) {
  ClientId id;
  std::memcpy(id.bytes.data(), &number, sizeof(number));
  id.bytes[15] = 1;
  return id;
}

struct Device {
  CurveSecretKey key = CurveSecretKey::generate();
  std::unique_ptr<ClientTransport> transport;
};

class TransportTest : public ::testing::Test {
 protected:
  void SetUp() override { open_server({}); }

  void open_server(ServerTransportOptions options) {
    if (options.endpoints.control.empty()) {
      options.endpoints = {"tcp://127.0.0.1:0", "tcp://127.0.0.1:0", "tcp://127.0.0.1:0"};
    }
    auto opened = ServerTransport::open(
        options, server_key_, [this](const CurvePublicKey& key) { return allowed_.find(key); });
    ASSERT_TRUE(opened) << opened.error().message;
    server_ = std::move(opened).value();
  }

  Device connect(FrameTap tap = {}) { return connect_to(server_key_.public_key(), std::move(tap)); }
  Device connect_to(const CurvePublicKey& server, FrameTap tap = {}) {
    Device device;
    const ServerEndpoints ends = server_->endpoints();
    auto opened =
        ClientTransport::open({ends.control, ends.bulk, server, std::move(tap)}, device.key);
    if (!opened) throw std::runtime_error(opened.error().message);
    device.transport = std::move(opened).value();
    return device;
  }
  Device enrolled(std::uint32_t number, FrameTap tap = {}) {
    Device device;
    allowed_.allow(device.key.public_key(), client_number(number));
    const ServerEndpoints ends = server_->endpoints();
    auto opened = ClientTransport::open(
        {ends.control, ends.bulk, server_key_.public_key(), std::move(tap)}, device.key);
    if (!opened) throw std::runtime_error(opened.error().message);
    device.transport = std::move(opened).value();
    return device;
  }

  // Frames at the server until there are `count`, or `within` is over.
  std::vector<Arrival> serve(std::size_t count, Millis within = kSoon) {
    std::vector<Arrival> all;
    const Millis end = clock_.monotonic() + within;
    while (all.size() < count && clock_.monotonic() < end) {
      auto some = server_->poll(end - clock_.monotonic());
      if (!some) throw std::runtime_error(some.error().message);
      for (Arrival& one : *some) all.push_back(std::move(one));
    }
    return all;
  }
  std::vector<ClientArrival> receive(ClientTransport& client, std::size_t count,
                                     Millis within = kSoon) {
    std::vector<ClientArrival> all;
    const Millis end = clock_.monotonic() + within;
    while (all.size() < count && clock_.monotonic() < end) {
      auto some = client.poll(end - clock_.monotonic());
      if (!some) throw std::runtime_error(some.error().message);
      for (ClientArrival& one : *some) all.push_back(std::move(one));
    }
    return all;
  }
  // Polls the client until its connection state satisfies `wanted`.
  template <typename Wanted>
  bool becomes(ClientTransport& client, const Wanted& wanted, Millis within = kSoon) {
    const Millis end = clock_.monotonic() + within;
    while (!wanted(client.connection())) {
      if (clock_.monotonic() > end) return false;
      if (!client.poll(Millis{50})) return false;
    }
    return true;
  }

  SystemClock clock_;
  AllowList allowed_;
  CurveSecretKey server_key_ = CurveSecretKey::generate();
  std::unique_ptr<ServerTransport> server_;
};

inline Bytes frame_of(std::string_view text) {
  const ByteSpan span = as_bytes(text);
  return Bytes(span.begin(), span.end());
}

} // namespace coppice
