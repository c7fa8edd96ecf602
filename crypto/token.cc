// SPDX-License-Identifier: Apache-2.0
#include "crypto/token.h"

#include <algorithm>

#include "base/text.h"
#include "crypto/hash.h"
#include "crypto/secret_random.h"

namespace coppice {

Token Token::generate() { return Token(SecretRandom().secret<kSize>()); }

Result<Token> Token::from_span(ByteSpan raw) {
  if (raw.size() != kSize) {
    return Error{ErrorCode::kInvalidArgument, cat("an enrolment token has ", kSize, " bytes, not ",
                                                  raw.size(), "; was the invite copied whole?")};
  }
  return Token(Secret<kSize>::copy_of(raw.first<kSize>()));
}

TokenHash Token::hash() const {
  const Secret<32> derived = derive_key(secret_, Domain::kTokenHash, {});
  TokenHash hash;
  std::ranges::copy(derived.span(), hash.bytes.begin());
  return hash;
}

} // namespace coppice
