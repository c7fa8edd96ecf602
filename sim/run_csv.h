// SPDX-License-Identifier: Apache-2.0
// A run's lines as comma-separated tables (RFC 4180): CRLF, quotes where a cell needs them, a
// header row, one column a field under its name in events.jsonl; nested ones under both names
// ("dropped.late", "metrics.loss_after"). Doubles are the shortest text that reads back as the
// same; what isn't finite is an empty cell. Pure; thread-safe.
#pragma once

#include <string>
#include <string_view>

#include "sim/run_record.h"

namespace coppice {

inline constexpr const char* kRoundsTable = "rounds.csv";
inline constexpr const char* kEvaluationsTable = "evaluations.csv";
inline constexpr const char* kClientsTable = "clients.csv";

std::string rounds_csv(const RunRecord& run);
std::string evaluations_csv(const RunRecord& run);
std::string clients_csv(const RunRecord& run);

// As it stands in a table: quoted if it holds a comma, a quote, CR or LF. What begins as a formula
// would in a spreadsheet (=, +, -, @, tab) is preceded by an apostrophe, since names come from
// data.
std::string csv_cell(std::string_view text);

} // namespace coppice
