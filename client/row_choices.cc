// SPDX-License-Identifier: Apache-2.0
#include "client/row_choices.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include "base/text.h"

namespace coppice {
namespace {

constexpr std::string_view kMark = "Answer"; // with a number and a colon, before each choice
constexpr std::string_view kName = "nswer";  // before the right one's number, after A or a

std::string mark(std::size_t number) { return cat(kMark, number, ":"); }

// The texts after "Answer1:", "Answer2:", ... up to the next of them.
std::vector<std::string> numbered_choices(std::string_view prompt) {
  std::vector<std::string> choices;
  std::string next = mark(1);
  std::size_t at = prompt.find(next);
  while (at != std::string_view::npos && choices.size() <= kMostChoices) {
    const std::size_t begin = at + next.size();
    next = mark(choices.size() + 2);
    at = prompt.find(next, begin);
    choices.emplace_back(trim(prompt.substr(begin, at - begin)));
  }
  return choices;
}

// 1 of "the correct answer is answer2."; the highest number: it doesn't end so.
std::size_t named_choice(std::string_view response) {
  constexpr std::size_t kNone = std::numeric_limits<std::size_t>::max();
  response = trim(response);
  if (response.ends_with('.')) response.remove_suffix(1);
  const std::size_t last = response.find_last_not_of("0123456789");
  if (last == std::string_view::npos || !response.substr(0, last + 1).ends_with(kName))
    return kNone;
  const std::string_view digits = response.substr(last + 1);
  std::size_t number = 0;
  const auto end = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return end.ec == std::errc() && number > 0 ? number - 1 : kNone;
}

// The place of the right one, or their number.
std::size_t place_of_right(const Json& row, const std::vector<std::string>& choices,
                           const std::string& response) {
  const auto place = [&](const std::string& text) {
    return static_cast<std::size_t>(std::ranges::find(choices, text) - choices.begin());
  };
  if (!row.contains("answer")) return place(response);
  if (const auto number = json_uint(row, "answer")) return static_cast<std::size_t>(*number);
  const auto text = json_string(row, "answer");
  return text ? place(*text) : choices.size();
}

} // namespace

void read_choices(const Json& row, Piece& piece) {
  std::vector<std::string> choices;
  std::size_t right = 0;
  if (!row.contains("choices")) {
    choices = numbered_choices(piece.text);
    right = named_choice(piece.response);
  } else if (auto texts = json_string_array(row, "choices")) {
    choices = std::move(*texts);
    right = place_of_right(row, choices, piece.response);
  }
  if (choices.size() < 2 || choices.size() > kMostChoices || right >= choices.size()) return;
  if (std::ranges::any_of(choices, &std::string::empty)) return;
  piece.choices = std::move(choices);
  piece.right_choice = right;
}

} // namespace coppice
