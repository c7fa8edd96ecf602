// SPDX-License-Identifier: Apache-2.0
// A shared module of our own that the program opens on first use: what needs a library that most
// runs don't.
#pragma once

#include "base/result.h"

namespace coppice {

struct ModuleFile {
  const char* file;     // "libcoppice_graph.so", looked for beside the running program
  const char* variable; // of the environment: names the file where none lies there
  const char* what;     // it gives, for the error: "the LibTorch engine"
  const char* option;   // of the build that leaves it out
};

// The address of a symbol that the module exports. kUnavailable, with what to do, where the module
// isn't there, can't be loaded or lacks the symbol. It stays loaded; later calls find it again.
Result<void*> module_symbol(const ModuleFile& module, const char* symbol);

} // namespace coppice
