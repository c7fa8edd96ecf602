// SPDX-License-Identifier: Apache-2.0
// Settings from four layers, later ones winning: defaults, a TOML file, the environment
// (COPPICE_SECTION_KEY), flags. Each value knows where it came from.
//
// A program's keys stand in one static table of KeySpec. Unknown keys, wrong types and values out
// of range are errors (kInvalidArgument) that name the place, what is allowed and the nearest key.
// Immutable after load: thread-safe.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/file.h"
#include "base/result.h"

namespace coppice {

enum class SettingType {
  kBool,
  kInt,
  kFloat,
  kString,
  kDuration,   // "500ms" "90s" "15m" "6h" "7d"; min and max in milliseconds
  kSize,       // "512B" "20MB" "64MiB", or a plain number of bytes; min and max in bytes
  kStringList, // in TOML an array, elsewhere separated by commas
  kChoice,     // one of `choices`
};

// One row of a table: constexpr, with designated initializers.
//   constexpr KeySpec kKeys[] = {
//       {.section = "lora", .key = "r", .type = SettingType::kInt, .default_value = "8",
//        .help = "Rank of the adapter's factors.", .min = 1, .max = 256},
//   };
struct KeySpec {
  std::string_view section; // may be dotted: "client.network"
  std::string_view key;     // snake_case
  SettingType type = SettingType::kString;
  std::string_view default_value; // as one would write it in the environment
  std::string_view help;          // one or two sentences, for the file and the docs
  double min = -std::numeric_limits<double>::infinity();
  double max = std::numeric_limits<double>::infinity();
  std::string_view choices = {}; // of kChoice: "a|b|c"
  std::string_view unit = {};    // for people, if the type doesn't say it: "tokens"
};

// Variables by name. Tests pass their own; programs pass process_environment().
using Environment = std::map<std::string, std::string>;
Environment process_environment(); // those that begin with COPPICE_

// A value from the command line: {"lora.r", "8", "--rank"}.
struct Override {
  std::string name;
  std::string value;
  std::string flag;
};

enum class SettingLayer { kDefault, kFile, kEnvironment, kFlag };

struct SettingOrigin {
  SettingLayer layer = SettingLayer::kDefault;
  std::string where; // "aggregator.toml:12", "COPPICE_LORA_R", "--rank"; empty for a default
  std::string text() const;
};

using SettingValue = std::variant<bool, std::int64_t, double, std::string, Millis, std::uint64_t,
                                  std::vector<std::string>>;

class Settings {
 public:
  // `toml` names a file that must exist; none: that layer is empty. `keys` must outlive the object.
  static Result<Settings> load(std::span<const KeySpec> keys, const std::optional<fs::path>& toml,
                               const Environment& environment, std::span<const Override> flags);
  // The same with the file's text at hand; `file_name` stands in errors and origins.
  static Result<Settings> load_text(std::span<const KeySpec> keys, std::string_view toml_text,
                                    std::string_view file_name, const Environment& environment,
                                    std::span<const Override> flags);

  // `name` is "section.key"; it must be in the table, with that type.
  bool get_bool(std::string_view name) const;
  std::int64_t get_int(std::string_view name) const;
  double get_float(std::string_view name) const;
  const std::string& get_string(std::string_view name) const; // kString and kChoice
  Millis get_duration(std::string_view name) const;
  std::uint64_t get_size(std::string_view name) const; // bytes
  const std::vector<std::string>& get_strings(std::string_view name) const;

  const SettingOrigin& origin(std::string_view name) const;

  struct Row {
    std::string name;   // "lora.r"
    std::string value;  // as it would stand in TOML
    std::string origin; // SettingOrigin::text()
  };
  // Every key in the order of the table: `config show --origin`.
  std::vector<Row> show_origin() const;

 private:
  struct Entry {
    SettingValue value;
    SettingOrigin origin;
  };
  explicit Settings(std::span<const KeySpec> keys) : keys_(keys) {}
  const Entry& entry(std::string_view name) const;
  Result<void> load_defaults();
  Result<void> load_toml(std::string_view text, std::string_view file_name);
  Result<void> load_environment(const Environment& environment);
  Result<void> load_flags(std::span<const Override> flags);

  std::span<const KeySpec> keys_;
  std::vector<Entry> entries_; // one a key, in the order of the table
};

// "section.key", or "key" for an empty section.
std::string setting_name(const KeySpec& key);
// "COPPICE_SECTION_KEY".
std::string environment_name(const KeySpec& key);

// A whole settings file: each key with its help, unit, range and default above it. `overrides`
// replace defaults; their names must be in the table.
Result<std::string> write_commented_toml(std::span<const KeySpec> keys,
                                         std::span<const Override> overrides = {});
// The tables of docs/configuration.md: one a section.
std::string describe_markdown(std::span<const KeySpec> keys);

} // namespace coppice
