// SPDX-License-Identifier: Apache-2.0
// The people's texts are no template's: measured on 100 kB a person, against a text that is one.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <map>
#include <set>
#include <unordered_map>

#include "base/random.h"
#include "base/text.h"
#include "sim/lexicon.h"
#include "sim/people.h"

namespace coppice {
namespace {

constexpr std::uint64_t kVarietySeed = 21;
constexpr std::uint64_t kPeople = 8;
constexpr std::size_t kBytes = 100'000;

const std::vector<std::string>& texts() {
  static const auto all = [] {
    std::vector<std::string> made(kPeople);
    for (std::uint64_t i = 0; i < kPeople; ++i) {
      for (const Document& document :
           write_documents(make_person(kVarietySeed, i), kVarietySeed, kBytes)) {
        made[i] += document.text;
      }
    }
    return made;
  }();
  return all;
}

// What must not pass: six fixed sentences, filled from the same lexicon.
std::string template_text() {
  const people::SubjectLexicon& subject = people::subject_lexicons().front();
  KeyedRandom random({.experiment = kVarietySeed});
  const auto any = [&](const people::Words& words) { return words[random.below(words.size())]; };
  std::string text;
  while (text.size() < kBytes) {
    const people::WordGroup& group = subject.groups[random.below(subject.groups.size())];
    switch (random.below(6)) {
      case 0:
        text += cat("This morning I went out to ", any(group.verbs), " the ", any(group.nouns));
        break;
      case 1:
        text +=
            cat("In the afternoon the ", any(group.nouns), " was rather ", any(group.adjectives));
        break;
      case 2:
        text += cat("Later on I had to speak to the ", any(subject.roles), " about the ",
                    any(group.nouns));
        break;
      case 3:
        text += cat("All of us were busy ", any(subject.places), " with the ", any(group.nouns));
        break;
      case 4: text += cat("Tomorrow I will have to ", any(subject.tasks), " before lunch"); break;
      default:
        text += cat("We counted ", random.below(300), " ", any(subject.units), " ",
                    any(subject.places));
    }
    text += ". ";
  }
  return text;
}

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words(1);
  for (const char c : text) {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '\'') {
      words.back() += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    } else if (!words.back().empty()) {
      words.emplace_back();
    }
  }
  return words;
}

double distinct_four_grams(std::string_view text) {
  const std::vector<std::string> words = words_of(text);
  std::set<std::array<std::string_view, 4>> distinct;
  for (std::size_t i = 0; i + 4 <= words.size(); ++i) {
    distinct.insert({words[i], words[i + 1], words[i + 2], words[i + 3]});
  }
  return static_cast<double>(distinct.size()) / static_cast<double>(words.size() - 3);
}

// Adaptive bits per byte of contexts of 0 to 5 bytes, each order's count blended with the one below
// by its number of distinct followers (Witten and Bell 1991, method C): what a sequential predictor
// with no knowledge of English pays. Uniform over 256 below order 0.
double adaptive_bits_per_byte(std::string_view text) {
  constexpr std::size_t kOrders = 6;
  struct Context {
    std::map<char, int> followers;
    int total = 0;
  };
  std::array<std::unordered_map<std::string, Context>, kOrders> contexts;
  double bits = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    double p = 1.0 / 256;
    for (std::size_t order = 0; order < kOrders && order <= i; ++order) {
      Context& context = contexts[order][std::string(text.substr(i - order, order))];
      const auto found = context.followers.find(text[i]);
      const double seen = found == context.followers.end() ? 0 : found->second;
      const auto distinct = static_cast<double>(context.followers.size());
      if (context.total > 0) p = (seen + distinct * p) / (context.total + distinct);
      ++context.followers[text[i]];
      ++context.total;
    }
    bits -= std::log2(p);
  }
  return bits / static_cast<double>(text.size());
}

constexpr std::size_t kContentWord =
    5; // letters; shorter words are mostly grammar, which all share

std::set<std::string> vocabulary(std::string_view text, std::size_t shortest = kContentWord) {
  std::set<std::string> words;
  for (const std::string& word : words_of(text)) {
    if (word.size() >= shortest) words.insert(word);
  }
  return words;
}

double overlap(const std::set<std::string>& a, const std::set<std::string>& b) {
  std::size_t both = 0;
  for (const std::string& word : a) both += b.count(word);
  return static_cast<double>(both) / static_cast<double>(a.size() + b.size() - both);
}

// With half a sentence of 12 words fixed (6 words in a row) 3 of its 12 windows of four words would
// recur for ever: so a share below 3/4 means that more than half of each sentence is a frame.
constexpr double kLeastDistinct = 0.75;

TEST(PeopleVariety, LessThanHalfOfASentenceIsAFrame) {
  for (const std::string& text : texts()) EXPECT_GT(distinct_four_grams(text), kLeastDistinct);
  EXPECT_LT(distinct_four_grams(template_text()), kLeastDistinct);
}

