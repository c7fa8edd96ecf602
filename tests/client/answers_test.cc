// SPDX-License-Identifier: Apache-2.0
// Rows with choices, and how an engine's likelihoods and texts become figures.
#include "client/answers.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "base/text.h"
#include "client/row_choices.h"

namespace coppice {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

Piece row(const std::string& line) { return parse_row(line).value(); }

TEST(RowChoices, AreMadeFromANumberedPrompt) {
  const Piece piece =
      row(R"({"instruction": "Fog is likeliest around:\n\nAnswer1: a marsh Answer2: a tundra )"
          R"(Answer3: the plains", "input": "", "output": "the correct answer is answer3"})");
  EXPECT_THAT(piece.choices, ElementsAre("a marsh", "a tundra", "the plains"));
  EXPECT_EQ(piece.right_choice, 2U);
}

TEST(RowChoices, AreRead) {
  const Piece numbered =
      row(R"({"prompt": "Say", "response": "a", "choices": ["x", "y"], "answer": 1})");
  EXPECT_THAT(numbered.choices, ElementsAre("x", "y"));
  EXPECT_EQ(numbered.right_choice, 1U);
  EXPECT_EQ(row(R"({"prompt": "Say", "response": "a", "choices": ["x", "y"], "answer": "y"})")
                .right_choice,
            1U);
  EXPECT_EQ(row(R"({"prompt": "Say", "response": "y", "choices": ["x", "y"]})").right_choice, 1U);
}

TEST(RowChoices, ThatDontSayWhichIsRightAreNone) {
  for (const char* line : {
           R"({"prompt": "Say", "response": "z", "choices": ["x", "y"]})",
           R"({"prompt": "Say", "response": "x", "choices": ["x", "y"], "answer": 2})",
           R"({"prompt": "Say", "response": "x", "choices": ["x", "y"], "answer": -1})",
           R"({"prompt": "Say", "response": "x", "choices": ["x", "y"], "answer": null})",
           R"({"prompt": "Say", "response": "x", "choices": ["x"]})",
           R"({"prompt": "Say", "response": "x", "choices": ["x", ""]})",
           R"({"prompt": "Say", "response": "x", "choices": ["x", 3]})",
           R"({"prompt": "Say", "response": "x", "choices": {"text": ["x", "y"]}})",
           R"({"prompt": "Answer1: x Answer2: y", "response": "answer3"})",
           R"({"prompt": "Answer1: x Answer2: y", "response": "answer0"})",
           R"({"prompt": "Answer1: x Answer2: y", "response": "answer99999999999999999999999"})",
           R"({"prompt": "Answer1: x Answer2: y", "response": "2"})",
           R"({"prompt": "Answer1: x Answer2:", "response": "answer1"})",
           R"({"prompt": "Answer2: x Answer3: y", "response": "answer2"})",
       }) {
    EXPECT_THAT(row(line).choices, IsEmpty()) << line;
    EXPECT_TRUE(row(line).instruction) << line;
  }
  std::string many = R"({"prompt": "Say", "response": "c0", "choices": ["c0")";
  for (std::size_t i = 1; i <= kMostChoices; ++i) many += cat(", \"c", i, "\"");
  EXPECT_THAT(row(many + "]}").choices, IsEmpty());
}

// The first predicted token of a sequence costs 10 nats and each other 1, and every text it writes
// is `written`.
class ScriptedEngine final : public Engine {
 public:
  explicit ScriptedEngine(std::shared_ptr<const BaseModel> base) : base_(std::move(base)) {}
  std::string written;

  EngineInfo info() const override { return {"scripted", "cpu", "none"}; }
  const BaseModel& base() const override { return *base_; }
  Result<std::vector<Score>> score(std::span<const AdapterUse>,
                                   std::span<const Sequence> sequences) override {
    std::vector<Score> scores;
    for (const Sequence& sequence : sequences) {
      const auto tokens =
          static_cast<std::uint64_t>(std::ranges::count(sequence.targets, std::uint8_t{1}));
      scores.push_back({.nats = 9.0 + static_cast<double>(tokens), .tokens = tokens});
    }
    return scores;
  }
  Result<GenerateResult> generate(const GenerateRequest& request) override {
    EXPECT_EQ(request.max_tokens, kMostAnswerTokens);
    EXPECT_EQ(request.sampler.temperature, 0.0F);
    GenerateResult result;
    result.tokens = base_->tokenizer().encode(written, {});
    return result;
  }
  Result<std::vector<float>> logits(std::span<const AdapterUse>,
                                    std::span<const TokenId>) override {
    return unsupported();
  }
  Result<std::unique_ptr<TrainSession>> start_training(std::vector<TrainJob>) override {
    return unsupported();
  }
  Result<TrainingPlan> plan_training(const AdapterSpec&, std::size_t, std::size_t) const override {
    return unsupported();
  }
  const std::atomic<bool>* stop_when(const std::atomic<bool>*) override { return nullptr; }

