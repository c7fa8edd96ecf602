// SPDX-License-Identifier: Apache-2.0
#include "config/settings_copy.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "config/setting_value.h"
#include "config/toml_file.h"

namespace coppice {

Result<std::string> copy_settings(const Settings& settings,
                                  const std::map<std::string, std::string>& replaced) {
  std::vector<std::pair<std::string, std::string>> sections; // name, lines; in the table's order
  for (const Settings::Row& row : settings.show_origin()) {
    if (settings.origin(row.name).layer == SettingLayer::kDefault) continue;
    const std::size_t point = row.name.rfind('.');
    const bool inside = point != std::string::npos;
    const std::string section = inside ? row.name.substr(0, point) : std::string();
    auto found = std::ranges::find(sections, section, &std::pair<std::string, std::string>::first);
    if (found == sections.end()) found = sections.insert(found, {section, {}});
    const auto other = replaced.find(row.name);
    found->second +=
        cat(inside ? row.name.substr(point + 1) : row.name, " = ",
            other == replaced.end() ? row.value : setting_to_toml(other->second), "\n");
  }
  // Keys without a section can't stand below one.
  std::ranges::stable_partition(sections, [](const auto& each) { return each.first.empty(); });
  std::string text;
  for (const auto& [section, lines] : sections) {
    text += section.empty() ? lines : cat(text.empty() ? "" : "\n", "[", section, "]\n", lines);
  }
  COPPICE_TRY(read_toml(text, "the copy of the settings"));
  return text;
}

} // namespace coppice
