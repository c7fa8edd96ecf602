// SPDX-License-Identifier: Apache-2.0
#include "cli/report_console.h"

#include "cli/table.h"

namespace coppice {

void print_table(Console& console, const ReportTable& table) {
  if (table.rows.empty()) return;
  std::vector<Column> columns;
  for (const ReportColumn& column : table.columns) {
    columns.push_back(
        {column.title, column.align == CellAlign::kRight ? Align::kRight : Align::kLeft});
  }
  Table shown(std::move(columns));
  shown.set_caption(table.caption);
  for (const std::vector<std::string>& row : table.rows) shown.add_row(row);
  console.write(shown.render());
  console.print();
}

} // namespace coppice
