// SPDX-License-Identifier: Apache-2.0
#include "client/answers.h"

#include <algorithm>

#include "client/answer_measures.h"
#include "model/chat_template.h"

namespace coppice {
namespace {

std::optional<double> share(double part, std::uint64_t whole) {
  if (whole == 0) return std::nullopt;
  return part / static_cast<double>(whole);
}

Result<AnswerScore> choose(Engine& engine, std::span<const AdapterUse> adapters,
                           const Question& question) {
  std::size_t best = 0;
  std::size_t best_by_byte = 0;
  std::vector<double> nats;
  std::vector<double> nats_of_byte;
  for (const TokenizedDocument& choice : question.choices) {
    const TextScore scored = COPPICE_TRY(score_documents(engine, adapters, {&choice, 1}));
    nats.push_back(scored.score.nats);
    nats_of_byte.push_back(scored.score.nats / static_cast<double>(scored.bytes));
    if (nats.back() < nats[best]) best = nats.size() - 1;
    if (nats_of_byte.back() < nats_of_byte[best_by_byte]) best_by_byte = nats.size() - 1;
  }
  AnswerScore score;
  score.choices = 1;
  score.chosen = best == question.right_choice ? 1 : 0;
  score.chosen_bytes = best_by_byte == question.right_choice ? 1 : 0;
  return score;
}

} // namespace

std::optional<Question> question_of(const Piece& piece, const BaseModel& base) {
  if (!piece.instruction || piece.response.empty()) return std::nullopt;
  ChatTokens chat =
      tokenize_chat(base.tokenizer(), detect_chat_family(base), piece.text, piece.response);
  if (chat.prompt.empty() || chat.prompt.size() + chat.response.size() > base.config().context) {
    return std::nullopt;
  }
  Question question{.prompt = std::move(chat.prompt),
                    .expected = piece.response,
                    .choices = {},
                    .right_choice = piece.right_choice};
  for (const std::string& choice : piece.choices) {
    question.choices.push_back(tokenize_instruction(base, piece.text, choice));
  }
  return question;
}

AnswerScore& AnswerScore::operator+=(const AnswerScore& other) {
  answers += other.answers;
  exact += other.exact;
  rouge_l += other.rouge_l;
  choices += other.choices;
  chosen += other.chosen;
  chosen_bytes += other.chosen_bytes;
  return *this;
}

std::optional<double> AnswerScore::exact_match() const {
  return share(static_cast<double>(exact), answers);
}
std::optional<double> AnswerScore::mean_rouge_l() const { return share(rouge_l, answers); }
std::optional<double> AnswerScore::choice_accuracy() const {
  return share(static_cast<double>(chosen), choices);
}
std::optional<double> AnswerScore::choice_accuracy_by_byte() const {
  return share(static_cast<double>(chosen_bytes), choices);
}

Result<AnswerScore> score_answers(Engine& engine, std::span<const AdapterUse> adapters,
                                  std::span<const Question> questions) {
  AnswerScore total;
  std::vector<GenerateRequest> requests;
  for (const Question& question : questions) {
    if (!question.choices.empty()) total += COPPICE_TRY(choose(engine, adapters, question));
    requests.push_back({.adapters = {adapters.begin(), adapters.end()},
                        .prompt = question.prompt,
                        .max_tokens = kMostAnswerTokens});
  }
  // A session, even for one row: it keeps nothing of the texts before, and gives the same bits
  // however many are written at once.
  const auto written = COPPICE_TRY(
      generate_all(engine, std::move(requests), std::max<std::size_t>(1, questions.size())));
  for (std::size_t i = 0; i < questions.size(); ++i) {
    const std::string text = engine.base().tokenizer().decode(written[i].tokens);
    ++total.answers;
    total.exact += is_same_answer(questions[i].expected, text) ? 1 : 0;
    total.rouge_l += rouge_l(questions[i].expected, text);
  }
  return total;
}

} // namespace coppice
