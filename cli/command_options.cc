// SPDX-License-Identifier: Apache-2.0
#include "cli/command_options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <optional>

#include "base/text.h"

namespace coppice {

template <typename Number>
OptionCheck in_range(Number lowest, Number highest) {
  return [lowest, highest](const std::string& text) -> std::string {
    Number value{};
    if (CLI::detail::lexical_cast(text, value) && lowest <= value && value <= highest) return {};
    return cat("takes a number from ", lowest, " to ", highest, ", not '", text, "'");
  };
}

OptionCheck one_of(std::vector<std::string> names) {
  return [names = std::move(names)](const std::string& text) -> std::string {
    if (std::ranges::find(names, text) != names.end()) return {};
    return cat("takes one of ", join(names, ", "), "; not '", text, "'");
  };
}

OptionCheck one_of_any_case(std::vector<std::string> names) {
  return [names = std::move(names)](std::string& text) -> std::string {
    for (const std::string& name : names) {
      if (CLI::detail::to_lower(name) != CLI::detail::to_lower(text)) continue;
      text = name;
      return {};
    }
    return cat("takes one of ", join(names, ", "), "; not '", text, "'");
  };
}

CommandOption& CommandOption::required(bool value) {
  option_->required(value);
  return *this;
}

CommandOption& CommandOption::type_name(const std::string& name) {
  option_->type_name(name);
  return *this;
}

CommandOption& CommandOption::capture_default_str() {
  option_->capture_default_str();
  return *this;
}

CommandOption& CommandOption::default_str(const std::string& text) {
  option_->default_str(text);
  return *this;
}

CommandOption& CommandOption::check(OptionCheck check) {
  option_->check(CLI::Validator(std::move(check), ""));
  return *this;
}

CommandOption& CommandOption::excludes(const CommandOption& other) {
  option_->excludes(other.option_);
  return *this;
}

CommandOption& CommandOption::allow_extra_args(bool value) {
  option_->allow_extra_args(value);
  return *this;
}

CommandOption& CommandOption::group(const std::string& name) {
  option_->group(name);
  return *this;
}

template <typename T>
CommandOption CommandOptions::add_option(const std::string& names, T& target,
                                         const std::string& help) {
  return CommandOption(*app_->add_option(names, target, help));
}

CommandOption CommandOptions::add_option(const std::string& names,
                                         std::function<void(const std::string&)> take,
                                         const std::string& help) {
  return CommandOption(*app_->add_option_function<std::string>(names, std::move(take), help));
}

CommandOption CommandOptions::add_flag(const std::string& name, bool& target,
                                       const std::string& help) {
  return CommandOption(*app_->add_flag(name, target, help));
}

CommandOption CommandOptions::get_option(const std::string& name) const {
  return CommandOption(*app_->get_option(name));
}

#define COPPICE_OPTION(T) \
  template CommandOption CommandOptions::add_option(const std::string&, T&, const std::string&);
#define COPPICE_NUMBER(T)          \
  COPPICE_OPTION(T)                \
  COPPICE_OPTION(std::optional<T>) \
  template OptionCheck in_range(T, T);
COPPICE_NUMBER(int)
COPPICE_NUMBER(std::uint32_t)
COPPICE_NUMBER(std::uint64_t)
COPPICE_NUMBER(float)
COPPICE_NUMBER(double)
COPPICE_OPTION(std::string)
COPPICE_OPTION(std::optional<std::string>)
COPPICE_OPTION(std::vector<double>)
COPPICE_OPTION(std::vector<std::string>)
#undef COPPICE_NUMBER
#undef COPPICE_OPTION

} // namespace coppice
