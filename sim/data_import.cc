// SPDX-License-Identifier: Apache-2.0
#include "sim/data_import.h"

#include <charconv>

#include "base/atomic_file.h"
#include "base/text.h"
#include "crypto/hash.h"
#include "formats/json.h"
#include "sim/leaf_json.h"
#include "sim/text_pool.h"
#include "sim/text_rows.h"

namespace coppice {
namespace {

// Writes data.jsonl, and says at the end what it wrote.
class SplitWriter {
 public:
  static Result<SplitWriter> create(const fs::path& folder) {
    return SplitWriter(COPPICE_TRY(AtomicFile::create(folder / kSplitRowsFile)));
  }
  Result<void> add(const std::string& user, const std::string& label, const Piece& piece) {
    Json row{{"user", user}};
    if (!label.empty()) row["label"] = label;
    if (piece.instruction) {
      row["prompt"] = piece.text;
      row["response"] = piece.response;
      if (!piece.choices.empty()) {
        row["choices"] = piece.choices;
        row["answer"] = piece.right_choice;
      }
    } else {
      row["text"] = piece.text;
    }
    const std::string line = dump_json(row) + '\n';
    if (line.size() > TextPoolLimits().max_row_bytes) {
      return Error{ErrorCode::kTooLarge,
                   cat("a text of ", user, " makes a row of ", line.size(), " bytes, at most ",
                       TextPoolLimits().max_row_bytes, "; cut it")};
    }
    split_.text_bytes += piece.text.size() + piece.response.size();
    split_.bytes += line.size();
    ++split_.rows;
    hasher_.update(as_bytes(line));
    buffer_ += line;
    return buffer_.size() < kBufferBytes ? Result<void>() : flush();
  }
  Result<ImportedSplit> finish() {
    if (split_.rows == 0) {
      return Error{ErrorCode::kInvalidArgument, "there is no text in the source"};
    }
    COPPICE_TRY(flush());
    COPPICE_TRY(file_.commit());
    split_.sha256 = hasher_.finish();
    return split_;
  }

 private:
  static constexpr std::size_t kBufferBytes = std::size_t{1} << 20U;
  explicit SplitWriter(AtomicFile file) : file_(std::move(file)) {}
  Result<void> flush() {
    COPPICE_TRY(file_.append(as_bytes(buffer_)));
    buffer_.clear();
    return {};
  }
  AtomicFile file_;
  std::string buffer_;
  Sha256Hasher hasher_;
  ImportedSplit split_;
};

Result<ImportedSplit> import_rows(const fs::path& source, const DataSettings& columns,
                                  SplitWriter& writer) {
  DataSettings settings = columns;
  settings.source = source.extension() == ".tsv" ? DataSource::kTsv : DataSource::kJsonl;
  settings.path = source.string();
  const auto pool = COPPICE_TRY(open_text_pool(settings, {}));
  const PieceTable& table = pool->table();
  for (std::uint32_t row = 0; row < table.size(); ++row) {
    const Piece piece = COPPICE_TRY(pool->piece(row));
    COPPICE_TRY(writer.add(table.users[table.user[row]], table.labels[table.label[row]], piece));
  }
  ImportedSplit split = COPPICE_TRY(writer.finish());
  split.users = table.users.size();
  split.source_sha256 = pool->hash();
  return split;
}

Result<LeafColumns> leaf_columns(const DataSettings& columns) {
  LeafColumns leaf;
  const std::string& place = columns.text_column;
  const char* const end = place.data() + place.size();
  if (!place.empty()) {
    const auto read = std::from_chars(place.data(), end, leaf.text_place);
    if (read.ec != std::errc() || read.ptr != end || leaf.text_place < 0) {
      return Error{
          ErrorCode::kInvalidArgument,
          cat("the text's column of a LEAF file is its place in x, from 0, not '", place, "'")};
    }
  }
  if (!columns.label_column.empty() && columns.label_column != "y") {
    return Error{ErrorCode::kInvalidArgument,
                 "the label of a LEAF file can only be y; say --label-column y, or nothing"};
  }
  leaf.label_is_y = columns.label_column == "y";
  return leaf;
}

Result<ImportedSplit> import_leaf(const fs::path& source, const DataSettings& columns,
                                  SplitWriter& writer) {
  const LeafColumns leaf = COPPICE_TRY(leaf_columns(columns));
  const auto file = COPPICE_TRY(MappedFile::open(source));
  const Sha256 hash = sha256(file->bytes());
  if (!columns.sha256.empty() &&
      COPPICE_TRY(Sha256::parse_hex(columns.sha256, "the pinned SHA-256")) != hash) {
    return Error{ErrorCode::kInvalidArgument,
                 cat(source.string(), " has the SHA-256 ", hash.hex(), ", not ", columns.sha256)};
  }
  std::uint64_t users = 0;
  const auto take = [&](const std::string& user,
                        const std::vector<LeafSample>& samples) -> Result<void> {
    if (!is_plain_name(user)) return bad_name("user");
    std::uint64_t bytes = 0;
    for (const LeafSample& sample : samples) bytes += sample.text.size();
    if (bytes < std::max<std::uint64_t>(1, columns.min_bytes)) return {};
    ++users;
    for (const LeafSample& sample : samples) {
      if (trim(sample.text).empty()) continue;
      COPPICE_TRY(writer.add(user, sample.label, {.text = sample.text, .response = {}}));
    }
    return {};
  };
  COPPICE_TRY(read_leaf(as_text(file->bytes()), leaf, take));
  ImportedSplit split = COPPICE_TRY(writer.finish());
  split.users = users;
  split.source_sha256 = hash;
  return split;
}

Result<void> write_split(const fs::path& folder, const fs::path& source,
                         const ImportedSplit& split) {
  const Json json{
      {"schema", "coppice.sim_split.v1"},
      {"users", split.users},
      {"rows", split.rows},
      {"text_bytes", split.text_bytes},
      {"bytes", split.bytes},
      {"sha256", split.sha256.hex()},
      {"source", source.filename().string()},
      {"source_sha256", split.source_sha256.hex()},
      {"split", "by each piece's own SHA-256: 80 % train, 10 % gate, 10 % report"},
  };
  return write_file_atomically(folder / kSplitFile, as_bytes(dump_json(json, 2) + '\n'));
}

} // namespace

Result<ImportedSplit> import_split(const fs::path& source, const DataSettings& columns,
                                   const fs::path& folder) {
  const std::string ending = source.extension().string();
  if (ending != ".json" && ending != ".jsonl" && ending != ".tsv") {
    return Error{ErrorCode::kInvalidArgument,
                 cat(source.string(), " ends in none of .json (LEAF), .jsonl and .tsv",
                     ending == ".xz" ? cat("; unpack it first: xz -dk ", source.string()) : "")};
  }
  std::error_code code;
  if (fs::exists(folder / kSplitFile, code)) {
    return Error{ErrorCode::kAlreadyExists,
                 cat(folder.string(), " holds an import already; remove it or name another one")};
  }
  fs::create_directories(folder, code);
  if (code) {
    return Error{ErrorCode::kIo, cat("can't make ", folder.string(), ": ", code.message())};
  }
  SplitWriter writer = COPPICE_TRY(SplitWriter::create(folder));
  ImportedSplit split = COPPICE_TRY(ending == ".json" ? import_leaf(source, columns, writer)
                                                      : import_rows(source, columns, writer));
  COPPICE_TRY(write_split(folder, source, split));
  return split;
}

} // namespace coppice
