// SPDX-License-Identifier: Apache-2.0
// A run's lines as comma-separated tables (sim/csv_table.h): one column a field under its name in
// events.jsonl; nested ones under both names ("dropped.late", "metrics.loss_after"). Pure;
// thread-safe.
#pragma once

#include <string>

#include "sim/run_record.h"

namespace coppice {

inline constexpr const char* kRoundsTable = "rounds.csv";
inline constexpr const char* kEvaluationsTable = "evaluations.csv";
inline constexpr const char* kClientsTable = "clients.csv";

std::string rounds_csv(const RunRecord& run);
std::string evaluations_csv(const RunRecord& run);
std::string clients_csv(const RunRecord& run);

} // namespace coppice
