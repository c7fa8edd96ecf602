// SPDX-License-Identifier: Apache-2.0
// Files that survive a crash: whole-file reads with a limit, atomic durable writes, appends, locks,
// read-only maps, and the named crash points of the fault tests.
//
// Every function reports what the system said (kIo, kNotFound, kResourceExhausted for a full disk).
#pragma once

#include <filesystem>
#include <memory>
#include <string_view>

#include "base/bytes.h"

namespace coppice {

namespace fs = std::filesystem;

// The whole file; kTooLarge beyond `limit` bytes, without reading it.
Result<Bytes> read_file(const fs::path& path, std::size_t limit);

enum class FileMode : unsigned { kPublic = 0644, kPrivate = 0600 };

// Writes a temporary file beside `path`, fsyncs it, renames it over `path`, fsyncs the folder.
// After a crash at any moment `path` holds the old bytes or the new ones, whole.
Result<void> write_file_atomically(const fs::path& path, ByteSpan bytes,
                                   FileMode mode = FileMode::kPublic);
// The same for a file in parts, one after another: nothing is copied together first.
Result<void> write_file_atomically(const fs::path& path, std::span<const ByteSpan> parts,
                                   FileMode mode = FileMode::kPublic);

// fsync of a folder: makes renames and removals in it durable.
Result<void> sync_directory(const fs::path& directory);

// Appends are durable when append() returns. One writer a file. A torn last record is the reader's
// to detect: records carry their own length or end with a newline.
class AppendFile {
 public:
  static Result<AppendFile> open(const fs::path& path, FileMode mode = FileMode::kPrivate);
  AppendFile(AppendFile&& other) noexcept;
  AppendFile& operator=(AppendFile&& other) noexcept;
  ~AppendFile();
  Result<void> append(ByteSpan record);

 private:
  explicit AppendFile(int descriptor) : descriptor_(descriptor) {}
  int descriptor_ = -1;
};

// Exclusive advisory lock on `path` (made if absent), held for the object's life: one process a
// state directory. kFailedPrecondition if another process holds it. The kernel drops it on any
// exit.
class FileLock {
 public:
  static Result<FileLock> take(const fs::path& path);
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&& other) noexcept;
  ~FileLock();

 private:
  explicit FileLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_ = -1;
};

// A read-only map of a file as it was at open; pages come in on first touch. Thread-safe to read.
class MappedFile {
 public:
  static Result<std::shared_ptr<const MappedFile>> open(const fs::path& path);
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();
  ByteSpan bytes() const { return {data_, size_}; }

 private:
  MappedFile(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}
  const std::uint8_t* data_;
  std::size_t size_;
};

// Names a moment just before or after a commit. If the environment's COPPICE_CRASH_AT equals
// "NAME" or "NAME:K" (the K-th passing, from 1), the process SIGKILLs itself here; else free.
// Whoever sets a process's environment could kill it anyway, so shipped programs keep it.
void crash_point(std::string_view name);

} // namespace coppice
