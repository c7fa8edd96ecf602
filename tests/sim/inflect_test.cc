// SPDX-License-Identifier: Apache-2.0
#include "sim/inflect.h"

#include <gtest/gtest.h>

#include <vector>

#include "sim/lexicon.h"

namespace coppice::people {
namespace {

TEST(Inflect, VerbsFollowRuleAndException) {
  struct Case {
    const char *base, *third, *past, *gerund;
  };
  for (const Case& c : std::vector<Case>{
           {"mend", "mends", "mended", "mending"},
           {"bake", "bakes", "baked", "baking"},
           {"plan", "plans", "planned", "planning"},
           {"open", "opens", "opened", "opening"},
           {"fix", "fixes", "fixed", "fixing"},
           {"carry", "carries", "carried", "carrying"},
           {"play", "plays", "played", "playing"},
           {"level", "levels", "levelled", "levelling"},
           {"tie in", "ties in", "tied in", "tying in"},
           {"have", "has", "had", "having"},
           {"rebuild", "rebuilds", "rebuilt", "rebuilding"},
           {"refuse", "refuses", "refused", "refusing"},
           {"star-hop to Vega", "star-hops to Vega", "star-hopped to Vega", "star-hopping to Vega"},
           {"put away the tools", "puts away the tools", "put away the tools",
            "putting away the tools"}}) {
    EXPECT_EQ(inflect_verb(c.base, VerbForm::kThird), c.third);
    EXPECT_EQ(inflect_verb(c.base, VerbForm::kPast), c.past);
    EXPECT_EQ(inflect_verb(c.base, VerbForm::kGerund), c.gerund);
  }
  EXPECT_EQ(inflect_verb("be late", VerbForm::kFirst), "am late");
  EXPECT_EQ(inflect_verb("be late", VerbForm::kPastPlural), "were late");
  EXPECT_EQ(inflect_verb("write", VerbForm::kParticiple), "written");
}

TEST(Inflect, PluralsChangeTheHeadOfAPhrase) {
  EXPECT_EQ(plural_of("brood box"), "brood boxes");
  EXPECT_EQ(plural_of("loaf"), "loaves");
  EXPECT_EQ(plural_of("lorry"), "lorries");
  EXPECT_EQ(plural_of("pair of trousers"), "pairs of trousers");
  EXPECT_EQ(plural_of("tray"), "trays");
}

TEST(Inflect, ArticlesFollowTheSound) {
  EXPECT_EQ(with_article("hive"), "a hive");
  EXPECT_EQ(with_article("old hive"), "an old hive");
  EXPECT_EQ(with_article("hour"), "an hour");
  EXPECT_EQ(with_article("unit test"), "a unit test");
  EXPECT_EQ(with_article("unidentified comet"), "an unidentified comet");
}

TEST(Inflect, NumbersInWords) {
  EXPECT_EQ(number_in_words(7), "seven");
  EXPECT_EQ(number_in_words(40), "forty");
  EXPECT_EQ(number_in_words(99), "ninety-nine");
  EXPECT_EQ(number_in_words(305), "three hundred and five");
  EXPECT_EQ(number_in_words(1200), "1200");
}

// Anything that the grammar's slots may ask of a topic is there.
TEST(Lexicon, EverySubjectHasAllKindsOfWord) {
  ASSERT_GE(subject_lexicons().size(), 24U);
  std::vector<SubjectLexicon> all = subject_lexicons();
  all.push_back(home_lexicon());
  for (const SubjectLexicon& subject : all) {
    bool mass = false, countable = false;
    for (const WordGroup& group : subject.groups) {
      (group.kind == NounKind::kMass ? mass : countable) = true;
      EXPECT_GE(group.nouns.size() + group.verbs.size() + group.adjectives.size(), 10U);
      EXPECT_GE(group.predicates.size(), 2U) << subject.name;
    }
    EXPECT_TRUE(mass && countable) << subject.name;
    for (const Words* words : {&subject.roles, &subject.places, &subject.units, &subject.names,
                               &subject.tasks, &subject.events, &subject.facts, &subject.worries}) {
      EXPECT_GE(words->size(), 5U) << subject.name;
    }
  }
}

} // namespace
} // namespace coppice::people
