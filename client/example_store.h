// SPDX-License-Identifier: Apache-2.0
// A device's own text: a folder of .txt, .md and .jsonl files, cut into pieces and split three
// ways.
//
// Text files are cut at blank lines into pieces of about 1 kB; a .jsonl row (`text`;
// `prompt`/`response`; `instruction`/`input`/`output`) is a piece of its own, with loss on
// responses only. The SHA-256 of a piece puts it into train (80 %), gate (10 %) or report (10 %),
// so it stays put when files are added. The folder is read anew each time: deleted text never
// enters later training. Nothing here can be serialized: text has no path off the device.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/ids.h"
#include "formats/json.h"
#include "model/text_windows.h"

namespace coppice {

enum class Split : std::uint8_t { kTrain, kGate, kReport };

struct Piece {
  std::string text;     // plain text, or the prompt of an instruction row
  std::string response; // empty for plain text
  bool instruction = false;
  Split split = Split::kTrain;
  std::vector<std::string> choices = {}; // of an instruction row that has some
  std::size_t right_choice = 0;          // of them
};

// 80/10/10 by the piece's hash.
Split split_of(const Piece& piece);
// Cuts at blank lines; paragraphs are joined up to about 1 kB, never split.
std::vector<std::string> cut_text(std::string_view text);
// One row of a .jsonl file. kCorrupt if it is no object; kInvalidArgument without known fields.
Result<Piece> parse_row(std::string_view line);
Result<Piece> piece_of_row(const Json& row); // the same of a row that was parsed already
// What one file of a folder gives: `name` says by its ending which kind it is; none of another
// kind. Rows that couldn't be read are named in `skipped`, which may be null.
std::vector<Piece> pieces_of_file(const fs::path& name, std::string_view text,
                                  std::vector<std::string>* skipped);

struct ExampleStoreLimits {
  std::uint64_t max_file_bytes = std::uint64_t{64} << 20U;
  std::uint64_t max_total_bytes = std::uint64_t{1} << 30U;
};

// The tokenized pieces of a folder.
struct ExampleSet {
  std::vector<TokenizedDocument> train;
  std::vector<TokenizedDocument> gate;
  std::vector<TokenizedDocument> report;
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
  std::vector<std::string> skipped; // files and rows that couldn't be read, with the reason
};

// Reads every file below `folder` (or `folder` itself, if it is a file) in order of its path.
// Links, files over the limit and other types are skipped and named. kNotFound if the folder isn't
// there.
Result<std::vector<Piece>> read_pieces(const fs::path& folder, const ExampleStoreLimits& limits,
                                       std::vector<std::string>* skipped);
// Each piece a document, in the order given, up to where `*stop` becomes true (null: all).
ExampleSet tokenize_pieces(std::span<const Piece> pieces, const BaseModel& base,
                           const std::atomic<bool>* stop = nullptr);
// kCancelled once `*stop` is true.
Result<ExampleSet> load_examples(const fs::path& folder, const BaseModel& base,
                                 const ExampleStoreLimits& limits = {},
                                 const std::atomic<bool>* stop = nullptr);

// Nats and tokens of documents under adapters, in windows of the base's context.
struct TextScore {
  Score score;
  std::uint64_t bytes = 0;
};
Result<TextScore> score_documents(Engine& engine, std::span<const AdapterUse> adapters,
                                  std::span<const TokenizedDocument> documents);

} // namespace coppice
