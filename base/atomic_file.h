// SPDX-License-Identifier: Apache-2.0
// A file written piece by piece that appears whole or not at all: write_file_atomically() for
// contents that are made while they are written. Implemented beside it, in file.cc.
#pragma once

#include "base/file.h"

namespace coppice {

// Thread-compatible.
class AtomicFile {
 public:
  // Makes a temporary file beside `path`; nothing else happens before commit().
  static Result<AtomicFile> create(const fs::path& path, FileMode mode = FileMode::kPublic);
  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&& other) noexcept;
  ~AtomicFile(); // removes what was not committed

  Result<void> append(ByteSpan bytes);
  // Syncs, renames over `path`, syncs the folder. Once, and nothing after it.
  Result<void> commit();

 private:
  AtomicFile(fs::path path, fs::path temporary, int descriptor)
      : path_(std::move(path)), temporary_(std::move(temporary)), descriptor_(descriptor) {}
  fs::path path_;
  fs::path temporary_; // empty once it was renamed or moved from
  int descriptor_;
};

} // namespace coppice
