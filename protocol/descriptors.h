// SPDX-License-Identifier: Apache-2.0
// File descriptors: libzmq spins or aborts when it runs out of them, so they are made sure of
// first.
#pragma once

#include <cstdint>

#include "base/result.h"

namespace coppice {

// What an aggregator with `max_clients` needs: control and bulk connections, one enrolment each at
// worst, and its own files and sockets.
std::uint64_t descriptors_for_clients(std::uint64_t max_clients);

// Raises the process's soft limit to at least `needed`. kResourceExhausted, with both numbers and
// what to do, if the hard limit is below. Never lowers. Process-wide; call before threads open
// files.
Result<void> ensure_descriptors(std::uint64_t needed);

} // namespace coppice
