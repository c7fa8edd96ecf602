// SPDX-License-Identifier: Apache-2.0
#include <atomic>
#include <mutex>

#include "base/text.h"
#include "protocol/transport.h"
#include "protocol/zmq_sockets.h"

namespace coppice {
namespace {

constexpr std::size_t kArrivalsAtOnce = 64;
constexpr int kReconnectMs = 1000; // and up to as much again, at random
constexpr int kReconnectMostMs = 30'000;
constexpr int kHandshakeMs = 30'000;
constexpr int kMaxSockets = 16'384; // of all clients in this process

// One context for all clients of the process: a thousand in one process are two threads, not two
// thousand. It ends with the last of them.
std::shared_ptr<zmq::context_t> shared_context() {
  static std::mutex mutex;
  static std::weak_ptr<zmq::context_t> current;
  const std::lock_guard lock(mutex);
  std::shared_ptr<zmq::context_t> context = current.lock();
  if (!context) {
    context = std::make_shared<zmq::context_t>(1);
    context->set(zmq::ctxopt::max_sockets, kMaxSockets);
    current = context;
  }
  return context;
}

void set_client_options(zmq::socket_t& socket, Channel channel, const CurvePublicKey& server,
                        const CurveSecretKey& key) {
  set_common_options(socket, channel);
  socket.set(zmq::sockopt::curve_serverkey,
             zmq::const_buffer(server.bytes.data(), server.bytes.size()));
  const CurvePublicKey& own = key.public_key();
  socket.set(zmq::sockopt::curve_publickey, zmq::const_buffer(own.bytes.data(), own.bytes.size()));
  set_curve_secret(socket, key);
  socket.set(zmq::sockopt::handshake_ivl, kHandshakeMs);
  socket.set(zmq::sockopt::reconnect_ivl, kReconnectMs);
  socket.set(zmq::sockopt::reconnect_ivl_max, kReconnectMostMs);
}

std::string next_monitor_name() {
  static std::atomic<std::uint64_t> next{0};
  return cat("inproc://coppice.monitor.", next++);
}

class ZmqClientTransport final : public ClientTransport {
 public:
  ZmqClientTransport(const ClientTransportOptions& options, const CurveSecretKey& key)
      : context_(shared_context()),
        options_(options),
        key_(CurveSecretKey::from_secret(Secret<32>::copy_of(key.secret().span()))) {}

  ~ZmqClientTransport() override { close_sockets(/*linger=*/true); }

  Result<std::vector<ClientArrival>> poll(Millis timeout) override {
    return without_throwing("waiting for frames", [&]() -> Result<std::vector<ClientArrival>> {
      std::vector<zmq::pollitem_t> items = {{nullptr, wake_.descriptor(), ZMQ_POLLIN, 0}};
      if (monitor_) items.push_back({monitor_.handle(), 0, ZMQ_POLLIN, 0});
      if (control_) items.push_back({control_.handle(), 0, ZMQ_POLLIN, 0});
      if (bulk_) items.push_back({bulk_.handle(), 0, ZMQ_POLLIN, 0});
      try {
        zmq::poll(items, poll_time(timeout));
      } catch (const zmq::error_t& thrown) {
        if (thrown.num() == EINTR) return std::vector<ClientArrival>{};
        throw;
      }
      if ((items[0].revents & ZMQ_POLLIN) != 0) wake_.drain();
      read_events();
      return take_arrivals();
    });
  }

  Result<void> send(Channel channel, ByteSpan frame) override {
    if (channel == Channel::kEnroll) {
      return Error{ErrorCode::kInvalidArgument, "enrolment goes through enroll_exchange()"};
    }
    if (frame.size() > frame_limit(channel)) {
      return Error{ErrorCode::kTooLarge,
                   cat("a frame of ", frame.size(), " bytes is over the ", channel_name(channel),
                       " socket's limit of ", frame_limit(channel))};
    }
    zmq::socket_t& socket = channel == Channel::kControl ? control_ : bulk_;
    if (!socket) {
      return Error{ErrorCode::kUnavailable, "this device has disconnected; reconnect first"};
    }
    if (state_.refused) return Error{ErrorCode::kPermissionDenied, state_.problem};
    if (options_.tap) options_.tap(channel, frame);
    return without_throwing("sending to the aggregator", [&]() -> Result<void> {
      if (!socket.send(zmq::buffer(frame.data(), frame.size()), zmq::send_flags::dontwait)) {
        return Error{ErrorCode::kResourceExhausted,
                     cat("the ", channel_name(channel), " queue is full; try again later")};
      }
      return {};
    });
  }

  void wake() override { wake_.signal(); }

  Result<void> reconnect() override {
    close_sockets(/*linger=*/false);
    return connect();
  }

  void disconnect() override { close_sockets(/*linger=*/false); }

  ConnectionState connection() const override { return state_; }

  Result<void> connect() {
    if (wake_.descriptor() < 0) {
      return Error{ErrorCode::kResourceExhausted, "the system gave no event descriptor"};
    }
    state_.connected = false;
    state_.refused = false;
    auto control = open_socket(Channel::kControl, options_.control);
    auto bulk = control ? open_socket(Channel::kBulk, options_.bulk) : Result<void>();
    if (control && bulk) return {};
    close_sockets(/*linger=*/false);
    return control ? std::move(bulk).error() : std::move(control).error();
  }

 private:
  Result<void> open_socket(Channel channel, const std::string& endpoint) {
    return without_throwing(cat("connecting to ", endpoint), [&]() -> Result<void> {
      zmq::socket_t& socket = channel == Channel::kControl ? control_ : bulk_;
      socket = zmq::socket_t(*context_, zmq::socket_type::dealer);
      set_client_options(socket, channel, options_.server, key_);
      if (channel == Channel::kControl) watch(socket);
      socket.connect(endpoint);
      return {};
    });
  }

