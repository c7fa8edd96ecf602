// SPDX-License-Identifier: Apache-2.0
#include "model/engine_module.h"

#include <dlfcn.h>

#include <cstdlib>

#include "base/file.h"
#include "base/text.h"

namespace coppice {
namespace {

constexpr char kModuleFile[] = "libcoppice_graph.so";
constexpr char kModuleVariable[] = "COPPICE_GRAPH_MODULE";

Error unavailable(const std::string& why) {
  return {ErrorCode::kUnavailable, cat("the LibTorch engine can't be opened: ", why,
                                       "; build it (it is built beside the program "
                                       "unless COPPICE_GRAPH is off), or set ",
                                       kModuleVariable, " to its file")};
}

// The file beside the running program if there is one, else where the variable points.
Result<fs::path> find_module() {
  std::error_code code;
  const fs::path program = fs::read_symlink("/proc/self/exe", code);
  const fs::path beside = program.parent_path() / kModuleFile;
  if (!code && fs::exists(beside, code)) return beside;
  const char* const named = std::getenv(kModuleVariable);
  if (named == nullptr || *named == '\0') {
    return unavailable(
        cat("there is no ", beside.string(), ", and ", kModuleVariable, " is not set"));
  }
  // Without a slash the name would be looked for in the system's folders.
  const fs::path path = fs::absolute(named, code);
  if (code || !fs::exists(path, code)) return unavailable(cat("there is no file ", path.string()));
  return path;
}

// The address of a symbol of the module.
Result<void*> load_symbol(const char* name) {
  const fs::path path = COPPICE_TRY(find_module());
  // RTLD_LOCAL: the module's copies of our own folders stay its own.
  void* const module = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (module == nullptr) return unavailable(dlerror());
  void* const symbol = dlsym(module, name);
  if (symbol == nullptr) return unavailable(cat(path.string(), " has no ", name));
  return symbol;
}

} // namespace

Result<std::unique_ptr<Engine>> open_graph_engine(std::shared_ptr<const BaseModel> base,
                                                  const EngineOptions& options) {
  // dlopen() gives the loaded module again on every later call.
  auto* const open =
      reinterpret_cast<OpenGraphEngine*>(COPPICE_TRY(load_symbol(kGraphEngineSymbol)));
  std::unique_ptr<Engine> engine;
  Error error{ErrorCode::kInternal, ""};
  if (!open(&base, &options, &engine, &error)) return error;
  return engine;
}

Result<LinearCeiling> measure_linear_ceiling(unsigned tries) {
  auto* const measure =
      reinterpret_cast<MeasureGraphCeiling*>(COPPICE_TRY(load_symbol(kGraphCeilingSymbol)));
  LinearCeiling ceiling;
  Error error{ErrorCode::kInternal, ""};
  if (!measure(tries, &ceiling, &error)) return error;
  return ceiling;
}

} // namespace coppice
