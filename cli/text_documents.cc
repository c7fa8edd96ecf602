// SPDX-License-Identifier: Apache-2.0
#include "cli/text_documents.h"

#include <algorithm>

#include "base/text.h"
#include "cli/interrupt.h"
#include "cli/progress.h"

namespace coppice {
namespace {

constexpr std::size_t kMaxFileBytes = std::size_t{1} << 30U;
constexpr std::size_t kWindowsAtOnce = 8; // between two looks at Ctrl-C
constexpr std::size_t kAnswersAtOnce = 8;

bool readable(const fs::path& path) {
  const fs::path kind = path.extension();
  return kind == ".txt" || kind == ".md" || kind == ".jsonl";
}

void add_rows(std::string_view text, const std::string& name, const BaseModel& base,
              TextDocuments& into) {
  std::size_t number = 0;
  for (const std::string& line : split(text, '\n')) {
    ++number;
    if (trim(line).empty()) continue;
    auto row = parse_row(line);
    if (!row) {
      into.skipped.push_back(cat(name, ":", number, ": ", row.error().message));
      continue;
    }
    into.documents.push_back(row->instruction ? tokenize_instruction(base, row->text, row->response)
                                              : tokenize_text(base.tokenizer(), row->text));
    if (row->instruction) into.rows.push_back(std::move(*row));
  }
}

Result<void> add_file(const fs::path& path, const BaseModel& base, TextDocuments& into) {
  const Bytes raw = COPPICE_TRY(read_file(path, kMaxFileBytes));
  if (path.extension() == ".jsonl") {
    add_rows(as_text(raw), path.string(), base, into);
  } else if (!raw.empty()) {
    into.documents.push_back(tokenize_text(base.tokenizer(), as_text(raw)));
  }
  return {};
}

} // namespace

Result<TextDocuments> read_documents(const fs::path& path, const BaseModel& base) {
  TextDocuments text;
  std::error_code code;
  if (!fs::is_directory(path, code)) {
    COPPICE_TRY(add_file(path, base, text));
  } else {
    std::vector<fs::path> files;
    auto entries = fs::recursive_directory_iterator(path, code);
    for (; !code && entries != fs::recursive_directory_iterator(); entries.increment(code)) {
      if (!entries->is_regular_file()) continue;
      if (readable(entries->path())) {
        files.push_back(entries->path());
      } else {
        text.skipped.push_back(cat(entries->path().string(), ": not .txt, .md or .jsonl"));
      }
    }
    if (code) {
      return Error{ErrorCode::kIo, cat("can't list ", path.string(), ": ", code.message())};
    }
    std::ranges::sort(files);
    for (const fs::path& file : files) COPPICE_TRY(add_file(file, base, text));
  }
  for (const TokenizedDocument& document : text.documents) text.bytes += document.bytes;
  if (text.bytes == 0) {
    return Error{ErrorCode::kInvalidArgument,
                 cat("there is no text in ", path.string(),
                     ": name a file, or a folder with .txt, .md or .jsonl files")};
  }
  return text;
}

Result<TextScore> score_with_progress(Console& console, Engine& engine,
                                      std::span<const AdapterUse> adapters,
                                      const TextDocuments& text, const std::string& label) {
  std::vector<Sequence> windows;
  std::uint64_t tokens = 0;
  for (const TokenizedDocument& document : text.documents) {
    for (Sequence& window : scoring_windows(document, engine.base().config().context)) {
      tokens += window.tokens.size();
      windows.push_back(std::move(window));
    }
  }
  const SystemClock clock;
  Progress progress(console, {label, "tokens"}, tokens, clock);
  TextScore total{.score = {}, .bytes = text.bytes};
  std::uint64_t done = 0;
  for (std::size_t at = 0; at < windows.size(); at += kWindowsAtOnce) {
    if (interrupted()) return Error{ErrorCode::kCancelled, "scoring was stopped"};
    const std::span<const Sequence> some =
        std::span(windows).subspan(at, std::min(kWindowsAtOnce, windows.size() - at));
    for (const Score& score : COPPICE_TRY(engine.score(adapters, some))) {
      total.score += score;
    }
    for (const Sequence& window : some) done += window.tokens.size();
    progress.update(done);
  }
  if (total.score.tokens == 0) {
    return Error{ErrorCode::kInvalidArgument, "the text is too short to score: one token or less"};
  }
  return total;
}

std::vector<Question> questions_of(const TextDocuments& text, std::size_t most,
                                   const BaseModel& base) {
  std::vector<Question> questions;
  const std::size_t rows = text.rows.size();
  const std::size_t count = std::min(most, rows);
  for (std::size_t i = 0; i < count; ++i) {
    auto question = question_of(text.rows[i * rows / count], base);
    if (question) questions.push_back(std::move(*question));
  }
  return questions;
}

Result<AnswerScore> answer_with_progress(Console& console, Engine& engine,
                                         std::span<const AdapterUse> adapters,
                                         std::span<const Question> questions,
                                         const std::string& label) {
  const SystemClock clock;
  Progress progress(console, {label, "answers"}, questions.size(), clock);
  AnswerScore total;
  for (std::size_t at = 0; at < questions.size(); at += kAnswersAtOnce) {
    if (interrupted()) return Error{ErrorCode::kCancelled, "answering was stopped"};
    total += COPPICE_TRY(score_answers(
        engine, adapters, questions.subspan(at, std::min(kAnswersAtOnce, questions.size() - at))));
    progress.update(total.answers);
  }
  return total;
}

double nats_per_token(const Score& score) {
  return score.tokens == 0 ? 0.0 : score.nats / static_cast<double>(score.tokens);
}

double token_accuracy(const Score& score) {
  const auto correct = static_cast<double>(score.correct);
  return score.tokens == 0 ? 0.0 : correct / static_cast<double>(score.tokens);
}

} // namespace coppice
