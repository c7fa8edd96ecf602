// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <array>
#include <mutex>

namespace coppice::log {
namespace {

constexpr const char* kPattern = "%Y-%m-%dT%H:%M:%S.%e %l %v";

spdlog::level::level_enum to_spdlog(Level level) {
  switch (level) {
    case Level::kDebug: return spdlog::level::debug;
    case Level::kInfo: return spdlog::level::info;
    case Level::kWarning: return spdlog::level::warn;
    case Level::kError: return spdlog::level::err;
    case Level::kOff: return spdlog::level::off;
  }
  return spdlog::level::info;
}

Level from_spdlog(spdlog::level::level_enum level) {
  if (level <= spdlog::level::debug) return Level::kDebug;
  if (level == spdlog::level::info) return Level::kInfo;
  return level == spdlog::level::warn ? Level::kWarning : Level::kError;
}

class FunctionSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit FunctionSink(Take take) : take_(std::move(take)) {}

 protected:
  void sink_it_(const spdlog::details::log_msg& line) override {
    take_(from_spdlog(line.level), std::string_view(line.payload.data(), line.payload.size()));
  }
  void flush_() override {}

 private:
  Take take_;
};

std::shared_ptr<spdlog::logger> logger_to(spdlog::sink_ptr sink, spdlog::level::level_enum level) {
  auto made = std::make_shared<spdlog::logger>("coppice", std::move(sink));
  made->set_pattern(kPattern);
  made->set_level(level);
  return made;
}

std::shared_ptr<spdlog::logger>& logger() {
  static std::shared_ptr<spdlog::logger> instance =
      logger_to(std::make_shared<spdlog::sinks::stderr_sink_mt>(), spdlog::level::warn);
  return instance;
}

} // namespace

void set_level(Level level) { logger()->set_level(to_spdlog(level)); }

Result<Level> parse_level(std::string_view name) {
  constexpr std::array kNames{std::pair{"debug", Level::kDebug}, std::pair{"info", Level::kInfo},
                              std::pair{"warning", Level::kWarning},
                              std::pair{"error", Level::kError}, std::pair{"off", Level::kOff}};
  for (const auto& [known, level] : kNames) {
    if (name == known) return level;
  }
  return Error{ErrorCode::kInvalidArgument,
               cat("unknown log level '", name, "'; use debug, info, warning, error or off")};
}

Result<void> to_file(const std::filesystem::path& path) {
  try {
    auto sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(path.string());
    auto made = logger_to(std::move(sink), logger()->level());
    made->flush_on(spdlog::level::info);
    logger() = std::move(made);
  } catch (const spdlog::spdlog_ex& failure) {
    return Error{ErrorCode::kIo,
                 cat("can't open the log file ", path.string(), ": ", failure.what())};
  }
  return {};
}

void to_function(Take take) {
  if (take) {
    logger() = logger_to(std::make_shared<FunctionSink>(std::move(take)), logger()->level());
  } else {
    logger() = logger_to(std::make_shared<spdlog::sinks::stderr_sink_mt>(), logger()->level());
  }
}

void write(Level level, std::string_view line) {
  logger()->log(to_spdlog(level), spdlog::string_view_t(line.data(), line.size()));
}

bool enabled(Level level) { return logger()->should_log(to_spdlog(level)); }

} // namespace coppice::log
