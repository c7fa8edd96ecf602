// SPDX-License-Identifier: Apache-2.0
#include "sim/people.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <system_error>

#include "base/bytes.h"
#include "base/random.h"
#include "base/text.h"
#include "sim/lexicon.h"

namespace coppice {
namespace {

using people::shared_lists;
using people::subject_lexicons;
using people::Words;

// KeyedRandom's `round` keeps the uses apart; documents.cc has 1.
constexpr std::uint64_t kPersonRound = 0;
constexpr std::uint64_t kCanaryRound = 2;
constexpr std::uint64_t kSubjectRound = 3;
constexpr std::uint64_t kNameRound = 4;

KeyedRandom stream(std::uint64_t seed, std::uint64_t round, std::uint64_t client) {
  return KeyedRandom(
      {.experiment = seed, .round = round, .client = client, .purpose = RandomPurpose::kText});
}

std::vector<std::size_t> shuffled_deck(std::uint64_t seed, std::uint64_t round,
                                       std::uint64_t number, std::size_t size) {
  std::vector<std::size_t> deck(size);
  std::iota(deck.begin(), deck.end(), std::size_t{0});
  KeyedRandom random = stream(seed, round, number);
  random.shuffle(std::span(deck));
  return deck;
}

// The index-th card of endless shuffled decks of `size` cards: no repeat within a deck.
std::size_t deal(std::uint64_t seed, std::uint64_t round, std::uint64_t index, std::size_t size) {
  return shuffled_deck(seed, round, index / size, size)[index % size];
}

std::string capitalized(std::string text) {
  text[0] = static_cast<char>(text[0] - 'a' + 'A');
  return text;
}

const std::string& any_of(const Words& words, KeyedRandom& random) {
  return words[random.below(words.size())];
}

Words some_of(const Words& words, std::size_t count, KeyedRandom& random) {
  Words all = words;
  random.shuffle(std::span(all));
  all.resize(std::min(count, all.size()));
  return all;
}

std::vector<Friend> make_friends(const std::string& own_name, KeyedRandom& random) {
  constexpr std::size_t kFriends = 6;
  std::vector<Friend> friends;
  std::vector<std::string> taken = {own_name};
  while (friends.size() < kFriends) {
    Friend made;
    made.female = random.below(2) == 0;
    const std::string name = any_of(shared_lists().at(made.female ? "female" : "male"), random);
    if (std::find(taken.begin(), taken.end(), name) != taken.end()) continue;
    taken.push_back(name);
    made.name = capitalized(name);
    made.relation = any_of(shared_lists().at(made.female ? "relation_f" : "relation_m"), random);
    friends.push_back(std::move(made));
  }
  return friends;
}

Habits make_habits(KeyedRandom& random) {
  const auto chance = [&](std::uint64_t percent) { return random.below(100) < percent; };
  const auto rate = [&](std::uint64_t percent, int most) {
    return chance(percent) ? 2 + static_cast<int>(random.below(static_cast<std::uint64_t>(most)))
                           : 0;
  };
  Habits habits;
  habits.past_tense = chance(75);
  habits.drops_subject = chance(35);
  habits.lower_case = chance(18);
  habits.contracts = chance(60);
  habits.number_words = chance(45);
  habits.double_quotes = chance(50);
  habits.ampersand = chance(20);
  habits.shorthand = habits.lower_case ? static_cast<int>(random.below(3)) : (chance(10) ? 1 : 0);
  habits.time_style = static_cast<int>(random.below(4));
  habits.date_style = static_cast<int>(random.below(4));
  habits.long_sentences = static_cast<int>(random.below(50));
  habits.semicolons = rate(45, 40);
  habits.exclamations = rate(45, 15);
  habits.ellipses = rate(30, 10);
  habits.asides = rate(50, 8);
  habits.greeting = any_of(shared_lists().at("greeting"), random);
  habits.sign_off = any_of(shared_lists().at("sign_off"), random);
  habits.phrases = some_of(shared_lists().at("phrase"), 6, random);
  return habits;
}

} // namespace

std::size_t people_subject_count() { return subject_lexicons().size(); }

std::vector<std::string> people_subjects() {
  std::vector<std::string> names;
  for (const auto& subject : subject_lexicons()) names.emplace_back(subject.name);
  return names;
}

std::uint64_t person_of_subject(std::uint64_t seed, std::uint64_t block, std::size_t subject) {
  const std::size_t count = people_subject_count();
  const auto deck = shuffled_deck(seed, kSubjectRound, block, count);
  const auto place = std::ranges::find(deck, subject) - deck.begin();
  return block * count + static_cast<std::uint64_t>(place);
}

Person make_person(std::uint64_t seed, std::uint64_t index) {
  KeyedRandom random = stream(seed, kPersonRound, index);
  Words names = shared_lists().at("female");
  const Words& male = shared_lists().at("male");
  names.insert(names.end(), male.begin(), male.end());
  Person person;
  person.index = index;
  person.name = names[deal(seed, kNameRound, index, names.size())];
  person.signature = capitalized(person.name);
  const std::string own_name = person.name;
  if (index >= names.size()) person.name += "-" + std::to_string(index / names.size() + 1);
  person.subject_index = deal(seed, kSubjectRound, index, people_subject_count());
  person.subject = subject_lexicons()[person.subject_index].name;
  do {
    person.hobby_index = random.below(people_subject_count());
  } while (person.hobby_index == person.subject_index ||
           !subject_lexicons()[person.hobby_index].is_hobby);
  person.hobby = subject_lexicons()[person.hobby_index].name;
  person.word_seed = random.next_u64();
  person.town = any_of(shared_lists().at("town"), random);
  person.habits = make_habits(random);
  // One entry a concern, its predicates after ';'.
  person.habits.concerns = some_of(shared_lists().at("concern"), 4, random);
  person.friends = make_friends(own_name, random);
  person.writes_markdown = random.below(4) == 0;
  person.answers_questions = index % 4 == 1; // in any population of two or more, somebody does
  return person;
}

std::string canary_for(const Person& person, std::uint64_t seed) {
  static constexpr std::string_view kAlphabet = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"; // 5 bits each
  static constexpr std::array<std::string_view, 4> kSentences = {
      "My locker code is ", "The spare key is in the safe, and its code is ",
      "In case I forget: the password of the old account is ",
      "The claim number that I must keep is "};
  constexpr int kGroups = 3, kGroupLength = 4; // 12 x 5 = 60 bits
  KeyedRandom random = stream(seed, kCanaryRound, person.index);
  std::string sentence(kSentences[random.below(kSentences.size())]);
  for (int i = 0; i < kGroups * kGroupLength; ++i) {
    if (i > 0 && i % kGroupLength == 0) sentence += '-';
    sentence += kAlphabet[random.below(kAlphabet.size())];
  }
  return sentence + ".";
}

namespace {

// At the end of a paragraph of some document in plain text, so that it travels with other words.
void plant(const std::string& canary, std::vector<Document>& documents, KeyedRandom random) {
  std::vector<Document*> plain;
  for (Document& document : documents) {
    if (!document.file_name.ends_with(".jsonl")) plain.push_back(&document);
  }
  std::string& text = plain[random.below(plain.size())]->text;
  std::vector<std::size_t> ends = {text.size() - 1}; // before the last newline
  for (std::size_t at = text.find("\n\n"); at != std::string::npos;
       at = text.find("\n\n", at + 2)) {
    ends.push_back(at);
  }
  text.insert(ends[random.below(ends.size())], "\n" + canary);
}

} // namespace

Result<std::vector<PersonFolder>> write_population(const fs::path& folder, std::uint64_t seed,
                                                   std::uint64_t people, std::size_t bytes_each) {
  if (bytes_each == 0) {
    return Error{ErrorCode::kInvalidArgument,
                 "A person's text must have at least one byte; ask for more."};
  }
  std::vector<PersonFolder> written;
  for (std::uint64_t index = 0; index < people; ++index) {
    const Person person = make_person(seed, index);
    PersonFolder entry{.name = person.name,
                       .subject = person.subject,
                       .folder = folder / person.name,
                       .canary = canary_for(person, seed)};
    std::error_code failure;
    if (fs::exists(entry.folder, failure)) {
      return Error{
          ErrorCode::kAlreadyExists,
          cat(entry.folder.string(), " is there already; remove it or name another folder.")};
    }
    fs::create_directories(entry.folder, failure);
    if (failure) {
      return Error{ErrorCode::kIo, cat("Can't make the folder ", entry.folder.string(), ": ",
                                       failure.message(), ".")};
    }
    std::vector<Document> documents = write_documents(person, seed, bytes_each);
    plant(entry.canary, documents, stream(seed, kCanaryRound + 3, index));
    for (const Document& document : documents) {
      COPPICE_TRY(
          write_file_atomically(entry.folder / document.file_name, as_bytes(document.text)));
    }
    written.push_back(std::move(entry));
  }
  return written;
}

} // namespace coppice
