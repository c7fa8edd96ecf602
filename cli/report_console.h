// SPDX-License-Identifier: Apache-2.0
// A report's table on a terminal.
#pragma once

#include "cli/console.h"
#include "sim/report_parts.h"

namespace coppice {

// Nothing without rows; a blank line behind it.
void print_table(Console& console, const ReportTable& table);

} // namespace coppice
