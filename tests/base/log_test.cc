// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace coppice {
namespace {

TEST(Log, LinesGoToAFunctionByLevelUntilItIsTakenAway) {
  std::vector<std::pair<log::Level, std::string>> lines;
  log::to_function([&](log::Level level, std::string_view line) {
    lines.emplace_back(level, std::string(line));
  });
  log::debug("not now");
  log::warning("few ", 3);
  log::set_level(log::Level::kDebug);
  log::debug("now");
  log::error("broken");
  log::set_level(log::Level::kWarning);
  log::to_function({});
  log::set_level(log::Level::kOff);
  log::error("to nobody");
  log::set_level(log::Level::kWarning);
  const std::vector<std::pair<log::Level, std::string>> wanted{
      {log::Level::kWarning, "few 3"}, {log::Level::kDebug, "now"}, {log::Level::kError, "broken"}};
  EXPECT_EQ(wanted, lines);
}

} // namespace
} // namespace coppice
