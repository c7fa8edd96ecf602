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

Result<void> check_dots(std::string_view text, std::string_view file_name) {
  std::uint32_t number = 0;
  while (!text.empty()) {
    ++number;
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (trim(line).starts_with('#') || std::ranges::count(line, '.') <= kMaxDotsInLine) continue;
    return Error{ErrorCode::kTooLarge, cat(file_name, ":", number, ": has over ", kMaxDotsInLine,
                                           " dots, which no setting needs")};
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
        entries_.push_back({name, COPPICE_TRY(value(name, node, at)), at});
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
  COPPICE_TRY(check_dots(text, file_name));
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
