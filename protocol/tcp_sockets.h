// SPDX-License-Identifier: Apache-2.0
// Plain non-blocking TCP over IPv4, for the recording proxy. Internal to protocol/.
#pragma once

#include <string>

#include "base/bytes.h"

namespace coppice {

// Owns a descriptor.
class TcpSocket {
 public:
  TcpSocket() = default;
  explicit TcpSocket(int descriptor) : descriptor_(descriptor) {}
  TcpSocket(TcpSocket&& other) noexcept;
  TcpSocket& operator=(TcpSocket&& other) noexcept;
  ~TcpSocket();
  int descriptor() const { return descriptor_; }
  bool is_open() const { return descriptor_ >= 0; }
  void close();

 private:
  int descriptor_ = -1;
};

// `endpoint` as ZeroMQ writes it: "tcp://127.0.0.1:7788".
Result<TcpSocket> tcp_listen(const std::string& endpoint);
Result<std::string> tcp_endpoint(const TcpSocket& listener); // with the port it got
// Not open if nobody is waiting.
TcpSocket tcp_accept(const TcpSocket& listener);
// Begins to connect; the outcome shows at the first read or write.
Result<TcpSocket> tcp_connect(const std::string& endpoint);

enum class TcpOutcome { kDone, kWouldBlock, kEnded };
// Reads at most `room` bytes to the end of `into`.
TcpOutcome tcp_read(const TcpSocket& socket, std::size_t room, Bytes& into);
// Writes from bytes[at] on, and moves `at`.
TcpOutcome tcp_write(const TcpSocket& socket, const Bytes& bytes, std::size_t& at);
void tcp_end_writing(const TcpSocket& socket);

} // namespace coppice
