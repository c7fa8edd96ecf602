// SPDX-License-Identifier: Apache-2.0
// ZeroMQ's authentication (RFC 27, ZAP): who may finish a CURVE handshake, and under which name.
//
// Answers on inproc://zeromq.zap.01 of one context, in a thread of its own, from construction to
// destruction. In the domains "coppice.control" and "coppice.bulk" a key needs `authorize`'s
// consent and gets the client's id, in hex, as User-Id; in "coppice.enroll" any CURVE key passes,
// without a name; every other domain, mechanism, or malformed request is refused.
#pragma once

#include <thread>
#include <zmq.hpp>

#include "protocol/transport.h"
#include "protocol/zmq_sockets.h"

namespace coppice {

std::string zap_domain(Channel channel); // "coppice.control"

class ZapHandler {
 public:
  // Throws zmq::error_t; the transport catches it.
  ZapHandler(zmq::context_t& context, Authorize authorize);
  ZapHandler(const ZapHandler&) = delete;
  ZapHandler& operator=(const ZapHandler&) = delete;
  ~ZapHandler();

 private:
  struct Verdict {
    bool allowed = false;
    std::string user_id;
  };
  void serve();
  void answer_one();
  Verdict judge(const std::vector<zmq::message_t>& request) const;

  Authorize authorize_;
  zmq::socket_t socket_;
  WakeEvent stop_;
  std::thread thread_;
};

} // namespace coppice
