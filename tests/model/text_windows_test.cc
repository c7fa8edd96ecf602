// SPDX-License-Identifier: Apache-2.0
#include "model/text_windows.h"

#include <cmath>
#include <map>
#include <set>

#include "tests/model/shared_data.h"
#include "tests/model/tiny_model.h"

namespace coppice {
namespace {

// Tokens that tell where they come from: document * 1000 + position.
TokenizedDocument document(int number, std::size_t length, std::size_t prompt = 0) {
  TokenizedDocument made;
  for (std::size_t i = 0; i < length; ++i) {
    made.tokens.push_back(static_cast<TokenId>(1000 * number + static_cast<int>(i)));
    made.targets.push_back(i >= prompt ? 1 : 0);
  }
  made.bytes = length;
  return made;
}

// How often each token is predicted, over sequences that must be well-formed.
std::map<TokenId, int> predicted(std::span<const Sequence> sequences, std::size_t window) {
  std::map<TokenId, int> counts;
  for (const Sequence& sequence : sequences) {
    EXPECT_LE(sequence.tokens.size(), window);
    EXPECT_EQ(sequence.tokens.size(), sequence.targets.size());
    EXPECT_EQ(sequence.targets[0], 0);
    for (std::size_t i = 1; i < sequence.tokens.size(); ++i) {
      EXPECT_EQ(sequence.tokens[i], sequence.tokens[i - 1] + 1) << "a window left its document";
      if (sequence.targets[i] != 0) ++counts[sequence.tokens[i]];
    }
  }
  return counts;
}

TEST(ScoringWindows, PredictEveryTokenButTheFirstExactlyOnce) {
  for (std::size_t length = 0; length < 40; ++length) {
    for (const std::size_t window : {2U, 3U, 7U, 8U, 64U}) {
      const auto windows = scoring_windows(document(0, length), window);
      const auto counts = predicted(windows, window);
      EXPECT_EQ(counts.size(), length == 0 ? 0 : length - 1);
      EXPECT_FALSE(counts.contains(0));
      for (const auto& [token, times] : counts) EXPECT_EQ(times, 1) << token;
    }
  }
}

TEST(ScoringWindows, LeaveOutWhatHasNothingToPredict) {
  // 20 tokens, loss on the last five: windows of 8 cover 0..7, 7..14, 14..19.
  const auto windows = scoring_windows(document(0, 20, 15), 8);
  ASSERT_EQ(windows.size(), 1U);
  EXPECT_EQ(predicted(windows, 8).size(), 5U);
}

std::vector<TokenizedDocument> documents() {
  return {document(1, 30), document(2, 3), document(3, 17), document(4, 8), document(5, 1)};
}

std::vector<Sequence> epoch(BatchStream& stream, std::size_t batch_tokens) {
  std::vector<Sequence> sequences;
  std::uint64_t tokens = 0;
  while (tokens < stream.tokens()) {
    const Batch batch = stream.next();
    EXPECT_EQ(batch.learning_rate_factor, 1.0F);
    std::size_t size = 0;
    for (const Sequence& sequence : batch.sequences) {
      size += sequence.tokens.size();
      for (const auto target : sequence.targets) tokens += target;
      sequences.push_back(sequence);
    }
    EXPECT_TRUE(size <= batch_tokens || batch.sequences.size() == 1);
  }
  EXPECT_EQ(tokens, stream.tokens());
  return sequences;
}

TEST(BatchStream, VisitsEveryWindowOnceAnEpochAndNeverMixesDocuments) {
  BatchStream stream(documents(), 8, 20, {.experiment = 3});
  EXPECT_EQ(stream.tokens(), 29U + 2 + 16 + 7);
  std::vector<std::vector<TokenId>> orders;
  for (int round = 0; round < 3; ++round) {
    const auto sequences = epoch(stream, 20);
    const auto counts = predicted(sequences, 8);
    EXPECT_EQ(counts.size(), stream.tokens());
    for (const auto& [token, times] : counts) EXPECT_EQ(times, 1) << token;
    orders.emplace_back();
    for (const Sequence& sequence : sequences) orders.back().push_back(sequence.tokens[0]);
  }
  EXPECT_NE(orders[0], orders[1]); // ten windows in the same order by chance: 1 in 10!
  EXPECT_NE(orders[1], orders[2]);
}

TEST(BatchStream, GivesTheSameBatchesForTheSameKeyOnly) {
  const auto first_tokens = [](std::uint64_t seed) {
    BatchStream stream(documents(), 8, 20,
                       {.experiment = seed, .purpose = RandomPurpose::kBatchOrder});
    std::vector<TokenId> tokens;
    for (int i = 0; i < 12; ++i) {
      for (const Sequence& sequence : stream.next().sequences) tokens.push_back(sequence.tokens[0]);
    }
    return tokens;
  };
  EXPECT_EQ(first_tokens(1), first_tokens(1));
  EXPECT_NE(first_tokens(1), first_tokens(2));
}

TEST(BatchStream, WithoutAnythingToPredictIsEmpty) {
  const std::vector<TokenizedDocument> documents{document(1, 1), document(2, 4, 4)};
  BatchStream stream(documents, 8, 20, {});
  EXPECT_TRUE(stream.empty());
  EXPECT_TRUE(stream.next().sequences.empty());
  EXPECT_EQ(stream.tokens(), 0U);
}

TEST(BatchStream, TakesAWindowThatIsLongerThanABatchByItself) {
  const std::vector<TokenizedDocument> documents{document(1, 16)};
  BatchStream stream(documents, 8, 4, {});
  EXPECT_EQ(stream.next().sequences.size(), 1U);
}

TEST(BitsPerByte, IsNatsOverLn2OverAllBytes) {
  EXPECT_DOUBLE_EQ(bits_per_byte({.nats = 8 * std::log(2.0), .tokens = 3}, 4), 2.0);
  EXPECT_EQ(bits_per_byte({}, 0), 0.0);
}

TEST(Documents, OfPlainTextPredictAllTokensAndOfInstructionsTheResponse) {
  const TestFolder folder;
  const auto base = TinyModel::make().open(folder.path()).value();
  const auto text = tokenize_text(base->tokenizer(), "hello hello");
  EXPECT_EQ(text.tokens.size(), 2U); // the file asks for no BOS
  EXPECT_EQ(text.targets, (std::vector<std::uint8_t>{1, 1}));
  EXPECT_EQ(text.bytes, 11U);

  const auto row = tokenize_instruction(*base, "hello", "hell");
  const auto id = [&](const char* token) { return *base->tokenizer().find(token); };
  EXPECT_EQ(row.tokens, (std::vector<TokenId>{id("<|user|>"), id("hello"), id("<|assistant|>"),
                                              id("hell"), id("<|endoftext|>")}));
  EXPECT_EQ(row.targets, (std::vector<std::uint8_t>{0, 0, 0, 1, 1}));
  EXPECT_EQ(row.bytes, 4U);
}

} // namespace
} // namespace coppice
