// SPDX-License-Identifier: Apache-2.0
#include "protocol/descriptors.h"

#include <sys/resource.h>

#include <cerrno>
#include <cstring>

#include "base/text.h"

namespace coppice {
namespace {
constexpr std::uint64_t kPerClient = 3; // control, bulk, and enroll for the moment of joining
constexpr std::uint64_t kOwn = 256;     // database, logs, stored uploads, ZeroMQ's own mailboxes
} // namespace

std::uint64_t descriptors_for_clients(std::uint64_t max_clients) {
  return kPerClient * max_clients + kOwn;
}

Result<void> ensure_descriptors(std::uint64_t needed) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
    return Error{ErrorCode::kIo, cat("the limit on open files can't be read: ", strerror(errno))};
  }
  if (limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= needed) return {};
  if (limit.rlim_max != RLIM_INFINITY && limit.rlim_max < needed) {
    return Error{ErrorCode::kResourceExhausted,
                 cat(needed, " open files are needed, and this process may have ", limit.rlim_max,
                     "; raise the hard limit (ulimit -Hn, or LimitNOFILE= in a systemd unit), or "
                     "lower max_clients")};
  }
  limit.rlim_cur = needed;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
    return Error{ErrorCode::kResourceExhausted,
                 cat("the limit on open files can't be raised to ", needed, ": ", strerror(errno))};
  }
  return {};
}

} // namespace coppice
