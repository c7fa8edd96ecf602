// SPDX-License-Identifier: Apache-2.0
// Names from a foreign file, made safe to print in an error: private to formats/.
#pragma once

#include <string>
#include <string_view>

namespace coppice {

// ASCII that isn't a control character stays, everything else becomes '?'; at most 80 characters.
std::string printable(std::string_view text);

} // namespace coppice
