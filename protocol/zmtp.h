// SPDX-License-Identifier: Apache-2.0
// ZMTP 3.x framing under CURVE (ZeroMQ RFCs 23, 26 and 37), as far as an observer without keys
// reads it.
//
// Frames' lengths and kinds are in the clear, contents are not. Bytes come from the network: memory
// is constant whatever is fed, and what breaks the framing is reported, byte for byte, as
// malformed. Thread-compatible.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "base/bytes.h"

namespace coppice {

// A CURVE MESSAGE frame is longer than its plaintext by this: name (1 + 7), nonce (8),
// authenticator (16), flags (1).
inline constexpr std::size_t kCurveOverhead = 33;

enum class ZmtpKind : std::uint8_t {
  kGreeting,  // the 64 bytes that open a connection
  kCommand,   // HELLO, WELCOME, INITIATE, READY, ERROR, PING, PONG
  kMessage,   // a CURVE MESSAGE: one frame of ours
  kMalformed, // anything else, to the end of the connection
};

struct ZmtpFrame {
  ZmtpKind kind = ZmtpKind::kMalformed;
  std::string command{};             // the name of a kCommand
  std::uint64_t wire_bytes = 0;      // header and body
  std::uint64_t plaintext_bytes = 0; // of a kMessage
  bool whole = true;                 // false: the connection ended within it
};

// One direction of one connection.
class ZmtpParser {
 public:
  // Appends the frames that these bytes complete; malformed bytes at once.
  void feed(ByteSpan bytes, std::vector<ZmtpFrame>& frames);
  // At the connection's end: what had begun, as a frame that is not whole. A message counts with
  // the length that it announced.
  void finish(std::vector<ZmtpFrame>& frames);

 private:
  enum class State : std::uint8_t { kGreeting, kFlags, kShortSize, kLongSize, kBody, kBroken };
  static constexpr std::size_t kGreetingBytes = 64;

  std::size_t take(ByteSpan bytes, std::vector<ZmtpFrame>& frames); // bytes used, at least 1
  std::size_t take_head(ByteSpan bytes, std::size_t wanted);
  void end_greeting(std::vector<ZmtpFrame>& frames);
  void begin_frame(std::uint8_t flags);
  void begin_body(std::uint64_t size);
  void end_body(std::vector<ZmtpFrame>& frames);
  ZmtpFrame body_frame() const;
  void become_broken(std::vector<ZmtpFrame>& frames);

  State state_ = State::kGreeting;
  std::array<std::uint8_t, kGreetingBytes>
      head_{}; // of what is being read: greeting, size, or body
  std::size_t head_size_ = 0;
  std::uint64_t seen_ = 0; // wire bytes of the frame so far
  std::uint64_t body_size_ = 0;
  std::uint64_t body_left_ = 0;
  bool is_command_ = false;
};

} // namespace coppice
