// SPDX-License-Identifier: Apache-2.0
// What a model answers to instruction rows, and which of a row's choices it finds likeliest.
//
// An answer is written greedily from the row's prompt, in the base's chat format, and compared with
// the response by client/answer_measures.h. A choice is scored as if it were the response: the sum
// of its tokens' log-likelihoods, with the token that ends a response where the format has one; the
// first of equal ones counts. No row depends on the others, nor on what the engine did before.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "client/example_store.h"

namespace coppice {

inline constexpr std::uint32_t kMostAnswerTokens = 128; // written for a row

struct Question {
  std::vector<TokenId> prompt;
  std::string expected;
  std::vector<TokenizedDocument> choices; // may be none
  std::size_t right_choice = 0;
};
// None: plain text, an empty response, or more than the base's context holds.
std::optional<Question> question_of(const Piece& piece, const BaseModel& base);

struct AnswerScore {
  std::uint64_t answers = 0;
  std::uint64_t exact = 0;        // is_same_answer()
  double rouge_l = 0;             // sum over the answers
  std::uint64_t choices = 0;      // questions that have some
  std::uint64_t chosen = 0;       // right by summed log-likelihood
  std::uint64_t chosen_bytes = 0; // right by log-likelihood over the choice's bytes

  AnswerScore& operator+=(const AnswerScore& other);
  // Means; none where there is nothing to take one of.
  std::optional<double> exact_match() const;
  std::optional<double> mean_rouge_l() const;
  std::optional<double> choice_accuracy() const;
  std::optional<double> choice_accuracy_by_byte() const;
};

// Answers are written side by side. The engine's errors.
Result<AnswerScore> score_answers(Engine& engine, std::span<const AdapterUse> adapters,
                                  std::span<const Question> questions);

} // namespace coppice