  void watch(zmq::socket_t& socket) {
    const std::string name = next_monitor_name();
    constexpr int kEvents = ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH |
                            ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
                            ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_DISCONNECTED |
                            ZMQ_EVENT_CONNECT_RETRIED;
    if (zmq_socket_monitor(socket.handle(), name.c_str(), kEvents) != 0) throw zmq::error_t();
    monitor_ = zmq::socket_t(*context_, zmq::socket_type::pair);
    monitor_.set(zmq::sockopt::linger, 0);
    monitor_.connect(name);
  }

  // An event is two frames: u16 number and u32 value, then the endpoint.
  void read_events() {
    std::vector<zmq::message_t> parts;
    while (monitor_ && receive_parts(monitor_, 2, parts)) {
      if (parts.size() != 2 || parts[0].size() < sizeof(std::uint16_t)) continue;
      std::uint16_t event = 0;
      std::memcpy(&event, parts[0].data(), sizeof(event));
      note_event(event);
    }
  }

  void note_event(std::uint16_t event) {
    switch (event) {
      case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
        state_.connected = true;
        ++state_.handshakes;
        state_.problem.clear();
        return;
      case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
        state_.refused = true;
        state_.problem = cat("the aggregator at ", options_.control,
                             " refuses this device's key: it was revoked, or never enrolled there; "
                             "ask for a new invite");
        break;
      case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
      case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL:
        state_.problem = cat("the handshake with ", options_.control,
                             " failed: it is not the aggregator of this device's fleet, its keys "
                             "have changed, or the connection broke");
        break;
      case ZMQ_EVENT_CONNECT_RETRIED:
        if (state_.problem.empty()) state_.problem = cat("nothing answers at ", options_.control);
        break;
      default:
        if (state_.connected)
          state_.problem = cat("the connection to ", options_.control, " was lost");
        break;
    }
    state_.connected = false;
  }

  std::vector<ClientArrival> take_arrivals() {
    std::vector<ClientArrival> arrivals;
    bool control_waits = true;
    bool bulk_waits = true;
    while ((control_waits || bulk_waits) && arrivals.size() < kArrivalsAtOnce) {
      control_waits = control_waits && take_one(Channel::kControl, control_, arrivals);
      bulk_waits = bulk_waits && take_one(Channel::kBulk, bulk_, arrivals);
    }
    return arrivals;
  }

  static bool take_one(Channel channel, zmq::socket_t& socket,
                       std::vector<ClientArrival>& arrivals) {
    std::vector<zmq::message_t> parts;
    if (!socket || !receive_parts(socket, 1, parts)) return false;
    if (!parts.empty()) arrivals.push_back({channel, bytes_of(parts[0])});
    return true;
  }

  void close_sockets(bool linger) {
    for (zmq::socket_t* socket : {&control_, &bulk_}) {
      if (!*socket) continue;
      if (!linger) zmq_setsockopt(socket->handle(), ZMQ_LINGER, &kNoLinger, sizeof(kNoLinger));
      zmq_socket_monitor(socket->handle(), nullptr, 0);
      socket->close();
    }
    monitor_.close();
    state_.connected = false;
  }

  static constexpr int kNoLinger = 0;
  std::shared_ptr<zmq::context_t> context_;
  ClientTransportOptions options_;
  CurveSecretKey key_;
  WakeEvent wake_;
  zmq::socket_t control_;
  zmq::socket_t bulk_;
  zmq::socket_t monitor_;
  ConnectionState state_;
};

} // namespace

Result<std::unique_ptr<ClientTransport>> ClientTransport::open(
    const ClientTransportOptions& options, const CurveSecretKey& key) {
  return without_throwing("opening this device's sockets",
                          [&]() -> Result<std::unique_ptr<ClientTransport>> {
                            auto made = std::make_unique<ZmqClientTransport>(options, key);
                            COPPICE_TRY(made->connect());
                            return std::unique_ptr<ClientTransport>(std::move(made));
                          });
}

Result<Bytes> enroll_exchange(const std::string& endpoint, const CurvePublicKey& server,
                              ByteSpan request, Millis timeout) {
  return without_throwing(cat("enrolling at ", endpoint), [&]() -> Result<Bytes> {
    const auto context = shared_context();
    const CurveSecretKey passing =
        CurveSecretKey::generate(); // the key to be registered stays home
    zmq::socket_t socket(*context, zmq::socket_type::dealer);
    set_client_options(socket, Channel::kEnroll, server, passing);
    socket.set(zmq::sockopt::linger, 0);
    socket.connect(endpoint);
    socket.send(zmq::buffer(request.data(), request.size()), zmq::send_flags::dontwait);
    const SystemClock clock;
    const Millis deadline = clock.monotonic() + timeout;
    for (Millis left = timeout; left.count > 0; left = deadline - clock.monotonic()) {
      zmq::pollitem_t items[] = {{socket.handle(), 0, ZMQ_POLLIN, 0}};
      zmq::poll(items, 1, poll_time(left));
      std::vector<zmq::message_t> parts;
      if (receive_parts(socket, 1, parts) && !parts.empty()) return bytes_of(parts[0]);
    }
    return Error{
        ErrorCode::kDeadlineExceeded,
        cat("no answer from ", endpoint, " within ", timeout,
            "; is the aggregator running, can this device reach it, and is the invite its own?")};
  });
}

} // namespace coppice
