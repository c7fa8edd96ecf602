// SPDX-License-Identifier: Apache-2.0
#include "cli/setting_grid.h"

#include <algorithm>
#include <cctype>

#include "base/text.h"
#include "sim/scenario.h"

namespace coppice {
namespace {

bool is_list(const std::string& key) {
  return std::ranges::any_of(scenario_keys(), [&key](const KeySpec& spec) {
    return spec.type == SettingType::kStringList && setting_name(spec) == key;
  });
}

// A word tells by itself what it is: "ffa"; a number needs its key.
std::string name_of(const std::string& key, const std::string& value) {
  const bool word = std::isalpha(static_cast<unsigned char>(value.front())) != 0 &&
                    value != "true" && value != "false";
  const std::size_t point = key.rfind('.');
  return word ? value : cat(point == std::string::npos ? key : key.substr(point + 1), "=", value);
}

Result<SettingValues> parse_one(const std::string& text, const std::string& flag) {
  const auto refuse = [&flag](const std::string& why) {
    return Error{ErrorCode::kInvalidArgument, cat(flag, " ", why)};
  };
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) {
    return refuse(cat("needs section.key=value,value, not '", text, "'"));
  }
  SettingValues made{.key = text.substr(0, equals), .values = {}};
  if (is_seed(made.key)) return refuse(cat("can't take ", made.key, ": seeds pair the runs"));
  if (is_list(made.key)) {
    return refuse(cat("can't take ", made.key,
                      ", whose values are lists themselves: write a scenario for each"));
  }
  for (const std::string& part : split(text.substr(equals + 1), ',')) {
    std::string value(trim(part));
    if (value.empty()) return refuse(cat("has an empty value in '", text, "'"));
    if (std::ranges::find(made.values, value) != made.values.end()) {
      return refuse(cat("has ", value, " twice in '", text, "'"));
    }
    made.values.push_back(std::move(value));
  }
  return made;
}

} // namespace

bool is_seed(const std::string& key) { return key == "seed" || key == "training.seed"; }

Result<std::vector<SettingValues>> parse_setting_values(const std::vector<std::string>& texts,
                                                        const std::string& flag) {
  std::vector<SettingValues> all;
  for (const std::string& text : texts) {
    SettingValues made = COPPICE_TRY(parse_one(text, flag));
    if (std::ranges::find(all, made.key, &SettingValues::key) != all.end()) {
      return Error{ErrorCode::kInvalidArgument,
                   cat(flag, " names ", made.key, " twice; give all its values at once")};
    }
    all.push_back(std::move(made));
  }
  return all;
}

std::vector<SettingChoice> all_choices(const std::vector<SettingValues>& settings) {
  std::vector<SettingChoice> choices{{}};
  for (const SettingValues& setting : settings) {
    std::vector<SettingChoice> longer;
    for (const SettingChoice& choice : choices) {
      for (const std::string& value : setting.values) {
        SettingChoice next = choice;
        next.name += cat(next.name.empty() ? "" : " ", name_of(setting.key, value));
        next.set.push_back(cat(setting.key, "=", value));
        longer.push_back(std::move(next));
      }
    }
    choices = std::move(longer);
  }
  return choices;
}

} // namespace coppice
