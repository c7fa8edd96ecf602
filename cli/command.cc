// SPDX-License-Identifier: Apache-2.0
#include "cli/command.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>

#include "base/log.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/help.h"

namespace coppice {
namespace {

constexpr std::string_view kRootExample =
    "  coppice generate -m assets/coppice-4m.q4_0.gguf -p \"Once upon a time\"\n"
    "  coppice train -m assets/coppice-4m.q4_0.gguf --data my-notes --out my.gguf";

// --format and --log-level, which take effect as soon as the line was parsed.
void add_common_options(CLI::App& app, Context& context) {
  app.add_option_function<std::string>(
         "--format",
         [&context](const std::string& name) {
           context.console.set_format(name == "json" ? OutputFormat::kJson : OutputFormat::kText);
         },
         "text, or json: one JSON document on stdout and nothing else there")
      ->check(CLI::IsMember({"text", "json"}).description(""))
      ->default_str("text")
      ->type_name("FORMAT")
      ->group(kCommonGroup);
  app.add_option_function<std::string>(
         "--log-level",
         [](const std::string& name) {
           auto level = log::parse_level(name);
           if (!level) throw CLI::ValidationError("--log-level", level.error().message);
           log::set_level(*level);
         },
         "What is logged to stderr: debug, info, warning, error or off")
      ->default_str("warning")
      ->type_name("LEVEL")
      ->group(kCommonGroup);
}

void show_version(CLI::App& app, const char* group) {
  app.set_version_flag("--version", cat("coppice ", program_version()))->group(group);
  app.get_version_ptr()->description("Print the version and exit");
}

void show_help(CLI::App& app) {
  app.set_help_flag("-h,--help", "Print this and exit")->group(kCommonGroup);
}

// The innermost subcommand that the line named, and the words that lead there.
const CLI::App* innermost(const CLI::App& root, std::string* path) {
  const CLI::App* at = &root;
  *path = "coppice";
  while (!at->get_subcommands().empty()) {
    at = at->get_subcommands().back();
    *path += " " + at->get_name();
  }
  return at;
}

std::vector<std::string> names_of_commands(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* sub : app.get_subcommands([](const CLI::App*) { return true; })) {
    names.push_back(sub->get_name());
  }
  return names;
}

std::string unknown_word(const CLI::App& at, const std::string& path, const std::string& word) {
  std::vector<std::string> known;
  const bool flag = word.starts_with("-");
  if (flag) {
    for (const CLI::Option* option : at.get_options()) {
      for (const std::string& name : option->get_lnames()) known.push_back("--" + name);
    }
  } else {
    known = names_of_commands(at);
  }
  const std::string bare = word.substr(0, word.find('='));
  const std::string near = nearest_name(bare, known);
  const char* kind = flag ? "option" : (known.empty() ? "argument" : "command");
  std::string text = cat("'", path, "' knows no ", kind, " '", bare, "'");
  if (!near.empty()) {
    text += cat("; did you mean '", near, "'?");
  } else if (!flag && !known.empty()) {
    text += cat("; there are ", join(known, ", "));
  }
  return text;
}

// What is wrong with the line, in words.
std::string usage_message(const CLI::App& at, const std::string& path, const CLI::ParseError& error,
                          const std::vector<std::string>& unknown) {
  if (!unknown.empty()) return unknown_word(at, path, unknown.front());
  const std::string what = error.what();
  const auto commands_here = names_of_commands(at);
  if (!commands_here.empty())
    return cat("'", path, "' needs a command: ", join(commands_here, ", "));
  constexpr std::string_view kConversion = "Could not convert: ";
  if (what.starts_with(kConversion)) {
    const std::string rest = what.substr(kConversion.size());
    const std::size_t equals = rest.find(" = ");
    if (equals != std::string::npos) {
      return cat(rest.substr(0, equals), " doesn't take '", rest.substr(equals + 3), "'");
    }
  }
  // Our own validators continue the flag's name: "--temp: takes a number ...".
  const std::size_t colon = what.find(": takes ");
  return colon == std::string::npos ? what : what.substr(0, colon) + what.substr(colon + 1);
}

std::string usage_sentence(std::string text) {
  if (!text.ends_with('?')) text += '.';
  return text;
}

int fail(Console& console, const Error& error, ExitCode exit) {
  console.fail(error, exit);
  return static_cast<int>(exit);
}

using Groups = std::map<std::string, CommandOptions, std::less<>>;

CommandOptions group_of(CommandOptions root, std::string_view path, const Groups& groups) {
  const auto found = groups.find(path);
  return found == groups.end() ? root : found->second;
}

void add_table(CommandOptions root, Context& context) {
  Groups groups;
  for (const CommandRow& row : commands()) {
    // A group appears where its first command stands.
    for (const GroupRow& group : command_groups()) {
      const bool leads = row.group == group.path || row.group.starts_with(cat(group.path, " "));
      if (!leads || groups.contains(group.path)) continue;
      const std::size_t space = group.path.rfind(' ');
      CommandOptions outer = space == std::string_view::npos
                                 ? root
                                 : group_of(root, group.path.substr(0, space), groups);
      const std::string_view name =
          space == std::string_view::npos ? group.path : group.path.substr(space + 1);
      groups.emplace(group.path, new_group(outer, name, group.summary));
    }
    CommandOptions group = group_of(root, row.group, groups);
    row.add(group, context);
  }
}

int run_action(Context& context) {
  auto outcome = context.action(context);
  if (outcome) return static_cast<int>(*outcome);
  return fail(context.console, outcome.error(), exit_code_of(outcome.error().code));
}

// A broken line may not have got as far as its --format.
bool asks_for_json(const std::vector<std::string>& arguments) {
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i] == "--format=json") return true;
    if (arguments[i] == "--format" && i + 1 < arguments.size() && arguments[i + 1] == "json")
      return true;
  }
  return false;
}

} // namespace

