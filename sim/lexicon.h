// SPDX-License-Identifier: Apache-2.0
// The words that people write with: a lexicon per subject, and the lists and grammar all share.
//
// Format of a subject's lexicon (a line that starts with white space continues the one before):
//   @NAME, @NAME *                          starts a subject; with *, others have it as a hobby
//   g NOUNS; VERBS; ADJECTIVES; PREDICATES  countable things, what is done to them, what they do
//   m, h                                    the same for mass nouns and for human beings
//   r ROLES  p PLACES  u UNITS  n NAMES     comma-separated
//   t TASKS  e EVENTS  f FACTS  w WORRIES   separated by '|': verb phrases; tense-marked clauses;
//                                           general truths and feared things in the present tense
// Format of the shared lists: "@NAME" and then one entry a line or several between '|'.
// Any verb agrees with every noun of its group, so random choices still make sense.
// '~' is a space where one at an entry's end would be trimmed. Entries may hold {slots} and
// <verbs>, which sim/voice.h explains. Parsed once at first use; thread-safe afterwards.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace coppice::people {

using Words = std::vector<std::string>;

enum class NounKind { kThing, kMass, kHuman };

struct WordGroup {
  NounKind kind = NounKind::kThing;
  Words nouns;
  Words verbs; // transitive, base form, perhaps with a particle: "take out"
  Words adjectives;
  Words predicates; // intransitive phrases, base form
};

struct SubjectLexicon {
  std::string name;
  bool is_hobby = false;
  std::vector<WordGroup> groups;
  Words roles, places, units, names, tasks, events, facts, worries;
};

using WordLists = std::map<std::string, Words, std::less<>>;

const std::vector<SubjectLexicon>& subject_lexicons();
const SubjectLexicon& home_lexicon(); // daily life
const WordLists& shared_lists();

// The tables, each in its own .cc file.
extern const std::string_view kLexiconLand;
extern const std::string_view kLexiconCraft;
extern const std::string_view kLexiconTown;
extern const std::string_view kLexiconCare;
extern const std::string_view kLexiconHome;
extern const std::string_view kCommonWords;
extern const std::string_view kGrammarClauses;
extern const std::string_view kGrammarDocuments;

} // namespace coppice::people
