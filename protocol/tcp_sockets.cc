// SPDX-License-Identifier: Apache-2.0
#include "protocol/tcp_sockets.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <tuple>
#include <utility>

#include "base/text.h"

namespace coppice {
namespace {

constexpr int kBacklog = 1024;

Result<sockaddr_in> parse_endpoint(std::string_view endpoint) {
  constexpr std::string_view kScheme = "tcp://";
  const Error refused{ErrorCode::kInvalidArgument,
                      cat("'", endpoint, "' is no endpoint like tcp://127.0.0.1:7788")};
  const auto colon = endpoint.rfind(':');
  if (!endpoint.starts_with(kScheme) || colon < kScheme.size()) return refused;
  const std::string host(endpoint.substr(kScheme.size(), colon - kScheme.size()));
  const std::string_view port_text = endpoint.substr(colon + 1);
  std::uint16_t port = 0;
  const auto [end, error] =
      std::from_chars(port_text.data(), port_text.data() + port_text.size(), port);
  if (error != std::errc() || end != port_text.data() + port_text.size()) return refused;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  if (inet_pton(AF_INET, host.c_str(), &address.sin_addr) != 1) return refused;
  return address;
}

Result<TcpSocket> new_socket() {
  TcpSocket made(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!made.is_open()) {
    return Error{ErrorCode::kResourceExhausted, cat("no socket can be made: ", strerror(errno))};
  }
  return made;
}

void set_option(const TcpSocket& socket, int level, int name) {
  const int one = 1; // refused only where it is not needed: a wish
  std::ignore = setsockopt(socket.descriptor(), level, name, &one, sizeof(one));
}

} // namespace

TcpSocket::TcpSocket(TcpSocket&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)) {}
TcpSocket& TcpSocket::operator=(TcpSocket&& other) noexcept {
  if (this != &other) {
    close();
    descriptor_ = std::exchange(other.descriptor_, -1);
  }
  return *this;
}
TcpSocket::~TcpSocket() { close(); }

void TcpSocket::close() {
  if (descriptor_ >= 0) ::close(descriptor_);
  descriptor_ = -1;
}

Result<TcpSocket> tcp_listen(const std::string& endpoint) {
  const sockaddr_in address = COPPICE_TRY(parse_endpoint(endpoint));
  TcpSocket made = COPPICE_TRY(new_socket());
  set_option(made, SOL_SOCKET, SO_REUSEADDR);
  const auto* raw = reinterpret_cast<const sockaddr*>(&address);
  if (bind(made.descriptor(), raw, sizeof(address)) != 0 ||
      listen(made.descriptor(), kBacklog) != 0) {
    return Error{ErrorCode::kUnavailable,
                 cat("the proxy can't listen at ", endpoint, ": ", strerror(errno),
                     "; stop what uses the port, or choose another")};
  }
  return made;
}

Result<std::string> tcp_endpoint(const TcpSocket& listener) {
  sockaddr_in address{};
  socklen_t size = sizeof(address);
  std::array<char, INET_ADDRSTRLEN> host{};
  if (getsockname(listener.descriptor(), reinterpret_cast<sockaddr*>(&address), &size) != 0 ||
      inet_ntop(AF_INET, &address.sin_addr, host.data(), host.size()) == nullptr) {
    return Error{ErrorCode::kIo, cat("a socket's address can't be read: ", strerror(errno))};
  }
  return cat("tcp://", host.data(), ":", ntohs(address.sin_port));
}

TcpSocket tcp_accept(const TcpSocket& listener) {
  TcpSocket made(accept4(listener.descriptor(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (made.is_open()) set_option(made, IPPROTO_TCP, TCP_NODELAY);
  return made;
}

Result<TcpSocket> tcp_connect(const std::string& endpoint) {
  const sockaddr_in address = COPPICE_TRY(parse_endpoint(endpoint));
  TcpSocket made = COPPICE_TRY(new_socket());
  set_option(made, IPPROTO_TCP, TCP_NODELAY);
  const auto* raw = reinterpret_cast<const sockaddr*>(&address);
  if (connect(made.descriptor(), raw, sizeof(address)) != 0 && errno != EINPROGRESS) {
    return Error{ErrorCode::kUnavailable, cat("nothing answers at ", endpoint)};
  }
  return made;
}

TcpOutcome tcp_read(const TcpSocket& socket, std::size_t room, Bytes& into) {
  const std::size_t before = into.size();
  into.resize(before + room);
  const auto count = recv(socket.descriptor(), into.data() + before, room, 0);
  into.resize(before + static_cast<std::size_t>(std::max<decltype(count)>(count, 0)));
  if (count > 0) return TcpOutcome::kDone;
  const bool later = count < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOTCONN);
  return later ? TcpOutcome::kWouldBlock : TcpOutcome::kEnded;
}

TcpOutcome tcp_write(const TcpSocket& socket, const Bytes& bytes, std::size_t& at) {
  const auto count = send(socket.descriptor(), bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
  if (count >= 0) {
    at += static_cast<std::size_t>(count);
    return TcpOutcome::kDone;
  }
  const bool later = errno == EAGAIN || errno == EINTR || errno == ENOTCONN;
  return later ? TcpOutcome::kWouldBlock : TcpOutcome::kEnded;
}

void tcp_end_writing(const TcpSocket& socket) {
  std::ignore = shutdown(socket.descriptor(), SHUT_WR);
}

} // namespace coppice
