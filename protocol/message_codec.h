// SPDX-License-Identifier: Apache-2.0
// Bodies of messages: bytes to and from the structs of messages.h. Internal to protocol/: everybody
// else goes through the envelope, which verifies first.
#pragma once

#include "protocol/messages.h"

namespace coppice {

// True for numbers that this version knows.
bool is_message_type(std::uint16_t number);
Bytes encode_body(const Message& message);
// kCorrupt: not one message of that type, whole and canonical, within limits.h.
Result<Message> decode_body(MessageType type, ByteSpan body);

} // namespace coppice
