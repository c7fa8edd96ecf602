// SPDX-License-Identifier: Apache-2.0
// Settings with several values each, KEY=V1,V2: what `sim compare --vary` and `sim sweep --grid`
// play. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace coppice {

struct SettingValues {
  std::string key;
  std::vector<std::string> values;
};

// `flag` stands in errors. kInvalidArgument for a text without key or values, for a key or a value
// given twice, for a setting that is a list itself, and for seeds, which pair runs.
Result<std::vector<SettingValues>> parse_setting_values(const std::vector<std::string>& texts,
                                                        const std::string& flag);

// One value of each.
struct SettingChoice {
  std::string name;             // "ffa", "learning_rate=0.001", "ffa learning_rate=0.001"
  std::vector<std::string> set; // KEY=VALUE
};
// Every combination, the last key's values next to one another; one without settings for no keys.
std::vector<SettingChoice> all_choices(const std::vector<SettingValues>& settings);

// seed and training.seed.
bool is_seed(const std::string& key);

} // namespace coppice
