// SPDX-License-Identifier: Apache-2.0
// Durations and sizes as people write them, and back.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace coppice {

// A whole number and ms, s, m, h or d: "90s". Also "0". Not negative. kInvalidArgument says what
// is.
Result<Millis> parse_duration(std::string_view text);
// Exact, in the largest unit that divides it: "90s", "7d".
std::string format_duration(Millis span);

// A whole number and B, kB, MB, GB, TB (powers of 1000) or KiB, MiB, GiB, TiB (of 1024); without a
// unit: bytes.
Result<std::uint64_t> parse_size(std::string_view text);
// Exact, in the largest unit that divides it: "20MB", "64MiB".
std::string format_size(std::uint64_t bytes);

} // namespace coppice
