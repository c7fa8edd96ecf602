// SPDX-License-Identifier: Apache-2.0
// Settings given one by one: section.key=value.
#pragma once

#include <string>
#include <vector>

#include "config/settings.h"

namespace coppice {

// `flag` stands in errors and origins. kInvalidArgument for one without an equals sign; names and
// values are checked where they are used.
Result<std::vector<Override>> parse_overrides(const std::vector<std::string>& assignments,
                                              const std::string& flag = "--set");

} // namespace coppice
