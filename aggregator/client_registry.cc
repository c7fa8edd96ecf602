// SPDX-License-Identifier: Apache-2.0
#include "aggregator/client_registry.h"

#include <algorithm>

#include "base/text.h"

namespace coppice {
namespace {
// One sentence for all reasons: a stranger learns nothing from it.
Error invite_refusal() {
  return {ErrorCode::kUnauthenticated,
          "this invite is unknown, expired or used; ask for a new one"};
}
} // namespace

std::optional<ClientId> AllowList::find(const CurvePublicKey& key) const {
  const std::lock_guard lock(mutex_);
  const auto found = clients_.find(key);
  if (found == clients_.end()) return std::nullopt;
  return found->second;
}

void AllowList::allow(const CurvePublicKey& key, const ClientId& client) {
  const std::lock_guard lock(mutex_);
  clients_[key] = client;
}

void AllowList::remove(const CurvePublicKey& key) {
  const std::lock_guard lock(mutex_);
  clients_.erase(key);
}

Result<ClientRegistry> ClientRegistry::open(SqliteDatabase& database) {
  ClientRegistry registry(database);
  COPPICE_TRY(registry.refresh());
  return registry;
}

Result<void> ClientRegistry::refresh() {
  {
    auto read = COPPICE_TRY(database_->prepare("PRAGMA data_version"));
    if (!COPPICE_TRY(read.step())) return {};
    if (read.integer(0) == data_version_) return {};
    data_version_ = read.integer(0);
  }
  const auto records = COPPICE_TRY(clients());
  for (const ClientRecord& record : records) {
    if (record.revoked) {
      allow_list_->remove(record.curve);
      verify_keys_.erase(record.client);
      curve_keys_.erase(record.client);
    } else {
      allow_list_->allow(record.curve, record.client);
      verify_keys_[record.client] = record.verify;
      curve_keys_[record.client] = record.curve;
    }
  }
  return {};
}

Result<void> ClientRegistry::add_tokens(const std::vector<TokenHash>& tokens, Millis expires_wall) {
  auto transaction = COPPICE_TRY(database_->begin());
  for (const TokenHash& token : tokens) {
    auto add = COPPICE_TRY(database_->prepare("INSERT INTO tokens VALUES (?, ?, NULL)"));
    COPPICE_TRY(add.bind(1, token.span()).bind(2, expires_wall.count).run());
  }
  return transaction.commit();
}

Result<std::optional<SignedCertificate>> ClientRegistry::find_certificate(const VerifyKey& verify) {
  auto read = COPPICE_TRY(database_->prepare(
      "SELECT certificate, signature FROM clients WHERE verify = ? AND revoked IS NULL"));
  read.bind(1, verify.span());
  if (!COPPICE_TRY(read.step())) return std::optional<SignedCertificate>{};
  SignedCertificate certificate;
  certificate.bytes.assign(read.blob(0).begin(), read.blob(0).end());
  certificate.signature = COPPICE_TRY(Signature::from_span(read.blob(1), "certificate"));
  return std::optional<SignedCertificate>{std::move(certificate)};
}

Result<SignedCertificate> ClientRegistry::certificate(const ClientId& client) {
  auto found = COPPICE_TRY(find_certificate(COPPICE_TRY(allows(client))));
  if (!found) return Error{ErrorCode::kUnauthenticated, "this device is not enrolled"};
  return std::move(*found);
}

Result<bool> ClientRegistry::is_known(const Certificate& certificate) {
  auto read = COPPICE_TRY(
      database_->prepare("SELECT 1 FROM clients WHERE client = ? OR curve = ? LIMIT 1"));
  read.bind(1, certificate.client.span()).bind(2, certificate.curve.span());
  return read.step();
}

Result<void> ClientRegistry::knows_token(const TokenHash& token) {
  auto read = COPPICE_TRY(database_->prepare("SELECT 1 FROM tokens WHERE hash = ?"));
  read.bind(1, token.span());
  if (!COPPICE_TRY(read.step())) return invite_refusal();
  return {};
}

Result<SignedCertificate> ClientRegistry::enroll(const EnrollRequest& request,
                                                 const FleetSigningKey& fleet,
                                                 const Certificate& certificate, Millis now_wall) {
  const Error refusal = invite_refusal();
  const TokenHash hash = request.token.hash();
  auto transaction = COPPICE_TRY(database_->begin());
  {
    auto token =
        COPPICE_TRY(database_->prepare("SELECT expires, burnt_by FROM tokens WHERE hash = ?"));
    token.bind(1, hash.span());
    if (!COPPICE_TRY(token.step())) return refusal;
    if (!token.is_null(1)) {
      if (!std::ranges::equal(token.blob(1), request.verify.span())) return refusal;
      // A retry after a lost reply: the same key gets the same answer.
      auto known = COPPICE_TRY(find_certificate(request.verify));
      if (!known) return refusal;
      return *std::move(known);
    }
    if (token.integer(0) < now_wall.count) return refusal;
  }
  if (COPPICE_TRY(is_known(certificate))) {
    return Error{ErrorCode::kAlreadyExists,
                 "these keys are in the fleet already, or were revoked; make another device folder "
                 "with 'coppice client init' and use this invite there"};
  }
  auto made = sign_certificate(fleet, certificate);
  auto burn = COPPICE_TRY(database_->prepare("UPDATE tokens SET burnt_by = ? WHERE hash = ?"));
  COPPICE_TRY(burn.bind(1, request.verify.span()).bind(2, hash.span()).run());
  auto add = COPPICE_TRY(database_->prepare(
      "INSERT INTO clients (client, verify, curve, certificate, signature, enrolled) "
      "VALUES (?, ?, ?, ?, ?, ?)"));
  COPPICE_TRY(add.bind(1, certificate.client.span())
                  .bind(2, certificate.verify.span())
                  .bind(3, certificate.curve.span())
                  .bind(4, ByteSpan(made.bytes))
                  .bind(5, made.signature.span())
                  .bind(6, now_wall.count)
                  .run());
  crash_point("aggregator.enroll.before");
  COPPICE_TRY(transaction.commit());
  crash_point("aggregator.enroll.after");
  verify_keys_[certificate.client] = certificate.verify;
  curve_keys_[certificate.client] = certificate.curve;
  allow_list_->allow(certificate.curve, certificate.client);
  return made;
}

Result<VerifyKey> ClientRegistry::allows(const ClientId& client) const {
  const auto found = verify_keys_.find(client);
  if (found != verify_keys_.end()) return found->second;
  return Error{ErrorCode::kUnauthenticated, cat("device ", client, " is not enrolled, or revoked")};
}

Result<void> ClientRegistry::revoke(const ClientId& client, Millis now_wall) {
  auto write = COPPICE_TRY(database_->prepare(
      "UPDATE clients SET revoked = ? WHERE client = ? AND revoked IS NULL RETURNING curve"));
  write.bind(1, now_wall.count).bind(2, client.span());
  if (!COPPICE_TRY(write.step())) {
    return Error{ErrorCode::kNotFound, cat("no enrolled device has the id ", client)};
  }
  allow_list_->remove(COPPICE_TRY(CurvePublicKey::from_span(write.blob(0), "curve key")));
  COPPICE_TRY(write.step()); // to the end: only then is it committed
  verify_keys_.erase(client);
  curve_keys_.erase(client);
  return {};
}

Result<void> ClientRegistry::seen(const std::vector<ClientId>& clients, Millis now_wall) {
  auto transaction = COPPICE_TRY(database_->begin());
  for (const ClientId& client : clients) {
    auto write =
        COPPICE_TRY(database_->prepare("UPDATE clients SET last_seen = ? WHERE client = ?"));
    COPPICE_TRY(write.bind(1, now_wall.count).bind(2, client.span()).run());
  }
  return transaction.commit();
}

Result<std::vector<ClientRecord>> ClientRegistry::clients() {
  auto read = COPPICE_TRY(database_->prepare(
      "SELECT client, verify, curve, enrolled, last_seen, revoked FROM clients ORDER BY enrolled"));
  std::vector<ClientRecord> records;
  while (COPPICE_TRY(read.step())) {
    ClientRecord record;
    record.client = COPPICE_TRY(ClientId::from_span(read.blob(0), "client"));
    record.verify = COPPICE_TRY(VerifyKey::from_span(read.blob(1), "verify key"));
    record.curve = COPPICE_TRY(CurvePublicKey::from_span(read.blob(2), "curve key"));
    record.enrolled = Millis{read.integer(3)};
    record.last_seen = Millis{read.integer(4)};
    record.revoked = !read.is_null(5);
    records.push_back(record);
  }
  return records;
}

} // namespace coppice
