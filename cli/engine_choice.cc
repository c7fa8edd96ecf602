// SPDX-License-Identifier: Apache-2.0
#include "cli/engine_choice.h"

#include "base/text.h"

namespace coppice {

namespace {

std::vector<std::string> engine_names() {
  std::vector<std::string> names;
  for (const EngineRow& row : engines()) names.emplace_back(row.name);
  return names;
}

} // namespace

void add_engine_option(CommandOptions& command, std::string& engine) {
  std::vector<std::string> sorts;
  for (const EngineRow& row : engines()) sorts.push_back(cat(row.name, ", ", row.summary));
  command.add_option("--engine", engine, cat("What computes: ", join(sorts, ", or ")))
      .type_name("NAME")
      .check(one_of(engine_names()))
      .capture_default_str();
}

Result<std::unique_ptr<Engine>> open_engine(const std::string& engine,
                                            std::shared_ptr<const BaseModel> base,
                                            const EngineOptions& options) {
  for (const EngineRow& row : engines()) {
    if (engine == row.name) return row.open(std::move(base), options);
  }
  return Error{ErrorCode::kInvalidArgument, cat("this program has no engine ", engine, "; it has ",
                                                join(engine_names(), " and "))};
}

EngineFactory engine_factory(const std::string& engine, const fs::path& model,
                             const EngineOptions& options) {
  auto base = std::make_shared<std::shared_ptr<const BaseModel>>();
  return [base, engine, model, options]() -> Result<std::unique_ptr<Engine>> {
    if (!*base) *base = COPPICE_TRY(BaseModel::open(model));
    return open_engine(engine, *base, options);
  };
}

} // namespace coppice
