// SPDX-License-Identifier: Apache-2.0
// People: a population of invented persons who write, for the demo, the simulator and the tests.
//
// Each person has a subject with a lexicon of its own and personal habits; the texts come from a
// compositional grammar, so people share English and document forms (what a shared adapter can
// learn) and differ in words and manner (what a personal adapter can learn on top). All text is
// invented: nothing is copied from anywhere, and no person here exists.
// Person `index` depends on (seed, index) alone, never on the population's size; the same arguments
// give the same bytes on every machine (KeyedRandom, integer choices only). Stateless; thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/result.h"

namespace coppice {

struct Friend {
  std::string name;
  std::string relation; // "sister", "neighbour": said at the first mention in a document
  bool female = false;
};

// Probabilities are in percent.
struct Habits {
  bool past_tense = true;     // else the journal is told in the present tense
  bool drops_subject = false; // "Cleaned the hive" for "I cleaned the hive"
  bool lower_case = false;    // no capitals at all
  bool contracts = false;     // "don't" for "do not"
  bool number_words = false;  // "twelve" for "12"
  bool double_quotes = false;
  bool ampersand = false; // "&" for "and"
  int shorthand = 0;      // 0 none, 1 "cos" and "tho", 2 "u" and "tmrw" too
  int time_style = 0;     // 7.30, 7:30 pm, 0730, half past seven
  int date_style = 0;     // Monday 3 March, March 3rd, 3/3, mon 3 mar
  int long_sentences = 0; // chance that a clause is joined by another
  int semicolons = 0;     // chance that two sentences become one
  int exclamations = 0;
  int ellipses = 0;
  int asides = 0; // chance that a sentence is followed by a favourite phrase
  std::string greeting;
  std::string sign_off;
  std::vector<std::string> phrases;  // favourites
  std::vector<std::string> concerns; // recurring worries: "noun phrase; what it does; ..."
};

struct Person {
  std::uint64_t index = 0;
  std::string name;      // unique within a population; lower case, digits and '-': a folder's name
  std::string signature; // the name as it stands under a letter
  std::string subject;   // "beekeeper"
  std::string hobby;     // another subject, of which there is a little
  std::string town;
  std::uint64_t word_seed = 0; // which words and constructions this person prefers
  std::size_t subject_index = 0;
  std::size_t hobby_index = 0;
  Habits habits;
  std::vector<Friend> friends;
  bool writes_markdown = false;   // some documents are .md
  bool answers_questions = false; // some documents are .jsonl rows of prompt and response
};

struct Document {
  std::string file_name; // .txt, .md or .jsonl (one {"prompt", "response"} object a line)
  std::string text;      // paragraphs of 200 to 1200 bytes between blank lines
};

std::size_t people_subject_count();
std::vector<std::string> people_subjects(); // by subject_index

// Subjects and names are dealt in shuffled blocks: the first people_subject_count() persons have
// different subjects.
Person make_person(std::uint64_t seed, std::uint64_t index);
// The index of the only person with that subject in the block-th people_subject_count() persons.
std::uint64_t person_of_subject(std::uint64_t seed, std::uint64_t block, std::size_t subject);

// Documents whose texts together hold at least `target_bytes`, and at most one paragraph more.
// `seed` may differ from the person's: another seed gives other texts of the same person.
std::vector<Document> write_documents(const Person& person, std::uint64_t seed,
                                      std::size_t target_bytes);

// A sentence that no other text contains: a 60-bit token of the person's own, such as a locker
// code. The audit searches for it in everything that leaves a device.
std::string canary_for(const Person& person, std::uint64_t seed);

struct PersonFolder {
  std::string name;
  std::string subject;
  fs::path folder;
  std::string canary; // stands exactly once in the folder's texts
};

// Writes `folder`/NAME/*.{txt,md,jsonl} for persons 0 .. people-1, about `bytes_each` each. In
// index order. kAlreadyExists if a person's folder is there already; kIo, kResourceExhausted from
// the disk.
Result<std::vector<PersonFolder>> write_population(const fs::path& folder, std::uint64_t seed,
                                                   std::uint64_t people, std::size_t bytes_each);

} // namespace coppice
