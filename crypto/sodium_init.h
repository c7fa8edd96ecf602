// SPDX-License-Identifier: Apache-2.0
// The one call of libsodium's set-up. For the .cc files of crypto/; nobody else needs to know.
#pragma once

namespace coppice {

// Sets libsodium up on the first call, from any thread; free afterwards. Everything in crypto/ that
// needs it calls it, so users of crypto/ can't forget. Ends the process if the system has no source
// of randomness: no key could be made, and going on would be worse.
void ensure_sodium();

} // namespace coppice
