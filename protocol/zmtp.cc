// SPDX-License-Identifier: Apache-2.0
#include "protocol/zmtp.h"

#include <algorithm>

namespace coppice {
namespace {

constexpr std::uint8_t kLong = 2;
constexpr std::uint8_t kCommandFlag = 4; // the third, 1, is MORE: under CURVE it stands inside
constexpr std::size_t kMechanismAt = 12; // after signature (10) and version (2)
constexpr std::string_view kMechanism{"CURVE\0", 6};
constexpr std::string_view kMessageName{"\x07MESSAGE", 8};
constexpr std::size_t kBodyHead = 16;                           // enough for every name
constexpr std::uint64_t kLargestBody = std::uint64_t{1} << 40U; // more is a length that lies

constexpr std::string_view kCommands[] = {"HELLO", "WELCOME", "INITIATE", "READY",
                                          "ERROR", "PING",    "PONG"};

} // namespace

void ZmtpParser::feed(ByteSpan bytes, std::vector<ZmtpFrame>& frames) {
  while (!bytes.empty()) bytes = bytes.subspan(take(bytes, frames));
}

void ZmtpParser::finish(std::vector<ZmtpFrame>& frames) {
  if (seen_ == 0) return;
  ZmtpFrame frame{.kind = ZmtpKind::kMalformed, .command = {}, .wire_bytes = seen_};
  const bool name_is_known = state_ == State::kBody &&
                             head_size_ >= std::min<std::uint64_t>(body_size_, kMessageName.size());
  if (state_ == State::kGreeting) frame.kind = ZmtpKind::kGreeting;
  if (name_is_known) frame = body_frame();
  frame.wire_bytes = seen_;
  frame.whole = false;
  frames.push_back(frame);
  seen_ = 0;
}

std::size_t ZmtpParser::take(ByteSpan bytes, std::vector<ZmtpFrame>& frames) {
  std::size_t used = 0;
  switch (state_) {
    case State::kGreeting:
      used = take_head(bytes, kGreetingBytes);
      if (head_size_ == kGreetingBytes) end_greeting(frames);
      return used;
    case State::kFlags:
      seen_ = 1;
      if ((bytes[0] & ~(kLong | kCommandFlag)) != 0) {
        become_broken(frames);
      } else {
        begin_frame(bytes[0]);
      }
      return 1;
    case State::kShortSize:
      ++seen_;
      begin_body(bytes[0]);
      break;
    case State::kLongSize: {
      used = take_head(bytes, sizeof(std::uint64_t));
      if (head_size_ < sizeof(std::uint64_t)) return used;
      std::uint64_t size = 0;
      for (std::size_t i = 0; i < sizeof(size); ++i) size = size << 8U | head_[i];
      if (size > kLargestBody) {
        become_broken(frames);
        return used;
      }
      begin_body(size);
      break;
    }
    case State::kBody: {
      used = static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), body_left_));
      const std::size_t kept = std::min(used, kBodyHead - head_size_);
      std::copy_n(bytes.begin(), kept, head_.begin() + static_cast<std::ptrdiff_t>(head_size_));
      head_size_ += kept;
      seen_ += used;
      body_left_ -= used;
      break;
    }
    case State::kBroken:
      frames.push_back({.kind = ZmtpKind::kMalformed, .command = {}, .wire_bytes = bytes.size()});
      return bytes.size();
  }
  if (state_ == State::kBody && body_left_ == 0) end_body(frames);
  return std::max<std::size_t>(used, 1);
}

std::size_t ZmtpParser::take_head(ByteSpan bytes, std::size_t wanted) {
  const std::size_t used = std::min(bytes.size(), wanted - head_size_);
  std::copy_n(bytes.begin(), used, head_.begin() + static_cast<std::ptrdiff_t>(head_size_));
  head_size_ += used;
  seen_ += used;
  return used;
}

void ZmtpParser::end_greeting(std::vector<ZmtpFrame>& frames) {
  const bool is_zmtp3 = head_[0] == 0xFF && head_[9] == 0x7F && head_[10] == 3;
  const bool is_curve =
      as_text(ByteSpan(head_).subspan(kMechanismAt, kMechanism.size())) == kMechanism;
  if (!is_zmtp3 || !is_curve) {
    become_broken(frames);
    return;
  }
  frames.push_back({.kind = ZmtpKind::kGreeting, .command = {}, .wire_bytes = kGreetingBytes});
  seen_ = 0;
  state_ = State::kFlags;
}

void ZmtpParser::begin_frame(std::uint8_t flags) {
  is_command_ = (flags & kCommandFlag) != 0;
  head_size_ = 0;
  state_ = (flags & kLong) != 0 ? State::kLongSize : State::kShortSize;
}

void ZmtpParser::begin_body(std::uint64_t size) {
  head_size_ = 0;
  body_size_ = size;
  body_left_ = size;
  state_ = State::kBody;
}

void ZmtpParser::end_body(std::vector<ZmtpFrame>& frames) {
  ZmtpFrame frame = body_frame();
  frame.wire_bytes = seen_;
  frames.push_back(std::move(frame));
  seen_ = 0;
  state_ = State::kFlags;
}

// A frame that is neither a known command nor a MESSAGE is malformed by itself: the framing goes
// on.
ZmtpFrame ZmtpParser::body_frame() const {
  ZmtpFrame frame;
  const ByteSpan head = ByteSpan(head_).first(head_size_);
  if (is_command_) {
    const std::size_t name_size = head.empty() ? 0 : head[0];
    if (head.size() > name_size)
      frame.command = as_text(head.subspan(head.empty() ? 0 : 1, name_size));
    const bool known = std::ranges::find(kCommands, frame.command) != std::end(kCommands);
    frame.kind = known ? ZmtpKind::kCommand : ZmtpKind::kMalformed;
  } else if (body_size_ >= kCurveOverhead && head.size() >= kMessageName.size() &&
             as_text(head.first(kMessageName.size())) == kMessageName) {
    frame.kind = ZmtpKind::kMessage;
    frame.plaintext_bytes = body_size_ - kCurveOverhead;
  }
  return frame;
}

void ZmtpParser::become_broken(std::vector<ZmtpFrame>& frames) {
  frames.push_back({.kind = ZmtpKind::kMalformed, .command = {}, .wire_bytes = seen_});
  seen_ = 0;
  state_ = State::kBroken;
}

} // namespace coppice