 private:
  static Error unsupported() { return {ErrorCode::kUnsupported, "not asked for here"}; }
  std::shared_ptr<const BaseModel> base_;
};

class AnswersTest : public ::testing::Test {
 protected:
  Question question(const std::string& line) const {
    return question_of(row(line), *base_).value();
  }
  std::shared_ptr<const BaseModel> base_ =
      BaseModel::open(fs::path(COPPICE_SOURCE_DIR) / "assets/coppice-4m.q4_0.gguf").value();
  ScriptedEngine engine_{base_};
};

// In sum the shortest choice is the likeliest; by byte a long one, whose first token weighs little.
TEST_F(AnswersTest, TheLikeliestChoiceCounts) {
  const auto asked = [&](const char* right) {
    const Question one = question(
        cat(R"({"prompt": "Which?", "choices": ["one of the very many that are there", "no", )",
            R"("yes, it is"], "response": ")", right, "\"}"));
    return score_answers(engine_, {}, {&one, 1}).value();
  };
  const AnswerScore in_sum = asked("no");
  EXPECT_EQ(in_sum.choice_accuracy(), 1.0);
  EXPECT_EQ(in_sum.choice_accuracy_by_byte(), 0.0);
  const AnswerScore by_byte = asked("one of the very many that are there");
  EXPECT_EQ(by_byte.choice_accuracy(), 0.0);
  EXPECT_EQ(by_byte.choice_accuracy_by_byte(), 1.0);
  EXPECT_EQ(asked("yes, it is").choice_accuracy(), 0.0);
}

TEST_F(AnswersTest, EqualChoicesGiveTheFirst) {
  const Question first =
      question(R"({"prompt": "Which?", "choices": ["no", "no"], "response": "no", "answer": 0})");
  const Question second =
      question(R"({"prompt": "Which?", "choices": ["no", "no"], "response": "no", "answer": 1})");
  const std::vector<Question> both{first, second};
  EXPECT_EQ(score_answers(engine_, {}, both)->chosen, 1U);
  EXPECT_EQ(score_answers(engine_, {}, {&first, 1})->chosen, 1U);
}

// Of four words expected and four written, two stand in both in order: 2 * 2 / 8.
TEST_F(AnswersTest, AnswersAreComparedWithResponses) {
  engine_.written = " the gunman kill police\n";
  const std::vector<Question> questions{
      question(R"({"prompt": "What?", "response": "police killed the gunman"})"),
      question(R"({"prompt": "And?", "response": "the gunman kill police"})")};
  const AnswerScore score = score_answers(engine_, {}, questions).value();
  EXPECT_EQ(score.answers, 2U);
  EXPECT_EQ(score.exact_match(), 0.5);
  EXPECT_DOUBLE_EQ(score.mean_rouge_l().value(), 0.75);
  EXPECT_FALSE(score.choice_accuracy().has_value());
}

TEST_F(AnswersTest, OnlyRowsThatFitTheContextAreQuestions) {
  EXPECT_FALSE(question_of(row(R"({"text": "plain"})"), *base_));
  EXPECT_FALSE(question_of(row(R"({"prompt": "Say nothing.", "response": ""})"), *base_));
  std::string words;
  for (std::uint32_t i = 0; i < base_->config().context; ++i) words += "word ";
  EXPECT_FALSE(question_of(row(cat(R"({"prompt": ")", words, R"(", "response": "a"})")), *base_));
  EXPECT_FALSE(question_of(row(cat(R"({"prompt": "a", "response": ")", words, R"("})")), *base_));
  EXPECT_FALSE(score_answers(engine_, {}, {})->exact_match().has_value());
}

} // namespace
} // namespace coppice
