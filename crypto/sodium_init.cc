// SPDX-License-Identifier: Apache-2.0
#include "crypto/sodium_init.h"

#include <sodium.h>

#include "base/check.h"

namespace coppice {

void ensure_sodium() {
  static const bool ready = ::sodium_init() >= 0;
  COPPICE_CHECK(ready, "libsodium can't start: the system gives no random numbers");
}

} // namespace coppice
