// SPDX-License-Identifier: Apache-2.0
// How near an answer is to the expected one, by its words. Pure functions: thread-safe.
#pragma once

#include <string_view>

namespace coppice {

// Equal but for white space: any run of it is one blank, and none counts at either end.
bool is_same_answer(std::string_view expected, std::string_view written);

// ROUGE-L (Lin 2004, equations 2 to 4, with beta 1), 0 to 1: the harmonic mean of the shares that
// the longest common subsequence of words has of both texts; 0 if one of them has no words. Words
// are those of the package rouge-score without its stemmer: runs of ASCII letters and digits, in
// lower case; whatever else stands between them. Takes time and memory as the product and the
// smaller of both numbers of words.
double rouge_l(std::string_view expected, std::string_view written);

} // namespace coppice
