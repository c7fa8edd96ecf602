// SPDX-License-Identifier: Apache-2.0
// What every function of coppice.h does at the border: statuses for Results, nothing thrown across,
// options of any size, and memory that the caller's allocator gives.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>

#include "base/result.h"
#include "capi/coppice.h"

namespace coppice {

// The status, after the thread's last error was set.
coppice_status failed(const Error& error);
// For the exception that is in flight.
coppice_status failed_by_exception();

inline Error missing(std::string_view what) {
  return {ErrorCode::kInvalidArgument, std::string(what) + " must not be null"};
}

// Runs `work`, which returns a Result<void>.
template <typename Work>
coppice_status at_border(Work work) noexcept {
  try {
    const Result<void> outcome = work();
    return outcome ? COPPICE_OK : failed(outcome.error());
  } catch (...) {
    return failed_by_exception();
  }
}

// `given` as this library knows the struct: what an older caller's is too short for is zero.
template <typename Options>
Result<Options> read_options(const Options* given) {
  static_assert(std::is_trivially_copyable_v<Options>);
  Options options{};
  if (given == nullptr) return options;
  if (given->struct_size < sizeof(options.struct_size)) {
    return Error{ErrorCode::kInvalidArgument, "set struct_size of the options to their size"};
  }
  std::memcpy(&options, given, std::min(given->struct_size, sizeof(options)));
  return options;
}

// By the caller's allocator, with a zero behind; kResourceExhausted if it has none.
Result<char*> hand_out_text(std::string_view text);
Result<std::uint32_t*> hand_out_numbers(std::span<const std::uint32_t> numbers);

} // namespace coppice
