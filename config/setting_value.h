// SPDX-License-Identifier: Apache-2.0
// One setting's value: from text, from TOML, to TOML, and what is allowed. Private to config/.
#pragma once

#include <string>
#include <string_view>

#include "config/settings.h"
#include "config/toml_file.h"

namespace coppice {

// As the environment, flags and defaults write it. kInvalidArgument names the key and what is
// allowed.
Result<SettingValue> setting_from_text(const KeySpec& key, std::string_view text);
Result<SettingValue> setting_from_toml(const KeySpec& key, const TomlValue& value);

std::string setting_to_toml(const SettingValue& value);
// "a whole number from 1 to 256"
std::string allowed_text(const KeySpec& key);

} // namespace coppice
