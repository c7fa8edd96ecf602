// SPDX-License-Identifier: Apache-2.0
// Before libFuzzer reads its corpus: writes the seeds that are made in code into the first folder
// named.
#include <filesystem>
#include <fstream>
#include <string>

#include "tests/fuzz/fuzz_target.h"

extern "C" int LLVMFuzzerInitialize(int* count, char*** arguments);

extern "C" int LLVMFuzzerInitialize(int* count, char*** arguments) {
  for (int i = 1; i < *count; ++i) {
    const std::filesystem::path folder((*arguments)[i]);
    if (folder.string().starts_with("-")) continue;
    if (std::filesystem::is_regular_file(folder)) break; // one input, to reproduce a crash
    std::filesystem::create_directories(folder);
    int number = 0;
    for (const coppice::Bytes& seed : coppice::fuzz_seeds()) {
      std::ofstream out(folder / ("seed-" + std::to_string(number++)), std::ios::binary);
      out.write(reinterpret_cast<const char*>(seed.data()),
                static_cast<std::streamsize>(seed.size()));
    }
    break;
  }
  return 0;
}
