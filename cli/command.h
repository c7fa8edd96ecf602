// SPDX-License-Identifier: Apache-2.0
// How a subcommand is made: one file a command, each with one function of the type AddCommand that
// cli/commands.h declares and the table in main.cc names.
//
//   void add_shout_command(CommandOptions& parent, Context& context) {
//     auto options = std::make_shared<ShoutOptions>();
//     CommandOptions command = new_command(parent, context,
//         {.name = "shout", .summary = "Say it louder", .example = "coppice shout --text hello"},
//         [options](Context& at) { return shout(at, *options); });
//     command.add_option("--text", options->text, "What to say").required();
//   }
//
// The action runs after the whole line was parsed and --format and --log-level took effect; it
// returns an exit code, or an Error, which main() prints and turns into one (cli/exit_codes.h).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cli/command_options.h"
#include "cli/console.h"
#include "config/settings.h"

namespace coppice {

// What a command is given. One a process.
struct Context {
  Console& console;
  Environment environment;                               // COPPICE_*
  std::function<Result<ExitCode>(Context&)> action = {}; // of the command that the line named
};

using Action = std::function<Result<ExitCode>(Context&)>;
using AddCommand = void(CommandOptions& parent, Context& context);

struct CommandText {
  std::string_view name;
  std::string_view summary; // one line, without a full stop
  std::string_view example; // one or more whole command lines
};

// A subcommand with --help (with the example), --format and --log-level.
CommandOptions new_command(CommandOptions& parent, Context& context, const CommandText& text,
                           Action action);
// A subcommand that only holds others ("adapter"): one of them must be named.
CommandOptions new_group(CommandOptions& parent, std::string_view name, std::string_view summary);

// Parses and runs: what main() is, apart from its streams. `arguments` without the program's name.
int run_program(std::vector<std::string> arguments, Console& console, Environment environment);

std::string_view program_version(); // "0.1.0"

} // namespace coppice
