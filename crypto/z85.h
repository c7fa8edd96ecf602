// SPDX-License-Identifier: Apache-2.0
// Z85 (ZeroMQ RFC 32): 4 bytes as 5 printable characters, the usual text of CURVE keys.
#pragma once

#include <string>
#include <string_view>

#include "base/bytes.h"
#include "crypto/keys.h"

namespace coppice {

// kInvalidArgument unless the length is a multiple of 4.
Result<std::string> z85_encode(ByteSpan bytes);
// kInvalidArgument unless the length is a multiple of 5, every character is one of the 85, and each
// five stand for a number below 2^32.
Result<Bytes> z85_decode(std::string_view text);

std::string to_z85(const CurvePublicKey& key); // 40 characters
Result<CurvePublicKey> curve_key_from_z85(std::string_view text);

} // namespace coppice
