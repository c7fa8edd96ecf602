// SPDX-License-Identifier: Apache-2.0
// The table of keys as a settings file and as a page of the docs.
#include <algorithm>

#include "base/text.h"
#include "config/setting_value.h"
#include "config/settings.h"

namespace coppice {
namespace {

// Each section once, in the order of the table; keys without a section come first, as TOML wants
// it.
std::vector<std::string_view> sections_of(std::span<const KeySpec> keys) {
  std::vector<std::string_view> sections;
  for (const KeySpec& key : keys) {
    if (std::ranges::find(sections, key.section) == sections.end()) sections.push_back(key.section);
  }
  std::stable_partition(sections.begin(), sections.end(),
                        [](std::string_view section) { return section.empty(); });
  return sections;
}

std::string sentence(std::string text) {
  if (!text.empty() && text[0] >= 'a' && text[0] <= 'z')
    text[0] = static_cast<char>(text[0] - 'a' + 'A');
  return text;
}

// Comment lines of at most 98 columns, broken between words.
std::string comment(std::string_view text) {
  constexpr std::size_t kColumns = 98;
  std::string lines(1, '#');
  std::size_t column = 1;
  for (const std::string& word : split(text, ' ')) {
    if (column > 1 && column + 1 + word.size() > kColumns) {
      lines.append("\n#");
      column = 1;
    }
    lines.append(1, ' ').append(word);
    column += 1 + word.size();
  }
  return lines.append(1, '\n');
}

std::string in_cell(std::string_view text) {
  std::string cell;
  for (const char letter : text) {
    if (letter == '|') cell += '\\';
    cell += letter;
  }
  return cell;
}

std::string with_unit(const KeySpec& key) {
  return key.unit.empty() ? allowed_text(key) : cat(allowed_text(key), ", in ", key.unit);
}

Result<std::string> default_toml(const KeySpec& key) {
  return setting_to_toml(COPPICE_TRY(setting_from_text(key, key.default_value)));
}

} // namespace

Result<std::string> write_commented_toml(std::span<const KeySpec> keys,
                                         std::span<const Override> overrides) {
  for (const Override& change : overrides) {
    const bool known = std::ranges::any_of(
        keys, [&](const KeySpec& key) { return setting_name(key) == change.name; });
    if (!known) {
      return Error{ErrorCode::kInvalidArgument, cat("no key is named \"", change.name, "\"")};
    }
  }
  std::string text = comment(
      "Every key may be left out, and then has its default. The environment (COPPICE_SECTION_KEY) "
      "and flags win over this file; `coppice config show --origin` tells where a value is from.");
  for (const std::string_view section : sections_of(keys)) {
    text += section.empty() ? "" : cat("\n[", section, "]\n");
    for (const KeySpec& key : keys) {
      if (key.section != section) continue;
      const std::string standard = COPPICE_TRY(default_toml(key));
      std::string value = standard;
      for (const Override& change : overrides) {
        if (setting_name(key) != change.name) continue;
        auto changed = setting_from_text(key, change.value);
        if (!changed) return std::move(changed).error().with_context(change.flag);
        value = setting_to_toml(*changed);
      }
      text += cat("\n", comment(key.help),
                  comment(cat(sentence(with_unit(key)), ". Default: ", standard)), key.key, " = ",
                  value, "\n");
    }
  }
  COPPICE_TRY(read_toml(text, "the new settings file")); // values from outside may not be UTF-8
  return text;
}

std::string describe_markdown(std::span<const KeySpec> keys) {
  std::string page;
  for (const std::string_view section : sections_of(keys)) {
    page += section.empty() ? "## Keys without a section\n" : cat("## [", section, "]\n");
    page += "\n| key | default | allowed | meaning |\n|---|---|---|---|\n";
    for (const KeySpec& key : keys) {
      if (key.section != section) continue;
      const auto standard = default_toml(key);
      COPPICE_CHECK(standard.ok(), "a default that its own key doesn't allow");
      page += cat("| `", key.key, "` | `", in_cell(*standard), "` | ", in_cell(with_unit(key)),
                  " | ", in_cell(key.help), " |\n");
    }
    page += "\n";
  }
  return page;
}

} // namespace coppice
