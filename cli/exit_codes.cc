// SPDX-License-Identifier: Apache-2.0
#include "cli/exit_codes.h"

#include <array>

#include "base/text.h"

namespace coppice {
namespace {

constexpr std::array kTable{
    ExitCodeInfo{ExitCode::kOk, "ok", "Done"},
    ExitCodeInfo{ExitCode::kFailed, "failed",
                 "The work was done and its outcome is bad: a check failed, a round was lost, the "
                 "mean got worse, `doctor` found a fault; or the state forbids the request now"},
    ExitCodeInfo{ExitCode::kUsage, "usage",
                 "The command line, a settings file or a named file is wrong: change it"},
    ExitCodeInfo{ExitCode::kNoQuorum, "no_quorum",
                 "Too few devices for a round before the time was up"},
    ExitCodeInfo{ExitCode::kBadInput, "bad_input",
                 "A file or message is corrupt, over a limit, of an unknown kind, or its signature "
                 "doesn't verify"},
    ExitCodeInfo{ExitCode::kUnavailable, "unavailable",
                 "Nobody answered, or a wait ran out: try again later"},
    ExitCodeInfo{ExitCode::kMachine, "machine",
                 "The machine refused: disk, memory, descriptors, permissions"},
    ExitCodeInfo{ExitCode::kBudgetSpent, "budget_spent",
                 "The privacy budget is spent: no further round may start"},
    ExitCodeInfo{ExitCode::kBug, "bug", "A mistake of ours that was contained: please report it"},
    ExitCodeInfo{ExitCode::kInterrupted, "interrupted", "Stopped by Ctrl-C or SIGTERM"},
};

} // namespace

std::span<const ExitCodeInfo> exit_codes() { return kTable; }

ExitCode exit_code_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kNotFound:
    case ErrorCode::kAlreadyExists: return ExitCode::kUsage;
    case ErrorCode::kUnauthenticated:
    case ErrorCode::kCorrupt:
    case ErrorCode::kTooLarge:
    case ErrorCode::kUnsupported: return ExitCode::kBadInput;
    case ErrorCode::kUnavailable:
    case ErrorCode::kDeadlineExceeded: return ExitCode::kUnavailable;
    case ErrorCode::kPermissionDenied:
    case ErrorCode::kResourceExhausted:
    case ErrorCode::kIo: return ExitCode::kMachine;
    case ErrorCode::kFailedPrecondition: return ExitCode::kFailed;
    case ErrorCode::kCancelled: return ExitCode::kInterrupted;
    case ErrorCode::kInternal: return ExitCode::kBug;
  }
  return ExitCode::kBug;
}

std::string exit_codes_markdown() {
  std::string text =
      "# Exit codes\n\n"
      "Of every command. With `--format json` an error is also one JSON document on stdout:\n"
      "`{\"schema\": \"coppice.error.v1\", \"error\": {\"code\", \"exit\", \"message\"}}`.\n\n"
      "| status | name | meaning |\n|---|---|---|\n";
  for (const ExitCodeInfo& row : kTable) {
    text += cat("| ", static_cast<int>(row.code), " | ", row.name, " | ", row.meaning, " |\n");
  }
  return text;
}

} // namespace coppice
