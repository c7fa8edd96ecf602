// SPDX-License-Identifier: Apache-2.0
#include "capi/border.h"

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <new>
#include <string>

#include "base/log.h"
#include "base/text.h"

namespace coppice {
namespace {

// A sentence that always fits: no failure of memory may hide another one.
struct LastError {
  char sentence[1024] = "";
};
thread_local LastError last_error;

void* plain_allocate(void*, std::size_t bytes) { return std::malloc(bytes); }
void plain_release(void*, void* memory) { std::free(memory); }
constexpr coppice_allocator kPlain{plain_allocate, plain_release, nullptr};
coppice_allocator allocator = kPlain;

coppice_status status_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument: return COPPICE_INVALID_ARGUMENT;
    case ErrorCode::kNotFound: return COPPICE_NOT_FOUND;
    case ErrorCode::kAlreadyExists: return COPPICE_ALREADY_EXISTS;
    case ErrorCode::kPermissionDenied: return COPPICE_PERMISSION_DENIED;
    case ErrorCode::kUnauthenticated: return COPPICE_UNAUTHENTICATED;
    case ErrorCode::kCorrupt: return COPPICE_CORRUPT;
    case ErrorCode::kTooLarge: return COPPICE_TOO_LARGE;
    case ErrorCode::kUnsupported: return COPPICE_UNSUPPORTED;
    case ErrorCode::kUnavailable: return COPPICE_UNAVAILABLE;
    case ErrorCode::kDeadlineExceeded: return COPPICE_DEADLINE_EXCEEDED;
    case ErrorCode::kFailedPrecondition: return COPPICE_FAILED_PRECONDITION;
    case ErrorCode::kResourceExhausted: return COPPICE_RESOURCE_EXHAUSTED;
    case ErrorCode::kIo: return COPPICE_IO;
    case ErrorCode::kCancelled: return COPPICE_CANCELLED;
    case ErrorCode::kInternal: break;
  }
  return COPPICE_INTERNAL;
}

coppice_status fail(coppice_status status, std::string_view sentence) {
  const std::size_t bytes = std::min(sentence.size(), sizeof(last_error.sentence) - 1);
  std::copy_n(sentence.data(), bytes, last_error.sentence);
  last_error.sentence[bytes] = '\0';
  return status;
}

Result<void*> hand_out(std::size_t bytes) {
  void* const memory = allocator.allocate(allocator.context, bytes);
  if (memory == nullptr) {
    return Error{ErrorCode::kResourceExhausted, cat("the allocator has no ", bytes, " bytes")};
  }
  return memory;
}

} // namespace

coppice_status failed(const Error& error) { return fail(status_of(error.code), error.message); }

coppice_status failed_by_exception() {
  try {
    throw;
  } catch (const std::bad_alloc&) {
    return fail(COPPICE_RESOURCE_EXHAUSTED, "out of memory");
  } catch (const std::exception& thrown) {
    return fail(COPPICE_INTERNAL, thrown.what());
  } catch (...) {
    return fail(COPPICE_INTERNAL, "an unknown exception");
  }
}

Result<char*> hand_out_text(std::string_view text) {
  char* const memory = static_cast<char*>(COPPICE_TRY(hand_out(text.size() + 1)));
  std::copy(text.begin(), text.end(), memory);
  memory[text.size()] = '\0';
  return memory;
}

Result<std::uint32_t*> hand_out_numbers(std::span<const std::uint32_t> numbers) {
  const std::size_t bytes = std::max<std::size_t>(1, numbers.size_bytes());
  auto* const memory = static_cast<std::uint32_t*>(COPPICE_TRY(hand_out(bytes)));
  std::copy(numbers.begin(), numbers.end(), memory);
  return memory;
}

} // namespace coppice

extern "C" {

uint32_t coppice_abi_version() { return COPPICE_ABI_VERSION; }
const char* coppice_version() { return COPPICE_VERSION; }

const char* coppice_status_name(coppice_status status) {
  if (status == COPPICE_OK) return "ok";
  if (status < COPPICE_OK || status > COPPICE_INTERNAL) return "unknown status";
  return coppice::error_code_name(static_cast<coppice::ErrorCode>(status - 1));
}

const char* coppice_last_error() { return coppice::last_error.sentence; }

coppice_status coppice_set_allocator(const coppice_allocator* given) {
  return coppice::at_border([&]() -> coppice::Result<void> {
    if (given == nullptr) {
      coppice::allocator = coppice::kPlain;
    } else if (given->allocate == nullptr || given->release == nullptr) {
      return coppice::missing("a function of the allocator");
    } else {
      coppice::allocator = *given;
    }
    return {};
  });
}

void coppice_free(void* memory) {
  if (memory != nullptr) coppice::allocator.release(coppice::allocator.context, memory);
}

coppice_status coppice_set_log(coppice_log_callback callback, void* context,
                               coppice_log_level lowest) {
  return coppice::at_border([&]() -> coppice::Result<void> {
    if (lowest < COPPICE_LOG_DEBUG || lowest > COPPICE_LOG_OFF) {
      return coppice::Error{coppice::ErrorCode::kInvalidArgument, "there is no such log level"};
    }
    coppice::log::Take take;
    if (callback != nullptr) {
      take = [callback, context](coppice::log::Level level, std::string_view line) {
        callback(context, static_cast<coppice_log_level>(level), std::string(line).c_str());
      };
    }
    coppice::log::to_function(std::move(take));
    coppice::log::set_level(static_cast<coppice::log::Level>(lowest));
    return {};
  });
}

} // extern "C"
