// SPDX-License-Identifier: Apache-2.0
#include "sim/people.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <map>
#include <regex>
#include <set>

#include "base/text.h"

namespace coppice {
namespace {

constexpr std::uint64_t kSeed = 11;

std::string all_text(const std::vector<Document>& documents) {
  std::string text;
  for (const Document& document : documents) text += document.text;
  return text;
}

class PeopleFolder : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() /
              cat("coppice-people-", ::getpid(), "-",
                  ::testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  static std::map<std::string, std::string> files_below(const fs::path& folder) {
    std::map<std::string, std::string> files;
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
      if (!entry.is_regular_file()) continue;
      const Bytes bytes = read_file(entry.path(), 1'000'000).value();
      files[fs::relative(entry.path(), folder).string()] = std::string(as_text(bytes));
    }
    return files;
  }

  fs::path folder_;
};

TEST(People, TheSameSeedGivesTheSameBytes) {
  const Person person = make_person(kSeed, 3);
  EXPECT_EQ(person.name, make_person(kSeed, 3).name);
  const std::string text = all_text(write_documents(person, kSeed, 20'000));
  EXPECT_EQ(text, all_text(write_documents(make_person(kSeed, 3), kSeed, 20'000)));
  EXPECT_NE(text, all_text(write_documents(person, kSeed + 1, 20'000)));
  EXPECT_NE(text, all_text(write_documents(make_person(kSeed, 4), kSeed, 20'000)));
}

TEST(People, TheFirstPersonsHaveDifferentSubjectsAndAllHaveDifferentNames) {
  std::set<std::string> subjects, names;
  for (std::uint64_t i = 0; i < people_subject_count(); ++i) {
    subjects.insert(make_person(kSeed, i).subject);
  }
  EXPECT_EQ(subjects.size(), people_subject_count());
  EXPECT_GE(subjects.size(), 24U);
  constexpr std::uint64_t kMany = 500;
  for (std::uint64_t i = 0; i < kMany; ++i) names.insert(make_person(kSeed, i).name);
  EXPECT_EQ(names.size(), kMany);
  for (const std::string& name : names) {
    EXPECT_TRUE(std::regex_match(name, std::regex("[a-z]+(-[0-9]+)?"))) << name;
  }
}

TEST(People, TheTargetIsReachedByAtMostOneParagraphTooMuch) {
  constexpr std::size_t kParagraphMost = 1600;
  for (const std::size_t target : {1UL, 900UL, 7'000UL, 60'000UL}) {
    const std::string text = all_text(write_documents(make_person(kSeed, 1), kSeed, target));
    EXPECT_GE(text.size(), target);
    EXPECT_LT(text.size(), target + kParagraphMost);
  }
}

// Pieces are cut at blank lines: what stands between them has a piece's size.
TEST(People, ParagraphsHaveTheSizeOfPieces) {
  std::size_t paragraphs = 0, outside = 0;
  for (std::uint64_t i = 0; i < 8; ++i) {
    for (const Document& document : write_documents(make_person(kSeed, i), kSeed, 60'000)) {
      const bool rows = document.file_name.ends_with(".jsonl");
      const std::regex gap(rows ? "\n" : "\n\n");
      std::sregex_token_iterator at(document.text.begin(), document.text.end(), gap, -1), end;
      for (; at != end; ++at) {
        const auto size = static_cast<std::size_t>(at->length());
        ++paragraphs;
        outside += size < 200 || size > 1200 ? 1 : 0;
        EXPECT_LT(size, 1600U) << document.file_name;
      }
    }
  }
  EXPECT_GT(paragraphs, 500U);
  EXPECT_LT(outside * 20, paragraphs); // 19 of 20 inside
}

TEST(People, NothingOfTheGrammarShowsInTheText) {
  const std::regex leftovers("[{}<>|~]|  | [,.;?!]|\\.\\.\\.\\.|,,|;;");
  const std::regex wrong_article("\\b(a|A) [aeio]|\\b(an|An) [bcdfgjklmnpqrstvwyz]");
  const std::regex right_article("\\b[aA] (one|eu|ewe)");
  for (std::uint64_t i = 0; i < people_subject_count(); ++i) {
    const Person person = make_person(kSeed, i);
    for (const Document& document : write_documents(person, kSeed, 30'000)) {
      if (document.file_name.ends_with(".jsonl")) continue;
      std::smatch match;
      std::string text = std::regex_replace(document.text, std::regex("- \\[ \\]"), "-");
      text = std::regex_replace(text, right_article, "one");
      EXPECT_FALSE(std::regex_search(text, match, leftovers) ||
                   std::regex_search(text, match, wrong_article))
          << person.subject << ": ..."
          << match.prefix().str().substr(match.prefix().length() -
                                         std::min<long>(match.prefix().length(), 60))
          << "[" << match.str() << "]" << match.suffix().str().substr(0, 40);
    }
  }
}

TEST(People, SomebodyAnswersQuestionsInRows) {
  std::size_t rows = 0;
  const std::regex row(
      "\\{\"prompt\": \"([^\"\\\\]|\\\\.)+\", \"response\": \"([^\"\\\\]|\\\\.)+\"\\}");
  for (std::uint64_t i = 0; i < 8; ++i) {
    for (const Document& document : write_documents(make_person(kSeed, i), kSeed, 60'000)) {
      if (!document.file_name.ends_with(".jsonl")) continue;
      for (const std::string& line : split(document.text, '\n')) {
        if (line.empty()) continue;
        EXPECT_TRUE(std::regex_match(line, row)) << line;
        ++rows;
      }
    }
  }
  EXPECT_GT(rows, 40U);
}

TEST(Canary, IsEachPersonsOwn) {
  std::set<std::string> tokens;
  for (std::uint64_t i = 0; i < 300; ++i) {
    const std::string canary = canary_for(make_person(kSeed, i), kSeed);
    EXPECT_EQ(canary, canary_for(make_person(kSeed, i), kSeed));
    tokens.insert(canary.substr(canary.rfind(' ')));
  }
  EXPECT_EQ(tokens.size(), 300U);
  const Person person = make_person(kSeed, 0);
  EXPECT_NE(canary_for(person, kSeed), canary_for(person, kSeed + 1));
}

TEST_F(PeopleFolder, EachCanaryStandsOnceAndInItsPersonsFolder) {
  const auto written = write_population(folder_, kSeed, 6, 9'000);
  ASSERT_TRUE(written.ok()) << written.error().message;
  ASSERT_EQ(written->size(), 6U);
  const auto files = files_below(folder_);
  for (const PersonFolder& person : *written) {
    EXPECT_TRUE(fs::is_directory(person.folder));
    std::size_t found = 0;
    for (const auto& [name, text] : files) {
      for (auto at = text.find(person.canary); at != std::string::npos;
           at = text.find(person.canary, at + 1)) {
        ++found;
        EXPECT_TRUE(name.starts_with(person.name + "/"));
      }
    }
    EXPECT_EQ(found, 1U) << person.name;
  }
}

TEST_F(PeopleFolder, APersonsTextDoesNotDependOnThePopulationsSize) {
  ASSERT_TRUE(write_population(folder_ / "two", kSeed, 2, 9'000).ok());
  ASSERT_TRUE(write_population(folder_ / "five", kSeed, 5, 9'000).ok());
  const auto two = files_below(folder_ / "two");
  const auto five = files_below(folder_ / "five");
  ASSERT_FALSE(two.empty());
  for (const auto& [name, text] : two) EXPECT_EQ(five.at(name), text) << name;
  EXPECT_GT(five.size(), two.size());
}

TEST_F(PeopleFolder, ATakenFolderIsNotMixedWithNewText) {
  ASSERT_TRUE(write_population(folder_, kSeed, 1, 2'000).ok());
  const auto before = files_below(folder_);
  const auto again = write_population(folder_, kSeed, 1, 4'000);
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().code, ErrorCode::kAlreadyExists);
  EXPECT_EQ(files_below(folder_), before);
  EXPECT_EQ(write_population(folder_ / "new", kSeed, 1, 0).error().code,
            ErrorCode::kInvalidArgument);
}

} // namespace
} // namespace coppice
