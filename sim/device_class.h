// SPDX-License-Identifier: Apache-2.0
// A kind of device as a scenario writes it: a name, then KEY=VALUE separated by spaces.
#pragma once

#include "sim/scenario.h"

namespace coppice {

// Keys: share, tokens_per_s, down and up (sizes a second), latency_ms, spread, train_w,
// radio_j_per_mb, max_rank. kInvalidArgument names what is unknown, missing (share, tokens_per_s,
// down, up) or out of range.
Result<DeviceClass> parse_device_class(std::string_view text);

} // namespace coppice
