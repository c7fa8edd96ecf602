// SPDX-License-Identifier: Apache-2.0
#include "config/setting_value.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "base/text.h"
#include "config/units.h"

namespace coppice {
namespace {

Error not_allowed(const KeySpec& key, std::string_view shown) {
  return {ErrorCode::kInvalidArgument,
          cat(setting_name(key), " is ", shown, ", expected ", allowed_text(key))};
}

template <typename T>
std::optional<T> parse_number(std::string_view text) {
  T number{};
  const char* const end = text.data() + text.size();
  const auto [stopped, problem] = std::from_chars(text.data(), end, number);
  if (problem != std::errc() || stopped != end) return std::nullopt;
  return number;
}

std::string shortest(double value) {
  std::array<char, 32> buffer{};
  const auto result = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  return {buffer.data(), result.ptr};
}

std::string toml_quoted(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string out = "\"";
  for (const char letter : text) {
    const auto code = static_cast<unsigned char>(letter);
    if (letter == '"' || letter == '\\') {
      out += '\\';
      out += letter;
    } else if (code < 0x20 || code == 0x7F) {
      out += "\\u00";
      out += kDigits[code >> 4U];
      out += kDigits[code & 15U];
    } else {
      out += letter;
    }
  }
  return out + '"';
}

// A bound as people read it, in the key's own unit.
std::string bound_text(SettingType type, double bound) {
  if (type == SettingType::kDuration) return format_duration({static_cast<std::int64_t>(bound)});
  if (type == SettingType::kSize) return format_size(static_cast<std::uint64_t>(bound));
  return shortest(bound);
}

std::string range_text(const KeySpec& key) {
  const bool low = std::isfinite(key.min);
  const bool high = std::isfinite(key.max);
  if (low && high) {
    return cat(" from ", bound_text(key.type, key.min), " to ", bound_text(key.type, key.max));
  }
  if (low) return cat(", at least ", bound_text(key.type, key.min));
  if (high) return cat(", at most ", bound_text(key.type, key.max));
  return {};
}

// For range checks; strings and bools have no range.
std::optional<double> measure(const SettingValue& value) {
  return std::visit(
      [](const auto& held) -> std::optional<double> {
        using Held = std::decay_t<decltype(held)>;
        if constexpr (std::is_same_v<Held, Millis>) return static_cast<double>(held.count);
        if constexpr (std::is_arithmetic_v<Held> && !std::is_same_v<Held, bool>) {
          return static_cast<double>(held);
        }
        return std::nullopt;
      },
      value);
}

Result<SettingValue> check_range(const KeySpec& key, SettingValue value) {
  const auto number = measure(value);
  const bool inside =
      !number || (std::isfinite(*number) && *number >= key.min && *number <= key.max);
  if (!inside) return not_allowed(key, setting_to_toml(value));
  if (key.type == SettingType::kChoice) {
    const auto choices = split(key.choices, '|');
    const auto& chosen = std::get<std::string>(value);
    if (std::ranges::find(choices, chosen) == choices.end()) {
      const std::string nearest = nearest_name(chosen, choices);
      Error error = not_allowed(key, toml_quoted(chosen));
      if (!nearest.empty()) error.message += cat("; did you mean \"", nearest, "\"?");
      return error;
    }
  }
  return value;
}

std::vector<std::string> split_list(std::string_view text) {
  std::vector<std::string> items;
  if (trim(text).empty()) return items;
  for (const std::string& item : split(text, ',')) items.emplace_back(trim(item));
  return items;
}

std::optional<SettingValue> typed_from_text(SettingType type, std::string_view text) {
  switch (type) {
    case SettingType::kBool:
      if (text == "true" || text == "1") return SettingValue(true);
      if (text == "false" || text == "0") return SettingValue(false);
      return std::nullopt;
    case SettingType::kInt:
      if (const auto number = parse_number<std::int64_t>(text)) return SettingValue(*number);
      return std::nullopt;
    case SettingType::kFloat:
      if (const auto number = parse_number<double>(text)) return SettingValue(*number);
      return std::nullopt;
    case SettingType::kDuration:
      if (const auto span = parse_duration(text)) return SettingValue(*span);
      return std::nullopt;
    case SettingType::kSize:
      if (const auto size = parse_size(text)) return SettingValue(*size);
      return std::nullopt;
    case SettingType::kStringList: return SettingValue(split_list(text));
    case SettingType::kString:
    case SettingType::kChoice: break;
  }
  return SettingValue(std::string(text));
}

std::optional<SettingValue> typed_from_toml(SettingType type, const TomlValue& value) {
  const auto* const whole = std::get_if<std::int64_t>(&value);
  const auto* const text = std::get_if<std::string>(&value);
  switch (type) {
    case SettingType::kBool:
      if (const auto* const held = std::get_if<bool>(&value)) return SettingValue(*held);
      return std::nullopt;
    case SettingType::kInt: return whole ? std::optional<SettingValue>(*whole) : std::nullopt;
    case SettingType::kFloat:
      if (whole != nullptr) return SettingValue(static_cast<double>(*whole));
      if (const auto* const held = std::get_if<double>(&value)) return SettingValue(*held);
      return std::nullopt;
    case SettingType::kSize:
      if (whole != nullptr && *whole >= 0) return SettingValue(static_cast<std::uint64_t>(*whole));
      break;
    case SettingType::kStringList:
      if (const auto* const held = std::get_if<std::vector<std::string>>(&value)) {
        return SettingValue(*held);
      }
      return std::nullopt;
    case SettingType::kDuration:
    case SettingType::kString:
    case SettingType::kChoice: break;
  }
  return text != nullptr ? typed_from_text(type, *text) : std::nullopt;
}

struct ShowToml {
  std::string operator()(bool value) const { return value ? "true" : "false"; }
  std::string operator()(std::int64_t value) const { return cat(value); }
  std::string operator()(std::uint64_t bytes) const { return toml_quoted(format_size(bytes)); }
  std::string operator()(Millis span) const { return toml_quoted(format_duration(span)); }
  std::string operator()(const std::string& text) const { return toml_quoted(text); }
  std::string operator()(double value) const {
    const std::string text = shortest(value);
    return text.find_first_of(".en") == std::string::npos ? text + ".0" : text;
  }
  std::string operator()(const std::vector<std::string>& items) const {
    std::vector<std::string> shown;
    for (const std::string& item : items) shown.push_back(toml_quoted(item));
    return cat("[", join(shown, ", "), "]");
  }
};

std::string shown_toml(const TomlValue& value) {
  return std::visit(
      [](const auto& held) -> std::string {
        if constexpr (std::is_same_v<std::decay_t<decltype(held)>, EmptyTable>)
          return "a table";
        else
          return ShowToml()(held);
      },
      value);
}

} // namespace

std::string allowed_text(const KeySpec& key) {
  switch (key.type) {
    case SettingType::kBool: return "true or false";
    case SettingType::kInt: return "a whole number" + range_text(key);
    case SettingType::kFloat: return "a number" + range_text(key);
    case SettingType::kString: return "a string";
    case SettingType::kDuration: return "a duration such as \"90s\" or \"7d\"" + range_text(key);
    case SettingType::kSize: return "a size such as \"20MB\"" + range_text(key);
    case SettingType::kStringList: return "a list of strings";
    case SettingType::kChoice: break;
  }
  return "one of " + join(split(key.choices, '|'), ", ");
}

Result<SettingValue> setting_from_text(const KeySpec& key, std::string_view text) {
  auto value = typed_from_text(key.type, text);
  if (!value) return not_allowed(key, toml_quoted(text));
  return check_range(key, *std::move(value));
}

Result<SettingValue> setting_from_toml(const KeySpec& key, const TomlValue& value) {
  auto typed = typed_from_toml(key.type, value);
  if (!typed) return not_allowed(key, shown_toml(value));
  return check_range(key, *std::move(typed));
}

std::string setting_to_toml(const SettingValue& value) { return std::visit(ShowToml(), value); }

} // namespace coppice
