// SPDX-License-Identifier: Apache-2.0
#include "formats/printable.h"

namespace coppice {

std::string printable(std::string_view text) {
  constexpr std::size_t kMost = 80;
  std::string shown(text.substr(0, kMost));
  for (char& letter : shown) {
    if (letter < ' ' || letter > '~') letter = '?';
  }
  if (text.size() > kMost) shown += "...";
  return shown;
}

} // namespace coppice
