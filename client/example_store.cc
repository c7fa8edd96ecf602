// SPDX-License-Identifier: Apache-2.0
#include "client/example_store.h"

#include <algorithm>
#include <array>

#include "base/append.h"
#include "base/text.h"
#include "client/row_choices.h"
#include "crypto/hash.h"

namespace coppice {
namespace {

constexpr std::size_t kPieceBytes = 1000; // paragraphs are joined up to about this
constexpr std::size_t kMaxRowBytes = std::size_t{1} << 20U;

bool holds_rows(const fs::path& path) { return path.extension() == ".jsonl"; }

bool holds_text(const fs::path& path) {
  const std::string extension = path.extension().string();
  return extension == ".txt" || extension == ".md";
}

// Paragraphs: runs of lines between blank ones, without their surrounding blank lines.
std::vector<std::string> paragraphs(std::string_view text) {
  std::vector<std::string> found;
  std::string present;
  for (const std::string& line : split(text, '\n')) {
    if (!trim(line).empty()) {
      present += line;
      present += '\n';
    } else if (!present.empty()) {
      found.push_back(std::exchange(present, {}));
    }
  }
  if (!present.empty()) found.push_back(std::move(present));
  return found;
}

Result<std::string> optional_field(const Json& row, const char* key) {
  if (!row.contains(key)) return std::string();
  return json_string(row, key);
}

// Every entry that is no folder, links too: the caller says which are read.
Result<std::vector<fs::path>> list_files(const fs::path& folder) {
  std::error_code code;
  if (fs::is_regular_file(folder, code)) return std::vector<fs::path>{folder};
  if (!fs::is_directory(folder, code)) {
    return Error{ErrorCode::kNotFound,
                 cat("there is no file or folder ", folder.string(), " to read text from")};
  }
  std::vector<fs::path> files;
  auto entries = fs::recursive_directory_iterator(folder, code);
  for (; !code && entries != fs::recursive_directory_iterator(); entries.increment(code)) {
    std::error_code ignored; // what can't be looked at can't be read either, and is named then
    if (entries->is_symlink(ignored) || !entries->is_directory(ignored)) {
      files.push_back(entries->path());
    }
  }
  if (code) {
    return Error{ErrorCode::kIo, cat("can't list ", folder.string(), ": ", code.message())};
  }
  std::ranges::sort(files);
  return files;
}

} // namespace

Split split_of(const Piece& piece) {
  Sha256Hasher hasher;
  hasher.update(as_bytes(piece.text));
  hasher.update(as_bytes(std::string_view("\0", 1)));
  hasher.update(as_bytes(piece.response));
  const Sha256 hash = hasher.finish();
  std::uint64_t number = 0;
  std::memcpy(&number, hash.bytes.data(), sizeof(number));
  const std::uint64_t tenth = number % 10;
  if (tenth == 8) return Split::kGate;
  return tenth == 9 ? Split::kReport : Split::kTrain;
}

std::vector<std::string> cut_text(std::string_view text) {
  std::vector<std::string> pieces;
  std::string present;
  for (const std::string& paragraph : paragraphs(text)) {
    if (!present.empty() && present.size() + paragraph.size() > kPieceBytes) {
      pieces.push_back(std::exchange(present, {}));
    }
    if (!present.empty()) present += '\n';
    present += paragraph;
  }
  if (!present.empty()) pieces.push_back(std::move(present));
  return pieces;
}

Result<Piece> parse_row(std::string_view line) {
  if (line.size() > kMaxRowBytes) {
    return Error{ErrorCode::kTooLarge,
                 cat("a row has ", line.size(), " bytes, at most ", kMaxRowBytes)};
  }
  return piece_of_row(COPPICE_TRY(parse_json(line)));
}

Result<Piece> piece_of_row(const Json& row) {
  if (!row.is_object()) return Error{ErrorCode::kCorrupt, "a row must be a JSON object"};
  Piece piece;
  if (row.contains("text")) {
    piece.text = COPPICE_TRY(json_string(row, "text"));
  } else if (row.contains("prompt") && row.contains("response")) {
    piece.text = COPPICE_TRY(json_string(row, "prompt"));
    piece.response = COPPICE_TRY(json_string(row, "response"));
    piece.instruction = true;
  } else if (row.contains("instruction") && row.contains("output")) {
    piece.text = COPPICE_TRY(json_string(row, "instruction"));
    const std::string input = COPPICE_TRY(optional_field(row, "input"));
    if (!input.empty()) piece.text += "\n\n" + input;
    piece.response = COPPICE_TRY(json_string(row, "output"));
    piece.instruction = true;
  } else {
    return Error{ErrorCode::kInvalidArgument,
                 "a row needs 'text', 'prompt' and 'response', or 'instruction' and 'output'"};
  }
  if (piece.instruction) read_choices(row, piece);
  piece.split = split_of(piece);
  return piece;
}

std::vector<Piece> pieces_of_file(const fs::path& name, std::string_view text,
                                  std::vector<std::string>* skipped) {
  std::vector<Piece> pieces;
  if (holds_text(name)) {
    for (std::string& part : cut_text(text)) {
      Piece piece{.text = std::move(part), .response = {}};
      piece.split = split_of(piece);
      pieces.push_back(std::move(piece));
    }
  } else if (holds_rows(name)) {
    std::size_t number = 0;
    for (const std::string& line : split(text, '\n')) {
      ++number;
      if (trim(line).empty()) continue;
      auto piece = parse_row(line);
      if (piece.ok()) {
        pieces.push_back(std::move(piece).value());
      } else if (skipped != nullptr) {
        skipped->push_back(cat(name.filename().string(), ":", number, ": ", piece.error().message));
      }
    }
  }
  return pieces;
}

Result<std::vector<Piece>> read_pieces(const fs::path& folder, const ExampleStoreLimits& limits,
                                       std::vector<std::string>* skipped) {
  std::vector<Piece> pieces;
  std::uint64_t total = 0;
  const auto skip = [&](const fs::path& path, std::string_view why) {
    if (skipped != nullptr) skipped->push_back(cat(path.filename().string(), ": ", why));
  };
  for (const fs::path& path : COPPICE_TRY(list_files(folder))) {
    std::error_code code;
    if (!fs::is_regular_file(fs::symlink_status(path, code))) {
      skip(path, "a link, or no plain file");
      continue;
    }
    if (!holds_rows(path) && !holds_text(path)) {
      skip(path, "not .txt, .md or .jsonl");
      continue;
    }
    auto raw = read_file(path, limits.max_file_bytes);
    if (!raw.ok()) {
      skip(path, raw.error().message);
      continue;
    }
    total += raw->size();
    if (total > limits.max_total_bytes) {
      skip(path, "over the limit of all files together");
      break;
    }
    append(pieces, pieces_of_file(path, as_text(*raw), skipped));
  }
  return pieces;
}

ExampleSet tokenize_pieces(std::span<const Piece> pieces, const BaseModel& base,
                           const std::atomic<bool>* stop) {
  ExampleSet set;
  for (const Piece& piece : pieces) {
    if (stop != nullptr && stop->load()) break;
    TokenizedDocument document = piece.instruction
                                     ? tokenize_instruction(base, piece.text, piece.response)
                                     : tokenize_text(base.tokenizer(), piece.text);
    set.bytes += document.bytes;
    switch (piece.split) {
      case Split::kTrain: set.train.push_back(std::move(document)); break;
      case Split::kGate: set.gate.push_back(std::move(document)); break;
      case Split::kReport: set.report.push_back(std::move(document)); break;
    }
  }
  return set;
}

Result<ExampleSet> load_examples(const fs::path& folder, const BaseModel& base,
                                 const ExampleStoreLimits& limits, const std::atomic<bool>* stop) {
  std::vector<std::string> skipped;
  ExampleSet set = tokenize_pieces(COPPICE_TRY(read_pieces(folder, limits, &skipped)), base, stop);
  if (stop != nullptr && stop->load()) return stopped_error();
  set.skipped = std::move(skipped);
  return set;
}

Result<TextScore> score_documents(Engine& engine, std::span<const AdapterUse> adapters,
                                  std::span<const TokenizedDocument> documents) {
  TextScore total;
  for (const TokenizedDocument& document : documents) total.bytes += document.bytes;
  const auto windows = scoring_windows(documents, engine.base().config().context);
  const auto scores = COPPICE_TRY(engine.score(adapters, windows));
  for (const Score& score : scores) {
    total.score += score;
  }
  return total;
}

} // namespace coppice
