// SPDX-License-Identifier: Apache-2.0
#include "base/file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <mutex>
#include <optional>

#include "base/atomic_file.h"
#include "base/text.h"

namespace coppice {
namespace {

Error system_error(std::string_view doing, const fs::path& path) {
  const int number = errno;
  ErrorCode code = ErrorCode::kIo;
  std::string_view advice;
  if (number == ENOENT) code = ErrorCode::kNotFound;
  if (number == EACCES || number == EPERM) code = ErrorCode::kPermissionDenied;
  if (number == ENOSPC || number == EDQUOT) {
    code = ErrorCode::kResourceExhausted;
    advice = "; free some space on that disk, nothing was half-written";
  }
  return {code, cat("can't ", doing, " ", path.string(), ": ", std::strerror(number), advice)};
}

// Closes at scope's end; release() when the close's own result matters.
class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  int get() const { return number_; }
  int release() { return std::exchange(number_, -1); }

 private:
  int number_;
};

Result<void> write_all(int descriptor, ByteSpan bytes, const fs::path& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      return system_error("write", path);
    }
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return {};
}

} // namespace

Result<Bytes> read_file(const fs::path& path, std::size_t limit) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) return system_error("open", path);
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return system_error("read", path);
  if (!S_ISREG(status.st_mode)) {
    return Error{ErrorCode::kInvalidArgument, cat(path.string(), " is not a regular file")};
  }
  const auto size = static_cast<std::size_t>(status.st_size);
  if (size > limit) {
    return Error{ErrorCode::kTooLarge,
                 cat(path.string(), " has ", size, " bytes, at most ", limit, " are read")};
  }
  Bytes bytes(size);
  std::size_t filled = 0;
  while (filled < size) {
    const ssize_t got = ::read(file.get(), bytes.data() + filled, size - filled);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error("read", path);
    if (got == 0) break; // it shrank meanwhile
    filled += static_cast<std::size_t>(got);
  }
  bytes.resize(filled);
  return bytes;
}

Result<void> write_file_atomically(const fs::path& path, ByteSpan bytes, FileMode mode) {
  return write_file_atomically(path, std::span<const ByteSpan>(&bytes, 1), mode);
}

Result<void> write_file_atomically(const fs::path& path, std::span<const ByteSpan> parts,
                                   FileMode mode) {
  AtomicFile file = COPPICE_TRY(AtomicFile::create(path, mode));
  for (const ByteSpan part : parts) COPPICE_TRY(file.append(part));
  return file.commit();
}

Result<AtomicFile> AtomicFile::create(const fs::path& path, FileMode mode) {
  static std::atomic<unsigned> serial{0};
  fs::path temporary = cat(path.string(), ".tmp.", ::getpid(), ".", serial.fetch_add(1));
  const int descriptor =
      ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, static_cast<mode_t>(mode));
  if (descriptor < 0) return system_error("create", temporary);
  return AtomicFile(path, std::move(temporary), descriptor);
}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_(std::exchange(other.temporary_, {})),
      descriptor_(std::exchange(other.descriptor_, -1)) {}

AtomicFile& AtomicFile::operator=(AtomicFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(temporary_, other.temporary_);
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

Result<void> AtomicFile::append(ByteSpan bytes) {
  return write_all(descriptor_, bytes, temporary_);
}

Result<void> AtomicFile::commit() {
  if (::fsync(descriptor_) != 0) return system_error("sync", temporary_);
  if (::close(std::exchange(descriptor_, -1)) != 0) return system_error("close", temporary_);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) {
    return system_error("rename a finished file to", path_);
  }
  temporary_.clear();
  return sync_directory(path_.has_parent_path() ? path_.parent_path() : fs::path("."));
}

Result<void> sync_directory(const fs::path& directory) {
  const Descriptor folder(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.get() < 0) return system_error("open", directory);
  if (::fsync(folder.get()) != 0) return system_error("sync", directory);
  return {};
}

Result<AppendFile> AppendFile::open(const fs::path& path, FileMode mode) {
  const int descriptor =
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, static_cast<mode_t>(mode));
  if (descriptor < 0) return system_error("open", path);
  AppendFile file(descriptor);
  COPPICE_TRY(sync_directory(path.has_parent_path() ? path.parent_path() : fs::path(".")));
  return file;
}

AppendFile::AppendFile(AppendFile&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)) {}

AppendFile& AppendFile::operator=(AppendFile&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

AppendFile::~AppendFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Result<void> AppendFile::append(ByteSpan record) {
  COPPICE_TRY(write_all(descriptor_, record, "an append-only file"));
  if (::fdatasync(descriptor_) != 0) return system_error("sync", "an append-only file");
  return {};
}

Result<FileLock> FileLock::take(const fs::path& path) {
  Descriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (file.get() < 0) return system_error("open", path);
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return system_error("lock", path);
    return Error{ErrorCode::kFailedPrecondition,
                 cat("another coppice process uses ", path.parent_path().string(),
                     "; stop it first, or name another folder")};
  }
  return FileLock(file.release());
}

FileLock::FileLock(FileLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}

FileLock& FileLock::operator=(FileLock&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

FileLock::~FileLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Result<std::shared_ptr<const MappedFile>> MappedFile::open(const fs::path& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) return system_error("open", path);
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return system_error("read", path);
  if (!S_ISREG(status.st_mode)) {
    return Error{ErrorCode::kInvalidArgument, cat(path.string(), " is not a regular file")};
  }
  const auto size = static_cast<std::size_t>(status.st_size);
  if (size == 0) return Error{ErrorCode::kCorrupt, cat(path.string(), " is empty")};
  void* const data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (data == MAP_FAILED) return system_error("map", path);
  return std::shared_ptr<const MappedFile>(
      new MappedFile(static_cast<const std::uint8_t*>(data), size));
}

MappedFile::~MappedFile() { ::munmap(const_cast<std::uint8_t*>(data_), size_); }

namespace {
struct CrashOrder {
  std::string name;
  int passings_left = 1;
};

std::optional<CrashOrder> read_crash_order() {
  const char* const order = std::getenv("COPPICE_CRASH_AT");
  if (order == nullptr) return std::nullopt;
  const std::string_view text(order);
  const std::size_t colon = text.rfind(':');
  CrashOrder parsed{std::string(text.substr(0, colon)), 1};
  if (colon != std::string_view::npos) {
    const std::string_view number = text.substr(colon + 1);
    std::from_chars(number.data(), number.data() + number.size(), parsed.passings_left);
  }
  return parsed;
}
} // namespace

void crash_point(std::string_view name) {
  static std::optional<CrashOrder> order = read_crash_order();
  if (!order || order->name != name) return;
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  if (--order->passings_left == 0) ::kill(::getpid(), SIGKILL);
}

} // namespace coppice
