// SPDX-License-Identifier: Apache-2.0
// The program's log: one line an event, to stderr, or to a file. Never secrets, never users' text.
//
// Libraries log, they don't print. Thread-safe.
#pragma once

#include <filesystem>
#include <functional>
#include <string_view>

#include "base/result.h"
#include "base/text.h"

namespace coppice::log {

enum class Level { kDebug, kInfo, kWarning, kError, kOff };

void set_level(Level level);
Result<Level> parse_level(std::string_view name); // debug, info, warning, error, off
// Appends to `path` from now on, instead of stderr.
Result<void> to_file(const std::filesystem::path& path);
// Calls `take` with each line from now on, one call at a time; it must not throw. Empty: stderr.
using Take = std::function<void(Level, std::string_view)>;
void to_function(Take take);

void write(Level level, std::string_view line);
bool enabled(Level level);

template <typename... Parts>
void debug(const Parts&... parts) {
  if (enabled(Level::kDebug)) write(Level::kDebug, cat(parts...));
}
template <typename... Parts>
void info(const Parts&... parts) {
  if (enabled(Level::kInfo)) write(Level::kInfo, cat(parts...));
}
template <typename... Parts>
void warning(const Parts&... parts) {
  if (enabled(Level::kWarning)) write(Level::kWarning, cat(parts...));
}
template <typename... Parts>
void error(const Parts&... parts) {
  if (enabled(Level::kError)) write(Level::kError, cat(parts...));
}

} // namespace coppice::log
