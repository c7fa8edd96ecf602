// SPDX-License-Identifier: Apache-2.0
#include "protocol/recording_proxy.h"

#include <poll.h>

#include <atomic>
#include <mutex>
#include <system_error>
#include <thread>

#include "base/text.h"
#include "protocol/tcp_sockets.h"
#include "protocol/wake_event.h"

namespace coppice {
namespace {

constexpr std::size_t kBufferBytes =
    256 * 1024; // a direction of a connection; then its sender waits

// Bytes on their way from one socket to the other.
struct Stream {
  Bytes buffer;
  std::size_t written = 0;
  bool read_ended = false;
  bool write_ended = false;
  ZmtpParser parser;

  bool pending() const { return written < buffer.size(); }
};

struct Connection {
  std::uint64_t number = 0;
  std::size_t route = 0;
  TcpSocket device;
  TcpSocket server;
  Stream up;
  Stream down;
  bool broken = false;
};

// What was seen, shared between the proxy's thread and its callers.
class Recorder {
 public:
  explicit Recorder(const RecordingProxyOptions& options) : options_(options) {}

  // False if there is no room for it.
  bool record(const Connection& connection, TrafficDirection direction,
              std::vector<ZmtpFrame>& frames) {
    const std::lock_guard lock(mutex_);
    for (ZmtpFrame& frame : frames) {
      if (records_.size() >= options_.most_records) {
        overflowed_ = true;
        return false;
      }
      records_.push_back({.connection = connection.number,
                          .route = options_.routes[connection.route].name,
                          .direction = direction,
                          .frame = std::move(frame),
                          .time = SystemClock().monotonic()});
    }
    frames.clear();
    return true;
  }
  void capture(ByteSpan bytes) {
    const std::lock_guard lock(mutex_);
    const std::size_t room = options_.capture_bytes - captured_.size();
    const ByteSpan kept = bytes.first(std::min(room, bytes.size()));
    captured_.insert(captured_.end(), kept.begin(), kept.end());
  }
  std::vector<TrafficRecord> records() const {
    const std::lock_guard lock(mutex_);
    return records_;
  }
  Bytes captured() const {
    const std::lock_guard lock(mutex_);
    return captured_;
  }
  bool overflowed() const { return overflowed_; }

 private:
  const RecordingProxyOptions options_;
  mutable std::mutex mutex_;
  std::vector<TrafficRecord> records_;
  Bytes captured_;
  std::atomic<bool> overflowed_{false};
};

class TcpRecordingProxy final : public RecordingProxy {
 public:
  explicit TcpRecordingProxy(const RecordingProxyOptions& options)
      : options_(options), recorder_(options) {}
  ~TcpRecordingProxy() override { stop(); }

  Result<void> start() {
    if (wake_.descriptor() < 0) {
      return Error{ErrorCode::kResourceExhausted, "the system gave no event descriptor"};
    }
    for (const ProxyRoute& route : options_.routes) {
      listeners_.push_back(COPPICE_TRY(tcp_listen(route.listen)));
      endpoints_.push_back(COPPICE_TRY(tcp_endpoint(listeners_.back())));
    }
    try {
      thread_ = std::thread([this] { run(); });
    } catch (const std::system_error& thrown) {
      return Error{ErrorCode::kResourceExhausted, cat("the proxy got no thread: ", thrown.what())};
    }
    return {};
  }

  std::vector<std::string> endpoints() const override { return endpoints_; }
  std::vector<TrafficRecord> records() const override { return recorder_.records(); }
  Bytes captured() const override { return recorder_.captured(); }
  bool overflowed() const override { return recorder_.overflowed(); }

  void stop() override {
    const std::lock_guard lock(stop_mutex_);
    stopping_ = true;
    wake_.signal();
    if (thread_.joinable()) thread_.join();
  }

 private:
  // The thread: waits for any socket that can go on, or for stop().
  void run() {
    while (!stopping_ && !recorder_.overflowed()) {
      std::vector<pollfd> waits = {{wake_.descriptor(), POLLIN, 0}};
      for (const TcpSocket& listener : listeners_)
        waits.push_back({listener.descriptor(), POLLIN, 0});
      for (const auto& connection : connections_) add_waits(*connection, waits);
      if (poll(waits.data(), waits.size(), -1) < 0) continue; // a signal; stop() ends the wait
      const std::size_t first = 1 + listeners_.size();
      for (std::size_t i = 0; i < connections_.size(); ++i) {
        if ((waits[first + 2 * i].revents | waits[first + 2 * i + 1].revents) != 0) {
          move_bytes(*connections_[i]);
        }
      }
      for (std::size_t i = 0; i < listeners_.size(); ++i) {
        if ((waits[1 + i].revents & POLLIN) != 0) accept_from(i);
      }
      std::erase_if(connections_,
                    [this](const auto& connection) { return has_ended(*connection); });
    }
    for (const auto& connection : connections_) finish(*connection);
    connections_.clear();
    listeners_.clear();
  }

