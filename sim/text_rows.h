// SPDX-License-Identifier: Apache-2.0
// One row of TSV or JSONL as a piece with its user and label.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "client/example_store.h"
#include "sim/scenario.h"

namespace coppice {

// Of a user or a label: at most 256 bytes, no control characters.
bool is_plain_name(std::string_view name);
Error bad_name(std::string_view what); // kCorrupt, for one that isn't

struct TextRow {
  Piece piece;                   // its split too
  std::vector<std::string> user; // the columns' values; empty where no column was named
  std::string label;
};

class RowReader {
 public:
  // `header` is the first line of TSV, without its end. kInvalidArgument for a column that it
  // lacks, with those that it has.
  static Result<RowReader> tsv(const DataSettings& settings, std::string_view header);
  static RowReader jsonl(const DataSettings& settings);

  // kCorrupt for another number of cells or what is no JSON object; kInvalidArgument or kNotFound
  // for fields that are missing or of another type. A number or a truth value serves as a name.
  Result<TextRow> read(std::string_view line) const;

 private:
  struct Columns {
    std::vector<std::string> user; // names
    std::string text;
    std::string label;
  };
  explicit RowReader(Columns columns) : columns_(std::move(columns)) {}
  Result<TextRow> read_cells(std::string_view line) const;
  Result<TextRow> read_object(std::string_view line) const;

  Columns columns_;
  bool tsv_ = false;
  std::size_t cells_ = 0;               // of TSV
  std::vector<std::size_t> user_cells_; // numbers of columns
  std::size_t text_cell_ = 0;
  std::size_t label_cell_ = 0;
};

} // namespace coppice
