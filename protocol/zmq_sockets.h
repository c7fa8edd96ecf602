// SPDX-License-Identifier: Apache-2.0
// What both ends of the transport share: socket options, exceptions turned into values.
//
// Internal to protocol/: the only headers with ZeroMQ in them are this one and zap_handler.h.
#pragma once

#include <chrono>
#include <string>
#include <system_error>
#include <zmq.hpp>

#include "base/clock.h"
#include "base/text.h"
#include "crypto/keys.h"
#include "protocol/transport.h"
#include "protocol/wake_event.h"

namespace coppice {

// The largest frame of a channel, before encryption.
std::size_t frame_limit(Channel channel);
const char* channel_name(Channel channel); // "control"

Error transport_error(const zmq::error_t& thrown, std::string_view doing);

// Calls `body`; what libzmq throws becomes kUnavailable, or what transport_error() makes of it.
template <typename Body>
auto without_throwing(std::string_view doing, const Body& body) -> decltype(body()) {
  try {
    return body();
  } catch (const zmq::error_t& thrown) {
    return transport_error(thrown, doing);
  } catch (const std::system_error& thrown) { // std::thread's
    return Error{ErrorCode::kResourceExhausted, cat(doing, ": ", thrown.what())};
  }
}

// Sizes, queues, time-outs and CURVE's common half, for a socket of either end.
void set_common_options(zmq::socket_t& socket, Channel channel);
void set_curve_secret(zmq::socket_t& socket, const CurveSecretKey& key);

// Receives one message without waiting and keeps its parts in `parts`, at most `most` of them:
// longer messages are taken off the queue and come out empty. False if there is none.
bool receive_parts(zmq::socket_t& socket, std::size_t most, std::vector<zmq::message_t>& parts);

inline Bytes bytes_of(const zmq::message_t& message) {
  const auto* data = message.data<std::uint8_t>();
  return Bytes(data, data + message.size());
}

inline std::chrono::milliseconds poll_time(Millis timeout) {
  return std::chrono::milliseconds(timeout.count < 0 ? 0 : timeout.count);
}

} // namespace coppice
