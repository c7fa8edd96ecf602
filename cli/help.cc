// SPDX-License-Identifier: Apache-2.0
#include "cli/help.h"

#include <algorithm>

#include "base/text.h"

namespace coppice {
namespace {

constexpr std::size_t kIndent = 28; // where descriptions begin
constexpr std::size_t kColumns = 96;

// `left` at the margin, `right` from kIndent on, wrapped between words.
std::string two_columns(const std::string& left, const std::string& right) {
  std::string text = "  " + left;
  std::size_t at = text.size();
  if (at + 2 > kIndent) {
    text += '\n';
    at = 0;
  }
  text.append(kIndent - at, ' ');
  at = kIndent;
  bool first = true;
  for (const std::string& word : split(right, ' ')) {
    if (!first && at + 1 + word.size() > kColumns) {
      text += '\n' + std::string(kIndent, ' ');
      at = kIndent;
    } else if (!first) {
      text += ' ';
      ++at;
    }
    text += word;
    at += word.size();
    first = false;
  }
  return text + '\n';
}

} // namespace

std::string HelpFormatter::make_group(std::string group, bool positional,
                                      std::vector<const CLI::Option*> options) const {
  std::string text = "\n" + group + ":\n";
  for (const CLI::Option* option : options) text += make_option(option, positional);
  return text;
}

std::string HelpFormatter::make_help(const CLI::App* app, std::string name,
                                     CLI::AppFormatMode mode) const {
  std::string text =
      make_description(app) + make_usage(app, std::move(name)) + make_positionals(app);
  // A command's own options first, those that every command has last.
  std::vector<std::string> groups = app->get_groups();
  std::stable_partition(groups.begin(), groups.end(),
                        [](const std::string& group) { return group != kCommonGroup; });
  for (const std::string& group : groups) {
    const auto options = app->get_options([&group](const CLI::Option* option) {
      return option->get_group() == group && option->nonpositional();
    });
    if (!group.empty() && !options.empty()) text += make_group(group, false, options);
  }
  text += make_subcommands(app, mode);
  return text + "\n" + make_footer(app);
}

std::string HelpFormatter::make_option(const CLI::Option* option, bool positional) const {
  std::string left = positional ? option->get_name(true, false)
                                : join(split(option->get_name(false, true), ','), ", ");
  const bool takes_value = option->get_type_size() != 0;
  if (!positional && takes_value) left += " " + option->get_type_name();
  std::string right = option->get_description();
  if (option->get_required()) {
    right += " (required)";
  } else if (takes_value && !option->get_default_str().empty()) {
    right += cat(" (default: ", option->get_default_str(), ")");
  }
  return two_columns(left, right);
}

std::string HelpFormatter::make_subcommand(const CLI::App* sub) const {
  return two_columns(sub->get_name(), sub->get_description());
}

std::string HelpFormatter::make_description(const CLI::App* app) const {
  return app->get_description() + "\n\n";
}

std::string HelpFormatter::make_usage(const CLI::App* app, std::string name) const {
  std::string text = "Usage: " + name;
  const bool group = !app->get_subcommands([](const CLI::App*) { return true; }).empty();
  if (group) text += " COMMAND";
  for (const CLI::Option* option :
       app->get_options([](const CLI::Option* each) { return each->get_positional(); })) {
    text += " " + make_option_usage(option);
  }
  return text + " [options]\n";
}

} // namespace coppice
