// SPDX-License-Identifier: Apache-2.0
// --user-column, --text-column, --label-column, --min-bytes and --sha256: how a source of text for
// simulations is read.
#pragma once

#include "cli/command_options.h"
#include "sim/scenario.h"

namespace coppice {

void add_column_options(CommandOptions& command, DataSettings& settings);

} // namespace coppice