std::string_view program_version() { return COPPICE_VERSION; }

CommandOptions new_command(CommandOptions& parent, Context& context, const CommandText& text,
                           Action action) {
  CLI::App& command =
      *parent.app().add_subcommand(std::string(text.name), std::string(text.summary));
  std::string example = "Example:";
  for (const std::string& line : split(text.example, '\n')) example += "\n  " + line;
  command.group("Commands");
  command.footer(std::move(example));
  show_help(command);
  show_version(command, "");
  add_common_options(command, context);
  command.callback([&context, run = std::move(action)] { context.action = run; });
  return CommandOptions(command);
}

CommandOptions new_group(CommandOptions& parent, std::string_view name, std::string_view summary) {
  CLI::App& group = *parent.app().add_subcommand(std::string(name), std::string(summary));
  group.group("Commands");
  group.require_subcommand(1);
  show_help(group);
  group.footer("Each command has its own --help, with an example.");
  return CommandOptions(group);
}

int run_program(std::vector<std::string> arguments, Console& console, Environment environment) {
  Context context{.console = console, .environment = std::move(environment)};
  CLI::App root("Personalize a language model across devices without moving anybody's text",
                "coppice");
  root.formatter(std::make_shared<HelpFormatter>());
  root.require_subcommand(1);
  root.footer(
      cat("Examples:\n", kRootExample, "\n\nEach command has its own --help, with an example."));
  show_help(root);
  show_version(root, kCommonGroup);
  add_common_options(root, context);
  add_table(CommandOptions(root), context);

  if (asks_for_json(arguments)) console.set_format(OutputFormat::kJson);
  std::reverse(arguments.begin(), arguments.end()); // as CLI11 takes them
  try {
    root.parse(std::move(arguments));
  } catch (const CLI::CallForHelp&) {
    console.set_format(OutputFormat::kText);
    console.write(root.help());
    return static_cast<int>(ExitCode::kOk);
  } catch (const CLI::CallForVersion&) {
    console.print(cat("coppice ", program_version()));
    console.finish("coppice.version.v1", Json{{"version", program_version()}});
    return static_cast<int>(ExitCode::kOk);
  } catch (const CLI::ParseError& error) {
    std::string path;
    const CLI::App* at = innermost(root, &path);
    const Error wrong{ErrorCode::kInvalidArgument,
                      cat(usage_sentence(usage_message(*at, path, error, root.remaining(true))),
                          " Try '", path, " --help'")};
    return fail(console, wrong, ExitCode::kUsage);
  }
  return run_action(context);
}

} // namespace coppice
