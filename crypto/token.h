// SPDX-License-Identifier: Apache-2.0
// Enrolment tokens: 32 random bytes that let one device in. Stored only as their hash.
//
// Expiry and burning belong to whoever keeps the hashes. Thread-compatible.
#pragma once

#include "base/bytes.h"
#include "base/ids.h"
#include "crypto/secret.h"

namespace coppice {

using TokenHash = StrongBytes<struct TokenHashTag, 32>;

class Token {
 public:
  static constexpr std::size_t kSize = 32;
  static Token generate(); // from SecretRandom
  // kInvalidArgument unless there are kSize bytes. The caller wipes `raw` if it must.
  static Result<Token> from_span(ByteSpan raw);

  // What the invite carries. A secret: don't log it.
  ByteSpan span() const { return secret_.span(); }
  // derive_key(token, Domain::kTokenHash, {}): 256 random bits need no salt and no slow hash, and a
  // stolen list of hashes enrols nobody. Looking a hash up needs no constant time: who can't invert
  // it can't steer it.
  TokenHash hash() const;

 private:
  explicit Token(Secret<kSize> secret) : secret_(std::move(secret)) {}
  Secret<kSize> secret_;
};

} // namespace coppice
