// SPDX-License-Identifier: Apache-2.0
// Foreign data sets as a pinned, hashed split: a folder that a scenario can name.
//
//   data.jsonl   a row a line, in the source's order: {"user", "label"?, "text"} or
//                {"user", "label"?, "prompt", "response"}
//   split.json   {"schema": "coppice.sim_split.v1", "users", "rows", "text_bytes", "bytes",
//   "sha256"
//                (of data.jsonl), "source", "source_sha256", "split"}
//
// split.json is written last: without it the folder is an import that did not end. Rows are
// streamed; a LEAF file is read a user at a time (sim/leaf_json.h).
#pragma once

#include <string>

#include "base/file.h"
#include "base/ids.h"
#include "sim/scenario.h"

namespace coppice {

struct ImportedSplit {
  std::uint64_t users = 0;
  std::uint64_t rows = 0;
  std::uint64_t text_bytes = 0;
  std::uint64_t bytes = 0; // of data.jsonl
  Sha256 sha256;           // of data.jsonl
  Sha256 source_sha256;
};

// By the source's ending: .json is LEAF's, .jsonl and .tsv are read as a scenario reads them with
// `columns` (user_column, text_column, label_column, min_bytes and sha256). Of LEAF's, text_column
// is a place within x where these are lists, and label_column may be "y". kAlreadyExists if
// `folder` holds a finished import; kInvalidArgument for other endings; else as open_text_pool()
// and read_leaf(). Nothing is left behind that a scenario would take.
Result<ImportedSplit> import_split(const fs::path& source, const DataSettings& columns,
                                   const fs::path& folder);

} // namespace coppice
