// SPDX-License-Identifier: Apache-2.0
// How --help looks: one option a line with its value, default and whether it must be given, wrapped
// at 96 columns, the example at the end.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace coppice {

// The group of options that every command has.
inline constexpr const char* kCommonGroup = "Everywhere";

class HelpFormatter final : public CLI::Formatter {
 public:
  std::string make_group(std::string group, bool positional,
                         std::vector<const CLI::Option*> options) const override;
  std::string make_help(const CLI::App* app, std::string name,
                        CLI::AppFormatMode mode) const override;
  std::string make_option(const CLI::Option* option, bool positional) const override;
  std::string make_subcommand(const CLI::App* sub) const override;
  std::string make_description(const CLI::App* app) const override;
  std::string make_usage(const CLI::App* app, std::string name) const override;
};

} // namespace coppice
