// SPDX-License-Identifier: Apache-2.0
#include "cli/console.h"

#include <gtest/gtest.h>

#include <sstream>

#include "cli/command.h"

namespace coppice {
namespace {

TEST(Console, InJsonModeStdoutHoldsOneDocumentAndNothingElse) {
  std::ostringstream out;
  std::ostringstream error;
  Console console(out, error, Terminal{});
  console.set_format(OutputFormat::kJson);
  console.print("for people");
  console.write("for people");
  console.finish("coppice.test.v1", Json{{"value", 3}});
  EXPECT_EQ(out.str(), "{\n  \"schema\": \"coppice.test.v1\",\n  \"value\": 3\n}\n");
}

TEST(Console, AnErrorIsASentenceOnStderrAndADocumentInJsonMode) {
  std::ostringstream out;
  std::ostringstream error;
  Console console(out, error, Terminal{});
  const Error wrong{ErrorCode::kCorrupt, "the file is torn; fetch it again"};
  console.fail(wrong, exit_code_of(wrong.code));
  EXPECT_EQ(error.str(), "coppice: the file is torn; fetch it again.\n");
  EXPECT_EQ(out.str(), "");
  console.set_format(OutputFormat::kJson);
  console.fail(wrong, exit_code_of(wrong.code));
  const Json document = *parse_json(out.str());
  EXPECT_EQ(document["schema"], "coppice.error.v1");
  EXPECT_EQ(document["error"]["code"], error_code_name(ErrorCode::kCorrupt));
  EXPECT_EQ(document["error"]["exit"], "bad_input");
  EXPECT_EQ(document["error"]["message"], "the file is torn; fetch it again.");
}

TEST(Console, ColoursOnlyWhereTheTerminalTakesThem) {
  std::ostringstream out;
  std::ostringstream error;
  EXPECT_EQ(Console(out, error, Terminal{}).styled(Style::kBad, "no"), "no");
  EXPECT_EQ(Console(out, error, Terminal{.out = true, .error = true, .color = true})
                .styled(Style::kBad, "no"),
            "\033[31mno\033[0m");
}

TEST(ExitCodes, TellWhatAScriptCanDo) {
  EXPECT_EQ(exit_code_of(ErrorCode::kInvalidArgument), ExitCode::kUsage);
  EXPECT_EQ(exit_code_of(ErrorCode::kUnauthenticated), ExitCode::kBadInput);
  EXPECT_EQ(exit_code_of(ErrorCode::kDeadlineExceeded), ExitCode::kUnavailable);
  EXPECT_EQ(exit_code_of(ErrorCode::kResourceExhausted), ExitCode::kMachine);
  EXPECT_EQ(exit_code_of(ErrorCode::kCancelled), ExitCode::kInterrupted);
}

} // namespace
} // namespace coppice
