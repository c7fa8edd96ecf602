// SPDX-License-Identifier: Apache-2.0
// What the program's exit status means: for scripts, so numbers never change. docs/exit-codes.md is
// this table for people, and a test compares the two.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace coppice {

enum class ExitCode : int {
  kOk = 0,
  kFailed = 1,
  kUsage = 2,
  kNoQuorum = 3,
  kBadInput = 4,
  kUnavailable = 5,
  kMachine = 6,
  kBudgetSpent = 7,
  kBug = 70,
  kInterrupted = 130,
};

struct ExitCodeInfo {
  ExitCode code;
  std::string_view name;    // in JSON errors' `exit`
  std::string_view meaning; // a sentence without its full stop
};
std::span<const ExitCodeInfo> exit_codes();

ExitCode exit_code_of(ErrorCode code);
// docs/exit-codes.md, whole.
std::string exit_codes_markdown();

} // namespace coppice
