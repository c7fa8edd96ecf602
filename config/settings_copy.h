// SPDX-License-Identifier: Apache-2.0
// Settings as a file again: what was set, wherever it came from, without defaults and comments.
#pragma once

#include <map>
#include <string>

#include "config/settings.h"

namespace coppice {

// A TOML text whose settings, loaded alone, have the values of `settings`. `replaced`: texts of
// string settings by name, for paths that are seen from elsewhere. kInvalidArgument where a value
// can't stand in TOML, such as one that isn't UTF-8.
Result<std::string> copy_settings(const Settings& settings,
                                  const std::map<std::string, std::string>& replaced = {});

} // namespace coppice
