// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"
#include "base/text.h"
#include "protocol/descriptors.h"
#include "protocol/transport.h"
#include "protocol/zap_handler.h"
#include "protocol/zmq_sockets.h"

namespace coppice {
namespace {

// libzmq 4.3 has the option, and its header names it only for builds with drafts.
constexpr int kZapEnforceDomain = 93;
constexpr std::size_t kArrivalsAtOnce = 64;                          // of one poll()
constexpr std::size_t kArrivalBytesAtOnce = 2 * limits::kChunkBytes; // of one poll(), and a frame
constexpr int kMaxIoThreads = 16;
constexpr std::uint64_t kMaxBacklog = 4096;

// A storm of handshakes goes on breadth-first, so each takes about as long as all of them:
// measured, under 2 ms a client on one core. Silent strangers hold a descriptor for this long.
int handshake_interval(std::uint64_t max_clients) {
  return static_cast<int>(10'000 + 2 * std::min(max_clients, limits::kClients));
}

class ZmqServerTransport final : public ServerTransport {
 public:
  ZmqServerTransport(const ServerTransportOptions& options, Authorize authorize)
      : context_(options.io_threads),
        zap_(context_, std::move(authorize)), // before any port is open
        control_(context_, zmq::socket_type::router),
        bulk_(context_, zmq::socket_type::router),
        enroll_(context_, zmq::socket_type::router) {}

  Result<void> bind_all(const ServerTransportOptions& options, const CurveSecretKey& key) {
    if (wake_.descriptor() < 0) {
      return Error{ErrorCode::kResourceExhausted, "the system gave no event descriptor"};
    }
    endpoints_.control =
        COPPICE_TRY(bind_one(Channel::kControl, options.endpoints.control, options, key));
    endpoints_.bulk = COPPICE_TRY(bind_one(Channel::kBulk, options.endpoints.bulk, options, key));
    endpoints_.enroll =
        COPPICE_TRY(bind_one(Channel::kEnroll, options.endpoints.enroll, options, key));
    return {};
  }

  ServerEndpoints endpoints() const override { return endpoints_; }

  Result<std::vector<Arrival>> poll(Millis timeout) override {
    return without_throwing("waiting for frames", [&]() -> Result<std::vector<Arrival>> {
      zmq::pollitem_t items[] = {{control_.handle(), 0, ZMQ_POLLIN, 0},
                                 {enroll_.handle(), 0, ZMQ_POLLIN, 0},
                                 {bulk_.handle(), 0, ZMQ_POLLIN, 0},
                                 {nullptr, wake_.descriptor(), ZMQ_POLLIN, 0}};
      try {
        zmq::poll(items, 4, poll_time(timeout));
      } catch (const zmq::error_t& thrown) {
        if (thrown.num() == EINTR) return std::vector<Arrival>{};
        throw;
      }
      if ((items[3].revents & ZMQ_POLLIN) != 0) wake_.drain();
      return take_arrivals();
    });
  }

  Result<void> send(const PeerAddress& to, ByteSpan frame) override {
    if (frame.size() > frame_limit(to.channel)) {
      return Error{ErrorCode::kTooLarge,
                   cat("a frame of ", frame.size(), " bytes is over the ", channel_name(to.channel),
                       " socket's limit of ", frame_limit(to.channel))};
    }
    return without_throwing("sending to a peer", [&]() -> Result<void> {
      zmq::socket_t& socket = socket_of(to.channel);
      const auto flags = zmq::send_flags::dontwait;
      if (!socket.send(zmq::buffer(to.routing_id.data(), to.routing_id.size()),
                       flags | zmq::send_flags::sndmore)) {
        return Error{ErrorCode::kResourceExhausted,
                     "the peer's queue is full; try again when it has read"};
      }
      socket.send(zmq::buffer(frame.data(), frame.size()), flags);
      return {};
    });
  }

  void wake() override { wake_.signal(); }

 private:
  zmq::socket_t& socket_of(Channel channel) {
    return channel == Channel::kControl ? control_ : channel == Channel::kBulk ? bulk_ : enroll_;
  }

  Result<std::string> bind_one(Channel channel, const std::string& endpoint,
                               const ServerTransportOptions& options, const CurveSecretKey& key) {
    return without_throwing(
        cat("opening the ", channel_name(channel), " socket at ", endpoint),
        [&]() -> Result<std::string> {
          zmq::socket_t& socket = socket_of(channel);
          set_common_options(socket, channel);
          socket.set(zmq::sockopt::curve_server, 1);
          set_curve_secret(socket, key);
          socket.set(zmq::sockopt::zap_domain, zap_domain(channel));
          const int enforce = 1;
          if (zmq_setsockopt(socket.handle(), kZapEnforceDomain, &enforce, sizeof(enforce)) != 0) {
            return Error{ErrorCode::kUnsupported,
                         "this libzmq can't enforce authentication (ZMQ_ZAP_ENFORCE_DOMAIN); "
                         "install libzmq 4.3 or newer"};
          }
          socket.set(zmq::sockopt::router_mandatory, 1);
          socket.set(zmq::sockopt::handshake_ivl, handshake_interval(options.max_clients));
          socket.set(zmq::sockopt::backlog, static_cast<int>(std::clamp<std::uint64_t>(
                                                options.max_clients, 128, kMaxBacklog)));
          socket.bind(endpoint);
          return socket.get(zmq::sockopt::last_endpoint);
        });
  }

  // A turn each, so that bulk traffic can't starve control.
  std::vector<Arrival> take_arrivals() {
    std::vector<Arrival> arrivals;
    std::size_t bytes = 0;
    bool waiting[] = {true, true, true};
    constexpr Channel kOrder[] = {Channel::kControl, Channel::kEnroll, Channel::kBulk};
    while (waiting[0] || waiting[1] || waiting[2]) {
      for (std::size_t i = 0; i < 3; ++i) {
        if (arrivals.size() == kArrivalsAtOnce || bytes >= kArrivalBytesAtOnce) return arrivals;
        const std::size_t before = arrivals.size();
        waiting[i] = waiting[i] && take_one(kOrder[i], arrivals);
        if (arrivals.size() > before) bytes += arrivals.back().frame.size();
      }
    }
    return arrivals;
  }

  // False if the socket has nothing more. A message of another form than (routing id, frame) is
  // dropped.
  bool take_one(Channel channel, std::vector<Arrival>& arrivals) {
    if (!receive_parts(socket_of(channel), 2, parts_)) return false;
    if (parts_.size() != 2) return true;
    ClientId sender;
    if (channel != Channel::kEnroll) {
      const char* user = zmq_msg_gets(parts_[1].handle(), "User-Id");
      auto id = ClientId::parse_hex(user == nullptr ? "" : user, "User-Id");
      if (!id) {
        log::error("a frame without a sender's id was dropped");
        return true;
      }
      sender = *id;
    }
    arrivals.push_back({{channel, bytes_of(parts_[0])}, sender, bytes_of(parts_[1])});
    return true;
  }

  WakeEvent wake_;
  zmq::context_t context_;
  ZapHandler zap_;
  zmq::socket_t control_;
  zmq::socket_t bulk_;
  zmq::socket_t enroll_;
  ServerEndpoints endpoints_;
  std::vector<zmq::message_t> parts_;
};

} // namespace

Result<std::unique_ptr<ServerTransport>> ServerTransport::open(
    const ServerTransportOptions& options, const CurveSecretKey& key, Authorize authorize) {
  if (options.max_clients == 0 || options.max_clients > limits::kClients) {
    return Error{ErrorCode::kInvalidArgument, cat("max_clients is ", options.max_clients,
                                                  "; it must be from 1 to ", limits::kClients)};
  }
  if (options.io_threads < 1 || options.io_threads > kMaxIoThreads) {
    return Error{ErrorCode::kInvalidArgument, cat("io_threads is ", options.io_threads,
                                                  "; it must be from 1 to ", kMaxIoThreads)};
  }
  COPPICE_TRY(ensure_descriptors(descriptors_for_clients(options.max_clients)));
  return without_throwing(
      "opening the aggregator's sockets", [&]() -> Result<std::unique_ptr<ServerTransport>> {
        auto made = std::make_unique<ZmqServerTransport>(options, std::move(authorize));
        COPPICE_TRY(made->bind_all(options, key));
        return std::unique_ptr<ServerTransport>(std::move(made));
      });
}

} // namespace coppice
