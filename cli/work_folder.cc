// SPDX-License-Identifier: Apache-2.0
#include "cli/work_folder.h"

#include <unistd.h>

#include "base/text.h"
#include "cli/subprocess.h"

namespace coppice {

Result<WorkFolder> WorkFolder::make(const std::string& keep) {
  if (!keep.empty()) {
    if (fs::exists(keep) && !fs::is_empty(keep)) {
      return Error{ErrorCode::kAlreadyExists, cat(keep, " is not empty; name another folder")};
    }
    std::error_code code;
    fs::create_directories(keep, code);
    if (code) return Error{ErrorCode::kIo, cat("can't make ", keep, ": ", code.message())};
    return WorkFolder(fs::absolute(keep), true);
  }
  std::string pattern = (fs::temp_directory_path() / "coppice-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) {
    return Error{ErrorCode::kIo, "can't make a temporary folder"};
  }
  return WorkFolder(pattern, false);
}

WorkFolder::~WorkFolder() {
  if (keep_ || path_.empty()) return;
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

Result<fs::path> default_model() {
  constexpr const char* kName = "coppice-4m.q4_0.gguf";
  const fs::path program = this_program().parent_path();
  for (const fs::path& folder :
       {program / "../../assets", program / "../share/coppice", fs::path("assets")}) {
    std::error_code code;
    if (fs::exists(folder / kName, code)) return fs::canonical(folder / kName, code);
  }
  return Error{ErrorCode::kNotFound, cat("can't find ", kName, "; name a base with --model FILE")};
}

} // namespace coppice
