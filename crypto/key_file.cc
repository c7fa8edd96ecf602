// SPDX-License-Identifier: Apache-2.0
#include "crypto/key_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "base/text.h"
#include "crypto/hash.h"

namespace coppice {
namespace {

constexpr std::string_view kMagic = "coppkey1";
constexpr std::size_t kSecretAt = 12;
constexpr std::size_t kChecksumAt = 44;
static_assert(kSecretAt == kMagic.size() + sizeof(KeyKind));
static_assert(kChecksumAt == kSecretAt + Secret<32>::kSize);

using FileImage = Secret<kKeyFileBytes>;

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  int get() const { return number_; }

 private:
  int number_;
};

Error system_error(const fs::path& path) {
  const int number = errno;
  const ErrorCode code = number == ENOENT   ? ErrorCode::kNotFound
                         : number == EACCES ? ErrorCode::kPermissionDenied
                                            : ErrorCode::kIo;
  return {code, cat("can't read the key file ", path.string(), ": ", std::strerror(number))};
}

Error corrupt(const fs::path& path, std::string_view why) {
  return {ErrorCode::kCorrupt,
          cat(path.string(), " ", why, "; restore it from a copy, or make a new key")};
}

// The mode is asked of the open file, so that the file judged is the file read.
Result<void> check_private(const fs::path& path, const struct stat& status) {
  if (!S_ISREG(status.st_mode)) {
    return Error{ErrorCode::kInvalidArgument, cat(path.string(), " is not a regular file")};
  }
  if ((status.st_mode & 0077U) != 0) {
    return Error{
        ErrorCode::kPermissionDenied,
        cat("others than its owner may use the key file ", path.string(), "; run: chmod 600 '",
            path.string(), "' (and make a new key if somebody may have read it)")};
  }
  return {};
}

Result<FileImage> read_image(const fs::path& path) {
  // O_NONBLOCK: a named pipe in the key's place must not hang the program.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) return system_error(path);
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return system_error(path);
  COPPICE_TRY(check_private(path, status));
  if (status.st_size != static_cast<off_t>(kKeyFileBytes)) {
    return corrupt(path, cat("has ", status.st_size, " bytes, a key file has ", kKeyFileBytes));
  }
  FileImage image;
  std::size_t filled = 0;
  while (filled < kKeyFileBytes) {
    const ssize_t got =
        ::read(file.get(), image.mutable_span().data() + filled, kKeyFileBytes - filled);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error(path);
    if (got == 0) return corrupt(path, "shrank while it was read");
    filled += static_cast<std::size_t>(got);
  }
  return image;
}

// What the last 8 bytes of the image must be.
Sha256 checksum(const FileImage& image) { return sha256(image.span().first<kChecksumAt>()); }

} // namespace

Result<Secret<32>> load_secret(const fs::path& path, KeyKind kind) {
  const FileImage image = COPPICE_TRY(read_image(path));
  if (!std::ranges::equal(image.span().first(kMagic.size()), as_bytes(kMagic))) {
    return corrupt(path, "is not a key file");
  }
  const Sha256 expected = checksum(image);
  if (!equal_in_constant_time(image.span().subspan<kChecksumAt>(),
                              expected.span().first(kKeyFileBytes - kChecksumAt))) {
    return corrupt(path, "is damaged");
  }
  std::uint32_t stored = 0;
  std::memcpy(&stored, image.span().data() + kMagic.size(), sizeof(stored));
  if (stored != static_cast<std::uint32_t>(kind)) {
    return Error{ErrorCode::kInvalidArgument,
                 cat(path.string(), " holds a ", key_kind_name(static_cast<KeyKind>(stored)),
                     ", a ", key_kind_name(kind), " is needed here")};
  }
  return Secret<32>::copy_of(image.span().subspan<kSecretAt, Secret<32>::kSize>());
}

Result<void> store_secret(const fs::path& path, KeyKind kind, const Secret<32>& secret) {
  std::error_code ignored;
  if (fs::exists(fs::symlink_status(path, ignored))) {
    return Error{
        ErrorCode::kAlreadyExists,
        cat(path.string(), " exists; a private key is never overwritten, remove it first")};
  }
  FileImage image;
  const auto at = image.mutable_span().begin();
  const auto number = static_cast<std::uint32_t>(kind);
  std::ranges::copy(kMagic, at);
  std::memcpy(image.mutable_span().data() + kMagic.size(), &number, sizeof(number));
  std::ranges::copy(secret.span(), at + kSecretAt);
  std::ranges::copy(checksum(image).span().first(kKeyFileBytes - kChecksumAt), at + kChecksumAt);
  return write_file_atomically(path, image.span(), FileMode::kPrivate);
}

} // namespace coppice
