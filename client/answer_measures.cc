// SPDX-License-Identifier: Apache-2.0
#include "client/answer_measures.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace coppice {
namespace {

bool is_white(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
bool is_of_word(char lowered) {
  return (lowered >= 'a' && lowered <= 'z') || (lowered >= '0' && lowered <= '9');
}

std::string with_single_blanks(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (!is_white(c)) {
      result += c;
    } else if (!result.empty() && result.back() != ' ') {
      result += ' ';
    }
  }
  if (result.ends_with(' ')) result.pop_back();
  return result;
}

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  bool inside = false;
  for (const char c : text) {
    const char lowered = lower(c);
    const bool before = std::exchange(inside, is_of_word(lowered));
    if (!inside) continue;
    if (!before) words.emplace_back();
    words.back() += lowered;
  }
  return words;
}

// Of the longest common subsequence, one row of the usual table at a time.
std::size_t common_length(const std::vector<std::string>& longer,
                          const std::vector<std::string>& shorter) {
  std::vector<std::size_t> lengths(shorter.size() + 1, 0);
  for (const std::string& word : longer) {
    std::size_t diagonal = 0;
    for (std::size_t i = 0; i < shorter.size(); ++i) {
      const std::size_t above = lengths[i + 1];
      lengths[i + 1] = word == shorter[i] ? diagonal + 1 : std::max(above, lengths[i]);
      diagonal = above;
    }
  }
  return lengths.back();
}

} // namespace

bool is_same_answer(std::string_view expected, std::string_view written) {
  return with_single_blanks(expected) == with_single_blanks(written);
}

double rouge_l(std::string_view expected, std::string_view written) {
  std::vector<std::string> longer = words_of(expected);
  std::vector<std::string> shorter = words_of(written);
  if (longer.size() < shorter.size()) std::swap(longer, shorter);
  if (shorter.empty()) return 0;
  // 2 P R / (P + R) with P = common / one size and R = common / the other.
  return 2 * static_cast<double>(common_length(longer, shorter)) /
         static_cast<double>(longer.size() + shorter.size());
}

} // namespace coppice
