// SPDX-License-Identifier: Apache-2.0
#include "protocol/zmq_sockets.h"

#include "base/text.h"
#include "protocol/zmtp.h"

namespace coppice {
namespace {

// Messages a peer may have queued on each side before its connection waits. Bulk: twice the credit,
// for chunks and their answers; at 260 KiB a frame that is about 4 MB a peer, each way.
int queue_length(Channel channel) {
  switch (channel) {
    case Channel::kControl: return 64;
    case Channel::kBulk: return 2 * static_cast<int>(limits::kCreditChunks);
    case Channel::kEnroll: return 4;
  }
  return 1;
}

constexpr int kLingerMs = 500; // closing waits so long for queued frames to leave
constexpr int kKeepAliveIdleSeconds =
    60; // dead peers are found by TCP, and their descriptors freed
constexpr int kKeepAliveEverySeconds = 20;
constexpr int kKeepAliveTries = 3;

} // namespace

std::size_t frame_limit(Channel channel) {
  switch (channel) {
    case Channel::kControl: return limits::kControlFrameBytes;
    case Channel::kBulk: return limits::kFrameBytes;
    case Channel::kEnroll: return limits::kEnrollFrameBytes;
  }
  return 0;
}

const char* channel_name(Channel channel) {
  switch (channel) {
    case Channel::kControl: return "control";
    case Channel::kBulk: return "bulk";
    case Channel::kEnroll: return "enroll";
  }
  return "unknown";
}

Error transport_error(const zmq::error_t& thrown, std::string_view doing) {
  const std::string words = cat(doing, ": ", thrown.what());
  switch (thrown.num()) {
    case EADDRINUSE:
      return {ErrorCode::kUnavailable,
              cat(doing, ": the port is in use; stop the other program, or choose another port")};
    case EHOSTUNREACH: return {ErrorCode::kUnavailable, cat(doing, ": the peer is gone")};
    case EINVAL:
    case EPROTONOSUPPORT:
    case ENOCOMPATPROTO:
      return {ErrorCode::kInvalidArgument,
              cat(words, "; an endpoint looks like tcp://127.0.0.1:7788")};
    case EMFILE:
    case ENFILE:
    case ENOMEM: return {ErrorCode::kResourceExhausted, words};
    default: return {ErrorCode::kUnavailable, words};
  }
}

void set_common_options(zmq::socket_t& socket, Channel channel) {
  socket.set(zmq::sockopt::maxmsgsize,
             static_cast<std::int64_t>(frame_limit(channel) + kCurveOverhead));
  socket.set(zmq::sockopt::sndhwm, queue_length(channel));
  socket.set(zmq::sockopt::rcvhwm, queue_length(channel));
  socket.set(zmq::sockopt::linger, kLingerMs);
  socket.set(zmq::sockopt::sndtimeo, 0);
  socket.set(zmq::sockopt::rcvtimeo, 0);
  socket.set(zmq::sockopt::heartbeat_ivl,
             0); // ours are messages: they prove that a service is alive
  socket.set(zmq::sockopt::tcp_keepalive, 1);
  socket.set(zmq::sockopt::tcp_keepalive_idle, kKeepAliveIdleSeconds);
  socket.set(zmq::sockopt::tcp_keepalive_intvl, kKeepAliveEverySeconds);
  socket.set(zmq::sockopt::tcp_keepalive_cnt, kKeepAliveTries);
}

void set_curve_secret(zmq::socket_t& socket, const CurveSecretKey& key) {
  const auto secret = key.secret().span();
  socket.set(zmq::sockopt::curve_secretkey, zmq::const_buffer(secret.data(), secret.size()));
}

bool receive_parts(zmq::socket_t& socket, std::size_t most, std::vector<zmq::message_t>& parts) {
  parts.clear();
  bool too_many = false;
  for (bool more = true; more;) {
    zmq::message_t part;
    if (!socket.recv(part, zmq::recv_flags::dontwait)) return false; // parts come together or not
    more = part.more();
    too_many = too_many || parts.size() == most;
    if (!too_many) parts.push_back(std::move(part));
  }
  if (too_many) parts.clear();
  return true;
}

} // namespace coppice
