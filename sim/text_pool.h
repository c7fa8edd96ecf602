// SPDX-License-Identifier: Apache-2.0
// A finite source of text as a table of pieces: a folder of folders, TSV or JSONL.
//
// Opening reads the source once, front to back: every row is checked, hashed and entered in a table
// of 23 bytes a piece. The text of a file of rows stays on disk, under a read-only map; that of
// folders is kept in memory, as it was at opening. Immutable: thread-safe.
//
//   folder  each folder below `path` is a client's, read as a device reads its own (links, other
//           types and what lies beside the folders are left out). Label: the folder
//   TSV     the first line names the columns. `\n`, `\t`, `\r` and `\\` in a cell are what they
//   look
//           like. A row is a piece
//   JSONL   rows as client/example_store reads them, with fields beside; a row is a piece. `path`
//   may
//           be a folder that `coppice sim import` made: its data.jsonl must have the hash that its
//           split.json states
//
// A user is named by one column or by several, "play,speaker"; rows without text are left out.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "client/example_store.h"
#include "sim/scenario.h"

namespace coppice {

struct TextPoolLimits {
  std::uint64_t max_rows = (std::uint64_t{1} << 32U) - 2;
  std::uint32_t max_labels = 65'535;
  std::size_t max_row_bytes = std::size_t{1} << 20U;
};

// What opening writes down; one entry a piece, in the source's order.
struct PieceTable {
  std::vector<std::uint64_t> place; // of the row in the file; of a folder's piece, its number
  std::vector<std::uint32_t> row_bytes;
  std::vector<std::uint32_t> text_bytes; // of text and response
  std::vector<std::uint32_t> user;
  std::vector<std::uint16_t> label;
  std::vector<Split> split;
  std::vector<std::string> users;  // names; several columns are joined by '/'
  std::vector<std::string> labels; // empty names where the source has none
  std::size_t size() const { return place.size(); }
};

class TextPool {
 public:
  virtual ~TextPool() = default;
  const PieceTable& table() const { return table_; }
  // kCorrupt if the file was changed under the map.
  virtual Result<Piece> piece(std::uint32_t number) const = 0;
  // Of the file's bytes; of folders, of their names and pieces.
  Sha256 hash() const { return hash_; }

 protected:
  TextPool(PieceTable table, Sha256 hash) : table_(std::move(table)), hash_(hash) {}

 private:
  PieceTable table_;
  Sha256 hash_;
};

// kNotFound; kCorrupt with the line; kUnsupported for packed files; kTooLarge over a limit;
// kInvalidArgument for a column that isn't there, a pinned hash that differs (both are stated), and
// where nothing is left above data.min_bytes. Not for DataSource::kPeople.
Result<std::unique_ptr<const TextPool>> open_text_pool(const DataSettings& settings,
                                                       const fs::path& base_folder,
                                                       const TextPoolLimits& limits = {});

inline constexpr const char* kSplitRowsFile = "data.jsonl";
inline constexpr const char* kSplitFile = "split.json";

} // namespace coppice
