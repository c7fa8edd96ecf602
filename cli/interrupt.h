// SPDX-License-Identifier: Apache-2.0
// Ctrl-C and SIGTERM: the first asks the running command to stop, the second ends the process.
#pragma once

#include <atomic>

namespace coppice {

// Call once, first thing. SIGPIPE is ignored from then on: a closed pipe is an error of the write.
void catch_interrupts();
// True once a signal came. Commands look at it wherever they wait or repeat, and return kCancelled.
const std::atomic<bool>& interrupted();

} // namespace coppice
