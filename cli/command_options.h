// SPDX-License-Identifier: Apache-2.0
// The options of a command: CLI11's, which is read in cli/command_options.cc alone, since a file
// that includes it takes seconds more to compile.
//
// Handles: cheap to copy, valid as long as the command line that they are of. Not thread-safe.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace CLI { // NOLINT(readability-identifier-naming): the library names it
class App;
class Option;
} // namespace CLI

namespace coppice {

// What a value must be: nothing where it is right, else what the option takes. May rewrite it.
using OptionCheck = std::function<std::string(std::string& value)>;

// Both ends are allowed. "takes a number from 1 to 5, not '9'".
template <typename Number>
OptionCheck in_range(Number lowest, Number highest);
OptionCheck one_of(std::vector<std::string> names);
// Whatever the case, which becomes that of the name.
OptionCheck one_of_any_case(std::vector<std::string> names);

class CommandOption {
 public:
  explicit CommandOption(CLI::Option& option) : option_(&option) {}
  CommandOption& required(bool value = true);
  CommandOption& type_name(const std::string& name); // in the help: --out FILE
  CommandOption& capture_default_str();              // the help tells the target's present value
  CommandOption& default_str(const std::string& text);
  CommandOption& check(OptionCheck check);
  CommandOption& excludes(const CommandOption& other);
  CommandOption& allow_extra_args(bool value); // several values behind one flag
  CommandOption& group(const std::string& name);

 private:
  CLI::Option* option_;
};

class CommandOptions {
 public:
  explicit CommandOptions(CLI::App& app) : app_(&app) {}
  CLI::App& app() const { return *app_; }

  // `names`: "-m,--model", or "OUT" for one that is known by its place. The target must outlive the
  // parsing. For the types that command_options.cc names.
  template <typename T>
  CommandOption add_option(const std::string& names, T& target, const std::string& help);
  CommandOption add_option(const std::string& names, std::function<void(const std::string&)> take,
                           const std::string& help);
  CommandOption add_flag(const std::string& name, bool& target, const std::string& help);
  CommandOption get_option(const std::string& name) const; // which was added before

 private:
  CLI::App* app_;
};

} // namespace coppice
