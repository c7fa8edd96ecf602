// SPDX-License-Identifier: Apache-2.0
// How a person writes numbers, clocks and dates, and what becomes of a sentence at the end.
#include <array>
#include <cctype>

#include "sim/inflect.h"
#include "sim/voice.h"

namespace coppice::people {
namespace {

using Replacement = std::array<std::string_view, 2>;

constexpr auto kContractions = std::to_array<Replacement>({
    {"do not ", "don't "},     {"did not ", "didn't "},     {"does not ", "doesn't "},
    {"cannot ", "can't "},     {"could not ", "couldn't "}, {"will not ", "won't "},
    {"is not ", "isn't "},     {"was not ", "wasn't "},     {"would not ", "wouldn't "},
    {"I am ", "I'm "},         {"I have not", "I haven't"}, {"I will ", "I'll "},
    {"I would ", "I'd "},      {"it is ", "it's "},         {"It is ", "It's "},
    {"that is ", "that's "},   {"That is ", "That's "},     {"you are ", "you're "},
    {"there is ", "there's "}, {"There is ", "There's "},
});
constexpr auto kCasual = std::to_array<Replacement>({
    {" because ", " cos "},
    {" though ", " tho "},
    {"Although ", "Tho "},
    {" really ", " rly "},
    {" going to ", " gonna "},
    {"probably", "prob"},
    {" about ", " abt "},
    {"Tomorrow", "Tmrw"},
    {" want to ", " wanna "},
});
constexpr auto kTexting = std::to_array<Replacement>({
    {" you ", " u "},
    {" your ", " ur "},
    {" before ", " b4 "},
    {" are ", " r "},
    {" for ", " 4 "},
    {" people", " ppl"},
    {" without ", " w/o "},
    {" with ", " w/ "},
    {" something ", " smth "},
});

template <std::size_t N>
void replace_each(std::string& text, const std::array<Replacement, N>& table) {
  for (const auto& [from, to] : table) {
    for (std::size_t at = text.find(from); at != std::string::npos;
         at = text.find(from, at + to.size())) {
      const bool inside =
          at > 0 && from[0] != ' ' && std::isalpha(static_cast<unsigned char>(text[at - 1])) != 0;
      if (!inside) text.replace(at, from.size(), to);
    }
  }
}

struct Date {
  int month; // 0 to 11
  int day;   // from 1
};

Date date_of(int day_of_year) {
  constexpr std::array<int, 12> kLengths = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  int month = 0;
  for (const int length : kLengths) {
    if (day_of_year < length) break;
    day_of_year -= length;
    ++month;
  }
  return {month, day_of_year + 1};
}

std::string ordinal(int n) {
  const bool teen = n / 10 == 1;
  const char* ending = teen          ? "th"
                       : n % 10 == 1 ? "st"
                       : n % 10 == 2 ? "nd"
                       : n % 10 == 3 ? "rd"
                                     : "th";
  return std::to_string(n) + ending;
}

std::string two_digits(int n) { return (n < 10 ? "0" : "") + std::to_string(n); }

std::string spoken_time(int hour, int minute) {
  const int twelve = (hour + 11) % 12 + 1;
  const int next = twelve % 12 + 1;
  if (minute == 0) return number_in_words(twelve);
  if (minute == 15) return "quarter past " + number_in_words(twelve);
  if (minute == 30) return "half past " + number_in_words(twelve);
  if (minute == 45) return "quarter to " + number_in_words(next);
  if (minute < 30) return number_in_words(minute) + " past " + number_in_words(twelve);
  return number_in_words(60 - minute) + " to " + number_in_words(next);
}

} // namespace

std::string Voice::number(int value) const {
  return person_.habits.number_words && value < 100 ? number_in_words(value)
                                                    : std::to_string(value);
}

std::string Voice::clock() {
  constexpr int kDay = 24 * 60;
  const int step = person_.habits.time_style == 3 ? 5 : 1;
  minutes_ += 5 + static_cast<int>(below(90));
  if (minutes_ >= kDay) minutes_ = kDay - 1 - static_cast<int>(below(60));
  const int rounded = minutes_ / step * step;
  const int hour = rounded / 60, minute = rounded % 60;
  const int twelve = (hour + 11) % 12 + 1;
  switch (person_.habits.time_style) {
    case 0: return std::to_string(twelve) + "." + two_digits(minute);
    case 1: return std::to_string(twelve) + ":" + two_digits(minute) + (hour < 12 ? " am" : " pm");
    case 2: return two_digits(hour) + two_digits(minute);
    default: return spoken_time(hour, minute);
  }
}

std::string Voice::date() const {
  const Date date = date_of(day_);
  const auto month = static_cast<std::size_t>(date.month);
  const std::string& name = shared_lists().at("month")[month];
  const std::string& weekday = shared_lists().at("weekday")[static_cast<std::size_t>(day_ % 7)];
  const std::string day = std::to_string(date.day);
  switch (person_.habits.date_style) {
    case 0: return weekday + " " + day + " " + name;
    case 1: return name + " " + ordinal(date.day);
    case 2: return day + "/" + std::to_string(date.month + 1);
    default: return weekday.substr(0, 3) + " " + day + " " + name.substr(0, 3);
  }
}

std::string Voice::polish(std::string text) const {
  const Habits& habits = person_.habits;
  if (habits.contracts) replace_each(text, kContractions);
  if (habits.shorthand > 0) replace_each(text, kCasual);
  if (habits.shorthand > 1) replace_each(text, kTexting);
  if (habits.ampersand) replace_each(text, std::to_array<Replacement>({{" and ", " & "}}));
  if (habits.lower_case) {
    for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return text;
}

} // namespace coppice::people
