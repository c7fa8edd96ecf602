// SPDX-License-Identifier: Apache-2.0
#include "model/pretokenizer.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "model/utf8.h"

namespace coppice {
namespace {

using Words = std::vector<std::string>;

Words words(const char* pattern, std::string_view text) {
  Words found;
  const auto word = [&](std::string_view piece) { found.emplace_back(piece); };
  Pretokenizer::by_name(pattern).value().split(text, word);
  return found;
}

TEST(Pretokenizer, CutsAsGpt2Does) {
  EXPECT_EQ(words("gpt-2", "Hello, y'all!  It's 12345"),
            (Words{"Hello", ",", " y", "'", "all", "!", " ", " It", "'s", " 12345"}));
  EXPECT_EQ(words("gpt-2", "a \n\n b\t"), (Words{"a", " \n\n", " b", "\t"}));
  EXPECT_EQ(words("gpt-2", "I'LL x²"), (Words{"I", "'", "LL", " x", "²"}));
}

TEST(Pretokenizer, CutsAsLlama3Does) {
  // Digits in threes, contractions in either case, any one mark before a word, line ends after
  // marks.
  EXPECT_EQ(words("llama-bpe", "Hello, y'all!  It's 12345"),
            (Words{"Hello", ",", " y", "'all", "!", " ", " It", "'s", " ", "123", "45"}));
  EXPECT_EQ(words("llama-bpe", "I'LL (x);\n\n  y"),
            (Words{"I", "'LL", " (", "x", ");\n\n", " ", " y"}));
  EXPECT_EQ(words("llama-bpe", "a \n\n b\t"), (Words{"a", " \n\n", " b", "\t"}));
}

TEST(Pretokenizer, WhiteSpaceIsUnicodes) {
  // U+3000 and U+0085 are white space; U+180E is none since Unicode 6.3, but a mark.
  EXPECT_EQ(words("gpt-2", "\u3000\u0085"), (Words{"\u3000\u0085"}));
  EXPECT_EQ(words("gpt-2", " \u180E"), (Words{" \u180E"}));
}

TEST(Pretokenizer, IllFormedBytesAreWordsOfTheirOwn) {
  EXPECT_EQ(words("gpt-2", "ab\xFF\xC3(c"), (Words{"ab", "\xFF\xC3", "(", "c"}));
  EXPECT_EQ(words("llama-bpe", "\xE2\x96"), (Words{"\xE2\x96"}));
  EXPECT_TRUE(words("gpt-2", "").empty());
}

TEST(Pretokenizer, LosesNothingOfAnyBytes) {
  KeyedRandom random({.experiment = 9});
  for (int i = 0; i < 500; ++i) {
    std::string bytes;
    for (std::uint64_t left = random.below(80); left > 0; --left) {
      bytes += static_cast<char>(random.below(2) > 0 ? random.below(256) : random.below(128));
    }
    for (const char* pattern : {"gpt-2", "llama-bpe", "qwen2", "smollm", "gpt-4o"}) {
      std::string joined;
      for (const std::string& word : words(pattern, bytes)) joined += word;
      EXPECT_EQ(joined, bytes);
    }
  }
}

TEST(Pretokenizer, RefusesAPatternThatItDoesntKnow) {
  EXPECT_EQ(Pretokenizer::by_name("deepseek-llm").error().code, ErrorCode::kUnsupported);
  EXPECT_EQ(Pretokenizer::by_name("").error().code, ErrorCode::kUnsupported);
}

TEST(Utf8, TakesWhatUnicodeCallsWellFormedAndNothingElse) {
  EXPECT_EQ(utf8_character("a"), 1U);
  EXPECT_EQ(utf8_character("\xC2\x80"), 2U);
  EXPECT_EQ(utf8_character("\xE0\xA0\x80"), 3U);
  EXPECT_EQ(utf8_character("\xF4\x8F\xBF\xBF"), 4U);
  for (const char* broken :
       {"", "\x80", "\xC1\x81", "\xC2", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xE2\x82",
        "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF"}) {
    EXPECT_EQ(utf8_character(broken), 0U) << broken;
  }
  EXPECT_EQ(utf8_prefix("aé\xFFz"), 3U);
  EXPECT_EQ(ill_formed_prefix("\xFF\x80z"), 2U);
}

} // namespace
} // namespace coppice
