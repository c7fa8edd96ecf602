// SPDX-License-Identifier: Apache-2.0
#include "config/settings.h"

#include <unistd.h>

#include <algorithm>
#include <set>

#include "base/check.h"
#include "base/text.h"
#include "config/setting_value.h"

namespace coppice {
namespace {

constexpr std::string_view kPrefix = "COPPICE_";

std::string variable_part(std::string_view name) {
  std::string part(name);
  for (char& letter : part) {
    if (letter == '.' || letter == '-') letter = '_';
    if (letter >= 'a' && letter <= 'z') letter = static_cast<char>(letter - 'a' + 'A');
  }
  return part;
}

Error unknown(std::string_view what, std::string_view name, std::string_view where,
              std::span<const std::string> known) {
  const std::string nearest = nearest_name(name, known);
  return {ErrorCode::kInvalidArgument,
          cat(where, ": unknown ", what, " \"", name, "\"",
              nearest.empty() ? "; `coppice config show` lists all keys"
                              : cat("; did you mean \"", nearest, "\"?"))};
}

template <typename Name>
std::vector<std::string> names_of(std::span<const KeySpec> keys, Name name) {
  std::vector<std::string> names;
  for (const KeySpec& key : keys) names.push_back(name(key));
  return names;
}

} // namespace

Environment process_environment() {
  Environment variables;
  for (char** at = environ; at != nullptr && *at != nullptr; ++at) {
    const std::string_view variable(*at);
    const std::size_t equals = variable.find('=');
    if (!variable.starts_with(kPrefix) || equals == std::string_view::npos) continue;
    variables.emplace(variable.substr(0, equals), variable.substr(equals + 1));
  }
  return variables;
}

std::string setting_name(const KeySpec& key) {
  return key.section.empty() ? std::string(key.key) : cat(key.section, ".", key.key);
}

std::string environment_name(const KeySpec& key) {
  return cat(kPrefix, variable_part(setting_name(key)));
}

std::string SettingOrigin::text() const {
  switch (layer) {
    case SettingLayer::kDefault: return "default";
    case SettingLayer::kFile: return where;
    case SettingLayer::kEnvironment: return "environment " + where;
    case SettingLayer::kFlag: break;
  }
  return "flag " + where;
}

Result<Settings> Settings::load(std::span<const KeySpec> keys, const std::optional<fs::path>& toml,
                                const Environment& environment, std::span<const Override> flags) {
  if (!toml) return load_text(keys, "", "", environment, flags);
  const Bytes text = COPPICE_TRY(read_file(*toml, kMaxTomlBytes));
  return load_text(keys, as_text(text), toml->string(), environment, flags);
}

Result<Settings> Settings::load_text(std::span<const KeySpec> keys, std::string_view toml_text,
                                     std::string_view file_name, const Environment& environment,
                                     std::span<const Override> flags) {
  Settings settings(keys);
  COPPICE_TRY(settings.load_defaults());
  COPPICE_TRY(settings.load_toml(toml_text, file_name));
  COPPICE_TRY(settings.load_environment(environment));
  COPPICE_TRY(settings.load_flags(flags));
  return settings;
}

Result<void> Settings::load_defaults() {
  const std::vector<std::string> variables = names_of(keys_, environment_name);
  // Two keys of one variable, such as a.b_c and a_b.c, can't be told apart.
  COPPICE_CHECK(std::set<std::string>(variables.begin(), variables.end()).size() == keys_.size());
  for (const KeySpec& key : keys_) {
    auto value = setting_from_text(key, key.default_value);
    if (!value) return std::move(value).error().with_context("a default");
    entries_.push_back({std::move(value).value(), {}});
  }
  return {};
}

Result<void> Settings::load_toml(std::string_view text, std::string_view file_name) {
  const std::vector<std::string> names = names_of(keys_, setting_name);
  for (const TomlEntry& entry : COPPICE_TRY(read_toml(text, file_name))) {
    const std::string where = cat(file_name, ":", entry.line);
    const auto found = std::ranges::find(names, entry.name);
    if (found == names.end()) {
      const bool section = std::ranges::any_of(
          names, [&](const std::string& name) { return name.starts_with(entry.name + "."); });
      const bool empty = std::holds_alternative<EmptyTable>(entry.value);
      if (section && empty) continue;
      if (section) {
        return Error{ErrorCode::kInvalidArgument,
                     cat(where, ": \"", entry.name, "\" is a section; write [", entry.name,
                         "] and its keys below")};
      }
      return unknown(
          empty ? "section" : "key", entry.name, where,
          empty ? names_of(keys_, [](const KeySpec& key) { return std::string(key.section); })
                : names);
    }
    const auto index = static_cast<std::size_t>(found - names.begin());
    auto value = setting_from_toml(keys_[index], entry.value);
    if (!value) return std::move(value).error().with_context(where);
    entries_[index] = {std::move(value).value(), {SettingLayer::kFile, where}};
  }
  return {};
}

// A variable of another program's section is none of ours: only names within our own sections can
// be misspelt keys.
Result<void> Settings::load_environment(const Environment& environment) {
  const std::vector<std::string> names = names_of(keys_, environment_name);
  for (const auto& entry : environment) {
    const std::string& variable = entry.first; // clang 14 can't capture a structured binding
    const auto found = std::ranges::find(names, variable);
    if (found == names.end()) {
      const bool ours = std::ranges::any_of(keys_, [&](const KeySpec& key) {
        return !key.section.empty() &&
               variable.starts_with(cat(kPrefix, variable_part(key.section), "_"));
      });
      if (ours) return unknown("variable", variable, "the environment", names);
      continue;
    }
    const auto index = static_cast<std::size_t>(found - names.begin());
    auto value = setting_from_text(keys_[index], entry.second);
    if (!value) return std::move(value).error().with_context(variable);
    entries_[index] = {std::move(value).value(), {SettingLayer::kEnvironment, variable}};
  }
  return {};
}

Result<void> Settings::load_flags(std::span<const Override> flags) {
  const std::vector<std::string> names = names_of(keys_, setting_name);
  for (const Override& flag : flags) {
    const auto found = std::ranges::find(names, flag.name);
    if (found == names.end()) return unknown("key", flag.name, flag.flag, names);
    const auto index = static_cast<std::size_t>(found - names.begin());
    auto value = setting_from_text(keys_[index], flag.value);
    if (!value) return std::move(value).error().with_context(flag.flag);
    entries_[index] = {std::move(value).value(), {SettingLayer::kFlag, flag.flag}};
  }
  return {};
}

const Settings::Entry& Settings::entry(std::string_view name) const {
  for (std::size_t i = 0; i < keys_.size(); ++i) {
    if (setting_name(keys_[i]) == name) return entries_[i];
  }
  check_failed(__FILE__, __LINE__, "the key is in the table", name);
}

namespace {
template <typename T>
const T& typed(const SettingValue& value, std::string_view name) {
  const T* const held = std::get_if<T>(&value);
  COPPICE_CHECK(held != nullptr, name);
  return *held;
}
} // namespace

bool Settings::get_bool(std::string_view name) const {
  return typed<bool>(entry(name).value, name);
}
std::int64_t Settings::get_int(std::string_view name) const {
  return typed<std::int64_t>(entry(name).value, name);
}
double Settings::get_float(std::string_view name) const {
  return typed<double>(entry(name).value, name);
}
const std::string& Settings::get_string(std::string_view name) const {
  return typed<std::string>(entry(name).value, name);
}
Millis Settings::get_duration(std::string_view name) const {
  return typed<Millis>(entry(name).value, name);
}
std::uint64_t Settings::get_size(std::string_view name) const {
  return typed<std::uint64_t>(entry(name).value, name);
}
const std::vector<std::string>& Settings::get_strings(std::string_view name) const {
  return typed<std::vector<std::string>>(entry(name).value, name);
}

const SettingOrigin& Settings::origin(std::string_view name) const { return entry(name).origin; }

std::vector<Settings::Row> Settings::show_origin() const {
  std::vector<Row> rows;
  for (std::size_t i = 0; i < keys_.size(); ++i) {
    rows.push_back(
        {setting_name(keys_[i]), setting_to_toml(entries_[i].value), entries_[i].origin.text()});
  }
  return rows;
}

} // namespace coppice
