// SPDX-License-Identifier: Apache-2.0
#include "base/module_file.h"

#include <dlfcn.h>

#include <cstdlib>

#include "base/file.h"
#include "base/text.h"

namespace coppice {
namespace {

Error unavailable(const ModuleFile& module, const std::string& why) {
  return {ErrorCode::kUnavailable,
          cat(module.what, " can't be opened: ", why,
              "; build it (it is built beside the program unless ", module.option,
              " is off), or set ", module.variable, " to its file")};
}

// The file beside the running program if there is one, else where the variable points.
Result<fs::path> find_module(const ModuleFile& module) {
  std::error_code code;
  const fs::path program = fs::read_symlink("/proc/self/exe", code);
  const fs::path beside = program.parent_path() / module.file;
  if (!code && fs::exists(beside, code)) return beside;
  const char* const named = std::getenv(module.variable);
  if (named == nullptr || *named == '\0') {
    return unavailable(
        module, cat("there is no ", beside.string(), ", and ", module.variable, " is not set"));
  }
  // Without a slash the name would be looked for in the system's folders.
  const fs::path path = fs::absolute(named, code);
  if (code || !fs::exists(path, code)) {
    return unavailable(module, cat("there is no file ", path.string()));
  }
  return path;
}

} // namespace

Result<void*> module_symbol(const ModuleFile& module, const char* symbol) {
  const fs::path path = COPPICE_TRY(find_module(module));
  // RTLD_LOCAL: the module's copies of our own folders stay its own.
  void* const opened = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (opened == nullptr) return unavailable(module, dlerror());
  void* const address = dlsym(opened, symbol);
  if (address == nullptr) return unavailable(module, cat(path.string(), " has no ", symbol));
  return address;
}

} // namespace coppice