  // Two entries a connection: device, server. A descriptor of -1 is not waited for.
  static void add_waits(const Connection& connection, std::vector<pollfd>& waits) {
    const auto add = [&waits](const TcpSocket& socket, const Stream& in, const Stream& out) {
      short events = 0;
      if (!in.read_ended && in.buffer.size() < kBufferBytes) events |= POLLIN;
      if (out.pending()) events |= POLLOUT;
      waits.push_back({events == 0 ? -1 : socket.descriptor(), events, 0});
    };
    add(connection.device, connection.up, connection.down);
    add(connection.server, connection.down, connection.up);
  }

  void accept_from(std::size_t route) {
    for (;;) {
      TcpSocket device = tcp_accept(listeners_[route]);
      if (!device.is_open()) return;
      auto server = tcp_connect(options_.routes[route].target);
      if (!server) continue; // the device sees a closed connection, as it would without the proxy
      auto connection = std::make_unique<Connection>();
      connection->number = ++accepted_;
      connection->route = route;
      connection->device = std::move(device);
      connection->server = std::move(server).value();
      connections_.push_back(std::move(connection));
    }
  }

  void move_bytes(Connection& connection) {
    pass(connection, TrafficDirection::kUp, connection.device, connection.server, connection.up);
    pass(connection, TrafficDirection::kDown, connection.server, connection.device,
         connection.down);
  }

  void pass(Connection& connection, TrafficDirection direction, const TcpSocket& from,
            const TcpSocket& to, Stream& stream) {
    if (!stream.read_ended && stream.buffer.size() < kBufferBytes) {
      const std::size_t before = stream.buffer.size();
      const TcpOutcome outcome = tcp_read(from, kBufferBytes - before, stream.buffer);
      stream.read_ended = outcome == TcpOutcome::kEnded;
      note(connection, direction, stream, ByteSpan(stream.buffer).subspan(before));
    }
    if (stream.pending()) {
      connection.broken |= tcp_write(to, stream.buffer, stream.written) == TcpOutcome::kEnded;
    }
    if (!stream.pending()) {
      stream.buffer.clear();
      stream.written = 0;
      if (stream.read_ended && !stream.write_ended) {
        tcp_end_writing(to);
        stream.write_ended = true;
      }
    }
  }

  // Written down before it is passed on: the record is never behind the wire.
  void note(const Connection& connection, TrafficDirection direction, Stream& stream,
            ByteSpan bytes) {
    if (bytes.empty()) return;
    recorder_.capture(bytes);
    std::vector<ZmtpFrame> frames;
    stream.parser.feed(bytes, frames);
    recorder_.record(connection, direction, frames);
  }

  bool has_ended(Connection& connection) {
    if (!connection.broken && !(connection.up.write_ended && connection.down.write_ended)) {
      return false;
    }
    finish(connection);
    return true;
  }

  void finish(Connection& connection) {
    std::vector<ZmtpFrame> frames;
    connection.up.parser.finish(frames);
    recorder_.record(connection, TrafficDirection::kUp, frames);
    frames.clear();
    connection.down.parser.finish(frames);
    recorder_.record(connection, TrafficDirection::kDown, frames);
  }

  const RecordingProxyOptions options_;
  Recorder recorder_;
  WakeEvent wake_;
  std::mutex stop_mutex_;
  std::atomic<bool> stopping_{false};
  std::vector<TcpSocket> listeners_;
  std::vector<std::string> endpoints_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::uint64_t accepted_ = 0;
  std::thread thread_;
};

} // namespace

Result<std::unique_ptr<RecordingProxy>> RecordingProxy::open(const RecordingProxyOptions& options) {
  if (options.routes.empty()) {
    return Error{ErrorCode::kInvalidArgument, "a proxy needs at least one route"};
  }
  auto made = std::make_unique<TcpRecordingProxy>(options);
  COPPICE_TRY(made->start());
  return std::unique_ptr<RecordingProxy>(std::move(made));
}

} // namespace coppice
