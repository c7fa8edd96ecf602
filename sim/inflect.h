// SPDX-License-Identifier: Apache-2.0
// English inflection for the people's grammar: verbs, plurals, articles, numbers in words.
//
// Knows the verbs and nouns of sim/'s own lexicons, by rule and by a table of exceptions; it is no
// general morphology. A verb may be a phrase ("put away the tools"): its first word is inflected.
// Stateless; thread-safe.
#pragma once

#include <string>
#include <string_view>

namespace coppice::people {

enum class VerbForm { kBase, kFirst, kThird, kPlural, kPast, kPastPlural, kGerund, kParticiple };

std::string inflect_verb(std::string_view phrase, VerbForm form);
std::string plural_of(std::string_view noun);     // of the head: "pair of trousers", "set of knobs"
std::string with_article(std::string_view words); // "a hive", "an old hive", "an hour"
std::string number_in_words(int value);           // 0 to 999; digits above

} // namespace coppice::people
