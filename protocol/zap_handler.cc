// SPDX-License-Identifier: Apache-2.0
#include "protocol/zap_handler.h"

#include "base/log.h"
#include "base/text.h"

namespace coppice {
namespace {

// RFC 27: the frames of a request, after the reply envelope that REP hides.
enum RequestFrame : std::size_t {
  kVersion,
  kRequestId,
  kDomain,
  kAddress,
  kIdentity,
  kMechanism,
  kCredentials,
  kRequestFrames
};

std::string_view text_of(const zmq::message_t& message) {
  return {message.data<char>(), message.size()};
}

} // namespace

std::string zap_domain(Channel channel) { return cat("coppice.", channel_name(channel)); }

ZapHandler::ZapHandler(zmq::context_t& context, Authorize authorize)
    : authorize_(std::move(authorize)), socket_(context, zmq::socket_type::rep) {
  if (stop_.descriptor() < 0) throw zmq::error_t();
  socket_.set(zmq::sockopt::linger, 0);
  socket_.bind("inproc://zeromq.zap.01");
  thread_ = std::thread([this] { serve(); });
}

ZapHandler::~ZapHandler() {
  stop_.signal();
  thread_.join();
}

void ZapHandler::serve() {
  try {
    for (;;) {
      zmq::pollitem_t items[] = {{socket_.handle(), 0, ZMQ_POLLIN, 0},
                                 {nullptr, stop_.descriptor(), ZMQ_POLLIN, 0}};
      zmq::poll(items, 2, std::chrono::milliseconds(-1)); // ends by stop_: the destructor's
      if ((items[1].revents & ZMQ_POLLIN) != 0) break;
      if ((items[0].revents & ZMQ_POLLIN) != 0) answer_one();
    }
  } catch (const zmq::error_t& thrown) {
    // Nobody can join from here on, which the enforced domain makes safe; say so.
    if (thrown.num() != ETERM) log::error("the ZAP handler stopped: ", thrown.what());
  }
  socket_.close();
}

void ZapHandler::answer_one() {
  std::vector<zmq::message_t> request;
  if (!receive_parts(socket_, kRequestFrames, request)) return;
  const Verdict verdict = judge(request);
  const std::string_view request_id =
      request.size() > kRequestId ? text_of(request[kRequestId]) : std::string_view();
  const auto part = [this](std::string_view text, zmq::send_flags flags) {
    socket_.send(zmq::buffer(text.data(), text.size()), flags);
  };
  part("1.0", zmq::send_flags::sndmore);
  part(request_id, zmq::send_flags::sndmore);
  part(verdict.allowed ? "200" : "400", zmq::send_flags::sndmore);
  part(verdict.allowed ? "OK" : "this key is not enrolled here", zmq::send_flags::sndmore);
  part(verdict.user_id, zmq::send_flags::sndmore);
  part("", zmq::send_flags::none); // metadata
}

ZapHandler::Verdict ZapHandler::judge(const std::vector<zmq::message_t>& request) const {
  if (request.size() != kRequestFrames || text_of(request[kVersion]) != "1.0" ||
      text_of(request[kMechanism]) != "CURVE" ||
      request[kCredentials].size() != CurvePublicKey::kSize) {
    return {};
  }
  const std::string_view domain = text_of(request[kDomain]);
  if (domain == zap_domain(Channel::kEnroll)) return {.allowed = true, .user_id = ""};
  if (domain != zap_domain(Channel::kControl) && domain != zap_domain(Channel::kBulk)) return {};
  CurvePublicKey key;
  std::memcpy(key.bytes.data(), request[kCredentials].data(), CurvePublicKey::kSize);
  const std::optional<ClientId> client = authorize_(key);
  if (!client) return {};
  return {.allowed = true, .user_id = client->hex()};
}

} // namespace coppice
