// SPDX-License-Identifier: Apache-2.0
// ZMTP 3.x framing under CURVE (ZeroMQ RFCs 23, 26, 37), as far as an observer without keys can
// read it.
//
// Frames' lengths and kinds are in the clear, contents are not. What comes from the network:
// bounded memory whatever is fed. Thread-compatible.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "base/bytes.h"

namespace coppice {

// A CURVE MESSAGE frame is longer than its plaintext by this: name (1 + 7), nonce (8),
// authenticator (16), flags (1).
inline constexpr std::size_t kCurveOverhead = 33;

} // namespace coppice
