// SPDX-License-Identifier: Apache-2.0
#include "config/toml_file.h"

#include <algorithm>

namespace coppice {
namespace {
struct BrokenPrecondition {};
[[noreturn]] void broken_precondition() { throw BrokenPrecondition(); }
} // namespace
} // namespace coppice

// Note [Broken preconditions]: toml++ 3.3 asserts its own preconditions, and some input breaks them
// ("[[[" or "[ =": its pull request 301). Its assertions throw here, and are errors like any other.
// With NDEBUG it would instead tell the compiler that they hold.
#undef NDEBUG
#define TOML_ASSERT(condition) ((condition) ? void() : coppice::broken_precondition())
// Recursion of the parser, over arrays and inline tables; settings need two levels.
#define TOML_MAX_NESTED_VALUES 16
#define TOML_EXCEPTIONS 1
#include <toml++/toml.h>

#include "base/text.h"

namespace coppice {
namespace {

// Note [Dotted depth]: `a.a.a.a = 1` makes a table in a table for each dot, and they are destroyed
// recursively: a megabyte of it would exhaust the stack. Lines are bounded before they are parsed.
constexpr std::ptrdiff_t kMaxDotsInLine = 64;

Error error_at(std::string_view file_name, std::uint32_t line, std::string_view problem) {
  return {ErrorCode::kInvalidArgument, cat(file_name, ":", line, ": ", problem)};
}

// The end of the string or comment that begins at `at`, or `at` where none does.
std::size_t skip_string_or_comment(std::string_view text, std::size_t at) {
  const char quote = text[at];
  if (quote == '#') return std::min(text.find('\n', at), text.size());
  if (quote != '"' && quote != '\'') return at;
  const std::string triple(3, quote);
  const bool lines = text.substr(at, 3) == triple;
  at += lines ? 3 : 1;
  while (at < text.size()) {
    if (text[at] == '\\' && quote == '"') {
      at += 2;
    } else if (lines && text.substr(at, 3) == triple) {
      at += 3;
      for (int more = 0; more < 2 && at < text.size() && text[at] == quote; ++more) ++at;
      return at;
    } else if (!lines && (text[at] == quote || text[at] == '\n')) {
      return at + (text[at] == quote ? 1 : 0);
    } else {
      ++at;
    }
  }
  return text.size();
}

// Bounds the dots of a line, and refuses what isn't ASCII, outside strings and comments: TOML
// allows none there, and toml++ 3.3 runs into undefined behaviour on some (U+00E9 where a space
// might be).
Result<void> check_outside_strings(std::string_view text, std::string_view file_name) {
  std::uint32_t line = 1;
  std::ptrdiff_t dots = 0;
  char before = '\n'; // the last one that isn't a space
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = skip_string_or_comment(text, at);
    if (end > at) {
      // A stray quote begins no string for toml++, which reads on to find what the value is.
      if (text[at] != '#' && std::string_view("\n=[,{").find(before) == std::string_view::npos) {
        return error_at(file_name, line, "has a quote where no string can begin");
      }
      before = text[at];
      line += static_cast<std::uint32_t>(std::ranges::count(text.substr(at, end - at), '\n'));
      at = end;
      continue;
    }
    const char letter = text[at++];
    if (static_cast<unsigned char>(letter) >= 0x80) {
      return error_at(file_name, line, "has a character that is not ASCII; put it in quotes");
    }
    if (letter != ' ' && letter != '\t' && letter != '\r') before = letter;
    if (letter == '\n') {
      ++line;
      dots = 0;
    }
    if (letter == '.' && ++dots > kMaxDotsInLine) {
      return Error{ErrorCode::kTooLarge, cat(file_name, ":", line, ": has over ", kMaxDotsInLine,
                                             " dots, which no setting needs")};
    }
  }
  return {};
}

class Flattener {
 public:
  Flattener(std::string_view file_name, std::vector<TomlEntry>& entries)
      : file_name_(file_name), entries_(entries) {}

  Result<void> table(const std::string& prefix, const toml::table& table, std::uint32_t line) {
    if (table.empty() && !prefix.empty()) entries_.push_back({prefix, EmptyTable{}, line});
    for (const auto& [key, node] : table) {
      const std::string name =
          prefix.empty() ? std::string(key.str()) : cat(prefix, ".", key.str());
      const std::uint32_t at = node.source().begin.line;
      if (const toml::table* const inner = node.as_table()) {
        COPPICE_TRY(this->table(name, *inner, at));
      } else {
        TomlValue held =
            COPPICE_TRY(value(name, node, at)); // by itself: clang 14 leaks `name` else
        entries_.push_back({name, std::move(held), at});
      }
    }
    return {};
  }

 private:
  Result<TomlValue> value(const std::string& name, const toml::node& node, std::uint32_t line) {
    if (const auto* const held = node.as_boolean()) return TomlValue(held->get());
    if (const auto* const held = node.as_integer()) return TomlValue(held->get());
    if (const auto* const held = node.as_floating_point()) return TomlValue(held->get());
    if (const auto* const held = node.as_string()) return TomlValue(held->get());
    const toml::array* const array = node.as_array();
    if (array == nullptr)
      return error_at(file_name_, line, cat(name, " is a date or time, which no setting is"));
    std::vector<std::string> items;
    for (const toml::node& item : *array) {
      const auto* const text = item.as_string();
      if (text == nullptr) {
        return error_at(file_name_, line, cat(name, " holds something else than strings"));
      }
      items.push_back(text->get());
    }
    return TomlValue(std::move(items));
  }

  std::string_view file_name_;
  std::vector<TomlEntry>& entries_;
};

} // namespace

Result<std::vector<TomlEntry>> read_toml(std::string_view text, std::string_view file_name) {
  if (text.size() > kMaxTomlBytes) {
    return Error{ErrorCode::kTooLarge, cat(file_name, " has ", text.size(), " bytes, at most ",
                                           kMaxTomlBytes, " are read")};
  }
  COPPICE_TRY(check_outside_strings(text, file_name));
  try {
    std::vector<TomlEntry> entries;
    COPPICE_TRY(Flattener(file_name, entries).table("", toml::parse(text), 0));
    return entries;
  } catch (const toml::parse_error& error) {
    return error_at(file_name, error.source().begin.line, error.description());
  } catch (const BrokenPrecondition&) {
    return Error{ErrorCode::kInvalidArgument, cat(file_name, " is not valid TOML")};
  }
}

} // namespace coppice
