// SPDX-License-Identifier: Apache-2.0
// How much memory a piece of work takes at its peak, whoever allocates it (Eigen's own included).
#pragma once

#include <malloc.h>

#include <cstddef>
#include <fstream>
#include <string>

namespace coppice {

// Growth of the process's resident peak over `work`, bytes; 0 where the kernel doesn't tell.
template <typename Work>
std::size_t peak_growth(const Work& work) {
  const auto status = [](const std::string& field) -> std::size_t {
    std::ifstream file("/proc/self/status");
    for (std::string word; file >> word;) {
      if (word == field) {
        std::size_t kib = 0;
        file >> kib;
        return kib * 1024;
      }
    }
    return 0;
  };
  ::malloc_trim(0);
  if (!(std::ofstream("/proc/self/clear_refs") << "5" << std::flush)) return 0;
  const std::size_t before = status("VmRSS:");
  work();
  return status("VmHWM:") - before;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#elif defined(__has_feature)
constexpr bool kSanitized = __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#else
constexpr bool kSanitized = false;
#endif

} // namespace coppice
