// SPDX-License-Identifier: Apache-2.0
#include "client/answer_measures.h"

#include <gtest/gtest.h>

namespace coppice {
namespace {

struct Pair {
  const char* expected;
  const char* written;
  double f; // rouge-score 0.1.2: RougeScorer(["rougeL"]).score(expected, written).fmeasure
};

// The formula's operations in another order: a few units in the last place.
TEST(RougeL, EqualsThePackages) {
  const Pair pairs[] = {
      {"the cat sat on the mat", "the cat is on the mat", 0.8333333333333334},
      {"A coffee shop in the city centre area called Blue Spice .",
       "Blue Spice is a coffee shop in the city centre.", 0.6666666666666666},
      {"She makes 9 * 2 = $<<9*2=18>>18 every day.\n#### 18",
       "She sells 9 eggs, so 9*2=18 dollars #### 18", 0.5714285714285713},
      {"SELECT COUNT School/Club Team FROM 1-10015132-11 WHERE No. = '3'",
       "SELECT School/Club Team FROM 1-10015132-11 WHERE Player = 3", 0.8695652173913043},
      {"The past tense of 'draw' is 'drew.'", "drew", 0.25},
      {"caf\u00e9 na\u00efve \u00dcber_stra\u00dfe", "cafe naive uber strasse", 0},
      {"a b c d e f", "f e d c b a", 0.16666666666666666},
      {"same words, same order", "Same words; same ORDER!", 1},
      {"a b a b a b a", "b a b b a a", 0.7692307692307692},
      {"...", "words", 0},
      {"", "", 0},
  };
  for (const Pair& pair : pairs) {
    EXPECT_NEAR(rouge_l(pair.expected, pair.written), pair.f, 1e-15) << pair.written;
    EXPECT_EQ(rouge_l(pair.expected, pair.written), rouge_l(pair.written, pair.expected));
  }
}

// Lin 2004, section 3: "police killed the gunman" against "police kill the gunman" has 3 of 4 words
// in order, "the gunman kill police" 2 of 4.
TEST(RougeL, EqualsThePapersExample) {
  EXPECT_DOUBLE_EQ(rouge_l("police killed the gunman", "police kill the gunman"), 0.75);
  EXPECT_DOUBLE_EQ(rouge_l("police killed the gunman", "the gunman kill police"), 0.5);
}

TEST(SameAnswer, LooksPastWhiteSpaceAlone) {
  EXPECT_TRUE(is_same_answer("two  words\n", " two\twords"));
  EXPECT_TRUE(is_same_answer("", " \n"));
  EXPECT_FALSE(is_same_answer("two words", "twowords"));
  EXPECT_FALSE(is_same_answer("Two words", "two words"));
  EXPECT_FALSE(is_same_answer("two words", "two words."));
}

} // namespace
} // namespace coppice
