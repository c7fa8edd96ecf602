// SPDX-License-Identifier: Apache-2.0
// What an upload must not tell: the audit of contents, once everything that can be opened is open.
//
// A device's delta is searched for in each form that it could leave in, wherever it could lie; a
// masked upload must look like noise. Pure functions but for dump_memory(); thread-safe.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "cli/audit_log.h"
#include "protocol/round_plan.h"

namespace coppice {

// Stretches of a delta as float32 and float16, and of its ring elements as 16-bit and 32-bit
// integers and packed: enough bytes each that none is found by chance (2^-128 a place).
std::vector<Bytes> needles_of_delta(const AuditedDelta& delta);

// How far the bytes are from uniform: chi-square over their 256 values, in standard deviations of
// it. Uniform bytes stay below 7 but for one time in 10^11.
double distance_from_uniform(ByteSpan bytes);
inline constexpr double kUniformWithin = 7;

// The writable memory of a running process of ours, into a file. Regions that can't be read are
// left out.
Result<void> dump_memory(pid_t process, const fs::path& file);

} // namespace coppice