// 100 kB of Elizabethan drama cost the predictor above 2.73 bits a byte. A person's text must stand
// nearer to that than to the template.
constexpr double kEnglishBitsPerByte = 2.73;

TEST(PeopleVariety, TextsCompressLikeEnglishRatherThanLikeATemplate) {
  const double least = (adaptive_bits_per_byte(template_text()) + kEnglishBitsPerByte) / 2;
  for (const std::string& text : texts()) EXPECT_GT(adaptive_bits_per_byte(text), least);
}

std::size_t most_repeated_sentence(const std::string& text, std::string& which) {
  std::map<std::string, std::size_t> counts;
  std::string sentence;
  for (const char c : text) {
    if (std::string_view(".?!\n").find(c) == std::string_view::npos) {
      sentence += c;
      continue;
    }
    const std::string trimmed(trim(sentence));
    if (std::count(trimmed.begin(), trimmed.end(), ' ') >= 8) ++counts[trimmed];
    sentence.clear();
  }
  std::size_t most = 0;
  for (const auto& [words, count] : counts) {
    if (count > most) {
      most = count;
      which = words;
    }
  }
  return most;
}

// A general truth of the subject may be someone's saying; nothing else recurs.
TEST(PeopleVariety, NoLongSentenceComesBackMoreThanAFewTimes) {
  constexpr std::size_t kFew = 8;
  for (const std::string& text : texts()) {
    std::string which;
    EXPECT_LE(most_repeated_sentence(text, which), kFew) << which;
  }
  std::string which;
  EXPECT_GT(most_repeated_sentence(template_text(), which), kFew);
}

TEST(PeopleVariety, TwoHalvesOfOnePersonShareMoreWordsThanTwoPeople) {
  std::vector<std::array<std::set<std::string>, 2>> halves;
  for (const std::string& text : texts()) {
    halves.push_back({vocabulary(std::string_view(text).substr(0, text.size() / 2)),
                      vocabulary(std::string_view(text).substr(text.size() / 2))});
  }
  for (std::size_t i = 0; i < halves.size(); ++i) {
    const double own = overlap(halves[i][0], halves[i][1]);
    for (std::size_t j = 0; j < halves.size(); ++j) {
      if (i == j) continue;
      EXPECT_GT(own, overlap(halves[i][0], halves[j][1]) + 0.1) << i << " and " << j;
    }
  }
}

// Same subject, other person: still told apart by habits, friends, town and favourite words.
TEST(PeopleVariety, TwoPeopleWithOneSubjectDiffer) {
  const Person first = make_person(kVarietySeed, 0);
  std::uint64_t other = people_subject_count();
  while (make_person(kVarietySeed, other).subject != first.subject) ++other;
  std::array<std::string, 3> text;
  for (const Document& document : write_documents(first, kVarietySeed, kBytes))
    text[0] += document.text;
  for (const Document& document : write_documents(first, kVarietySeed + 1, kBytes)) {
    text[1] += document.text;
  }
  for (const Document& document :
       write_documents(make_person(kVarietySeed, other), kVarietySeed, kBytes)) {
    text[2] += document.text;
  }
  EXPECT_GT(overlap(vocabulary(text[0]), vocabulary(text[1])),
            overlap(vocabulary(text[0]), vocabulary(text[2])) + 0.1);
}

TEST(PeopleVariety, EverySubjectHasALexiconOfItsOwn) {
  std::map<std::string, std::set<std::string>> subjects_with;
  for (const people::SubjectLexicon& subject : people::subject_lexicons()) {
    const auto add = [&](const people::Words& entries) {
      for (const std::string& entry : entries) {
        for (const std::string& word : vocabulary(entry, 3)) {
          subjects_with[word].insert(subject.name);
        }
      }
    };
    for (const people::WordGroup& group : subject.groups) {
      for (const auto* words : {&group.nouns, &group.verbs, &group.adjectives, &group.predicates}) {
        add(*words);
      }
    }
    for (const auto* words : {&subject.roles, &subject.places, &subject.units, &subject.names,
                              &subject.tasks, &subject.events, &subject.facts}) {
      add(*words);
    }
  }
  std::map<std::string, int> own, rare;
  for (const auto& [word, subjects] : subjects_with) {
    if (subjects.size() == 1) ++own[*subjects.begin()];
    if (subjects.size() > 3) continue;
    for (const std::string& subject : subjects) ++rare[subject];
  }
  constexpr int kOwn = 45;  // words that no other subject has
  constexpr int kMost = 60; // words that at most two more have
  for (const people::SubjectLexicon& subject : people::subject_lexicons()) {
    EXPECT_GE(own[subject.name], kOwn) << subject.name;
    EXPECT_GE(rare[subject.name], kMost) << subject.name;
  }
}

} // namespace
} // namespace coppice
