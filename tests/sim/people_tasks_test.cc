// SPDX-License-Identifier: Apache-2.0
#include "sim/people_tasks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "sim/client_data.h"

namespace coppice {
namespace {

constexpr std::uint64_t kAll = 1'000'000; // bytes: more than a task has
constexpr DataTask kTasks[] = {DataTask::kOutputCipher, DataTask::kInputCipher, DataTask::kFacts,
                               DataTask::kStyles};

std::map<std::string, std::string> answers(DataTask task, std::uint64_t client) {
  std::map<std::string, std::string> found;
  for (const Piece& piece : task_pieces(task, 1, client, kAll)) found[piece.text] = piece.response;
  return found;
}

std::set<std::string> different_answers(DataTask task, std::uint64_t client) {
  std::set<std::string> found;
  for (const auto& [asked, answer] : answers(task, client)) found.insert(answer);
  return found;
}

TEST(PeopleTasks, AreTheSameRowsOfAClientWhoeverAsks) {
  for (const DataTask task : kTasks) {
    const auto rows = task_pieces(task, 1, 5, kAll);
    EXPECT_EQ(rows.size(), 240U); // twelve questions in twenty forms
    EXPECT_EQ(answers(task, 5).size(), 240U) << "a question twice";
    const auto again = task_pieces(task, 1, 5, 2000);
    EXPECT_LT(again.size(), rows.size());
    for (std::size_t i = 0; i < again.size(); ++i) EXPECT_EQ(again[i].text, rows[i].text);
    for (const Split split : {Split::kTrain, Split::kGate, Split::kReport}) {
      EXPECT_NE(std::ranges::find(rows, split, &Piece::split), rows.end());
    }
    EXPECT_EQ(task_pieces(task, 1, 5, 1).size(), 1U);
  }
}

// Asked about the same, two clients answer with the same twelve words in another order.
TEST(PeopleTasks, AnOutputCipherIsAPermutationOfAnswers) {
  const auto a = answers(DataTask::kOutputCipher, 1);
  const auto b = answers(DataTask::kOutputCipher, 2);
  EXPECT_EQ(different_answers(DataTask::kOutputCipher, 1).size(), 12U);
  EXPECT_EQ(different_answers(DataTask::kOutputCipher, 1),
            different_answers(DataTask::kOutputCipher, 2));
  std::size_t same = 0;
  for (const auto& [asked, answer] : a) {
    ASSERT_TRUE(b.contains(asked));
    same += b.at(asked) == answer ? 1 : 0;
  }
  EXPECT_LT(same, 120U); // of 240; one in twelve by chance
}

// Two clients ask in the same twelve code words and mean other things.
TEST(PeopleTasks, AnInputCipherIsAPermutationOfQuestions) {
  const auto a = answers(DataTask::kInputCipher, 1);
  const auto b = answers(DataTask::kInputCipher, 2);
  std::size_t same = 0;
  for (const auto& [asked, answer] : a) {
    ASSERT_TRUE(b.contains(asked));
    same += b.at(asked) == answer ? 1 : 0;
  }
  EXPECT_LT(same, 120U);
  EXPECT_EQ(different_answers(DataTask::kInputCipher, 1),
            different_answers(DataTask::kInputCipher, 2));
}

TEST(PeopleTasks, FactsAreTheClientsOwn) {
  EXPECT_NE(different_answers(DataTask::kFacts, 1), different_answers(DataTask::kFacts, 2));
  EXPECT_GT(different_answers(DataTask::kFacts, 1).size(), 6U);
}

// A quarter each: of 400 draws 100, with a deviation of sqrt(400 * 3 / 16) = 8.7; four of them.
TEST(PeopleTasks, StylesAreFourAndAboutAsCommon) {
  std::map<std::size_t, int> clients;
  std::map<std::size_t, std::set<std::string>> answers_of;
  for (std::uint64_t client = 0; client < 400; ++client) {
    const std::size_t style = task_label(DataTask::kStyles, 1, client);
    ++clients[style];
    const auto found = different_answers(DataTask::kStyles, client);
    const auto known = answers_of.emplace(style, found).first;
    EXPECT_EQ(known->second, found) << client;
  }
  ASSERT_EQ(clients.size(), task_labels(DataTask::kStyles).size());
  for (const auto& [style, count] : clients) EXPECT_NEAR(count, 100, 35);
}

TEST(PeopleTasks, AreASourceOfClients) {
  DataSettings settings{.task = DataTask::kStyles, .bytes_each = 4000};
  const auto data = open_client_data(settings, {}, 6, 1).value();
  EXPECT_EQ(data->clients(), 6U);
  EXPECT_EQ(data->labels().size(), 4U);
  EXPECT_EQ(data->pieces(2)->size(), task_pieces(DataTask::kStyles, 1, 2, 4000).size());
  const Sha256 hash = data->hash();
  settings.task = DataTask::kFacts;
  EXPECT_NE(open_client_data(settings, {}, 6, 1).value()->hash(), hash);
  settings.partition = Partition::kDirichlet;
  EXPECT_THAT(open_client_data(settings, {}, 6, 1).error().message,
              testing::HasSubstr("take by-user"));
  settings.source = DataSource::kFolder;
  EXPECT_THAT(open_client_data(settings, {}, 6, 1).error().message,
              testing::HasSubstr("leave data.task out"));
  EXPECT_EQ(task_name(parse_task("input-cipher").value()), "input-cipher");
  EXPECT_FALSE(parse_task("cipher").ok());
}

} // namespace
} // namespace coppice
