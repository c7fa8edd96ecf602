// SPDX-License-Identifier: Apache-2.0
#include "sim/text_rows.h"

#include <algorithm>

#include "base/text.h"
#include "formats/json.h"

namespace coppice {
namespace {

constexpr std::size_t kMaxNameBytes = 256;

std::vector<std::string> column_names(const std::string& list) {
  std::vector<std::string> names;
  if (list.empty()) return names;
  for (const std::string& name : split(list, ',')) names.emplace_back(trim(name));
  return names;
}

Result<std::size_t> column_number(const std::vector<std::string>& header, const std::string& name,
                                  const char* setting) {
  const auto found = std::ranges::find(header, name);
  if (found != header.end()) return static_cast<std::size_t>(found - header.begin());
  return Error{ErrorCode::kInvalidArgument, cat("there is no column '", name, "' for ", setting,
                                                "; the first line names ", join(header, ", "))};
}

std::string unescaped(std::string_view cell) {
  std::string text;
  text.reserve(cell.size());
  for (std::size_t i = 0; i < cell.size(); ++i) {
    const char next = cell[i] == '\\' && i + 1 < cell.size() ? cell[i + 1] : '\0';
    switch (next) {
      case 'n': text += '\n'; break;
      case 't': text += '\t'; break;
      case 'r': text += '\r'; break;
      case '\\': text += '\\'; break;
      default: text += cell[i]; continue;
    }
    ++i;
  }
  return text;
}

// What people name users and classes by in JSON: text, numbers, truth values.
Result<std::string> name_field(const Json& row, const std::string& key) {
  const Json& value = *COPPICE_TRY(json_field(row, key));
  if (value.is_string()) return json_string(row, key);
  if (value.is_number() || value.is_boolean()) return dump_json(value);
  return Error{ErrorCode::kInvalidArgument, cat("'", key, "' must be text or a number")};
}

} // namespace

bool is_plain_name(std::string_view name) {
  return name.size() <= kMaxNameBytes && std::ranges::none_of(name, [](char c) {
           return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
         });
}

Error bad_name(std::string_view what) {
  return {ErrorCode::kCorrupt, cat("the name of a ", what, " has at most ", kMaxNameBytes,
                                   " bytes and no control characters")};
}

Result<RowReader> RowReader::tsv(const DataSettings& settings, std::string_view header) {
  RowReader reader({.user = column_names(settings.user_column),
                    .text = settings.text_column.empty() ? "text" : settings.text_column,
                    .label = settings.label_column});
  const std::vector<std::string> names = split(header, '\t');
  reader.tsv_ = true;
  reader.cells_ = names.size();
  const Columns& columns = reader.columns_;
  reader.text_cell_ = COPPICE_TRY(column_number(names, columns.text, "data.text_column"));
  for (const std::string& name : columns.user) {
    reader.user_cells_.push_back(COPPICE_TRY(column_number(names, name, "data.user_column")));
  }
  if (!columns.label.empty()) {
    reader.label_cell_ = COPPICE_TRY(column_number(names, columns.label, "data.label_column"));
  }
  return reader;
}

RowReader RowReader::jsonl(const DataSettings& settings) {
  return RowReader({.user = column_names(settings.user_column),
                    .text = settings.text_column,
                    .label = settings.label_column});
}

Result<TextRow> RowReader::read(std::string_view line) const {
  return tsv_ ? read_cells(line) : read_object(line);
}

Result<TextRow> RowReader::read_cells(std::string_view line) const {
  const std::vector<std::string> cells = split(line, '\t');
  if (cells.size() != cells_) {
    return Error{ErrorCode::kCorrupt,
                 cat("a row has ", cells.size(), " cells, the first line ", cells_)};
  }
  TextRow row;
  row.piece.text = unescaped(cells[text_cell_]);
  row.piece.split = split_of(row.piece);
  for (const std::size_t cell : user_cells_) row.user.push_back(cells[cell]);
  if (!columns_.label.empty()) row.label = cells[label_cell_];
  return row;
}

Result<TextRow> RowReader::read_object(std::string_view line) const {
  const Json object = COPPICE_TRY(parse_json(line));
  if (!object.is_object()) return Error{ErrorCode::kCorrupt, "a row must be a JSON object"};
  TextRow row;
  if (columns_.text.empty()) {
    row.piece = COPPICE_TRY(piece_of_row(object));
  } else {
    row.piece.text = COPPICE_TRY(json_string(object, columns_.text));
    row.piece.split = split_of(row.piece);
  }
  for (const std::string& name : columns_.user) {
    row.user.push_back(COPPICE_TRY(name_field(object, name)));
  }
  if (!columns_.label.empty()) row.label = COPPICE_TRY(name_field(object, columns_.label));
  return row;
}

} // namespace coppice
