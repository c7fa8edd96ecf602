// SPDX-License-Identifier: Apache-2.0
// The vectors in tests/vectors/secagg/, which tools/make_secagg_vectors.py computed without this
// code: every byte that two implementations must agree on, and a whole round of the real machines.
#include <gtest/gtest.h>

#include <deque>
#include <memory>

#include "base/file.h"
#include "base/text.h"
#include "crypto/hash.h"
#include "crypto/key_agreement.h"
#include "formats/json.h"
#include "protocol/secagg_client.h"
#include "protocol/secagg_graph.h"
#include "protocol/secagg_masking.h"
#include "protocol/secagg_server.h"

namespace coppice {
namespace {

// The caller keeps the file: a reference into a temporary one would dangle.
Json vectors(const char* name) {
  const fs::path path = fs::path(COPPICE_SOURCE_DIR) / "tests/vectors/secagg" / cat(name, ".json");
  return parse_json(read_file(path, std::size_t{1} << 20U).value()).value();
}

Bytes bytes_of(const Json& value) { return from_hex(value.get<std::string>()).value(); }

template <std::size_t N>
std::array<std::uint8_t, N> array_of(const Json& value) {
  const Bytes bytes = bytes_of(value);
  std::array<std::uint8_t, N> made{};
  EXPECT_EQ(bytes.size(), N);
  std::copy_n(bytes.begin(), std::min(bytes.size(), N), made.begin());
  return made;
}

Secret<32> secret_of(const Json& value) { return Secret<32>::copy_of(array_of<32>(value)); }
Sha256 hash_of(const Json& value) { return {array_of<32>(value)}; }
AgreementPublicKey key_of(const Json& value) { return {array_of<32>(value)}; }
ClientId client_of(const Json& value) { return {array_of<16>(value)}; }
AgreementKey agreement_key_of(const Json& value) {
  return AgreementKey::from_secret(secret_of(value));
}
std::string hex(const Secret<32>& secret) { return to_hex(secret.span()); }

std::vector<Slot> slots_of(const Json& value) {
  std::vector<Slot> slots;
  for (const Json& each : value) {
    slots.push_back({.name = "masked",
                     .elements = each["elements"].get<std::uint32_t>(),
                     .bits = RingBits{each["bits"].get<std::uint32_t>()}});
  }
  return slots;
}

TEST(SecAggVectors, KeysSeedsAndCommitments) {
  const SecAggPrimitives& primitives = sodium_primitives();
  const Json file = vectors("keys");
  const Sha256 roster = hash_of(file["roster_hash"]);
  ASSERT_FALSE(file["pairs"].empty());
  for (const Json& pair : file["pairs"]) {
    const AgreementKey mine = agreement_key_of(pair["secret"]);
    const AgreementKey theirs = agreement_key_of(pair["peer_secret"]);
    EXPECT_EQ(primitives.public_key(mine.secret()), key_of(pair["key"]));
    EXPECT_EQ(primitives.public_key(theirs.secret()), key_of(pair["peer_key"]));
    EXPECT_EQ(hex(agree(mine, key_of(pair["peer_key"]), roster.span()).value()), pair["agreement"]);
    for (const auto& seed : {primitives.pairwise_seed(mine, key_of(pair["peer_key"]), roster),
                             primitives.pairwise_seed(theirs, key_of(pair["key"]), roster)}) {
      EXPECT_EQ(hex(seed.value()), pair["pairwise_seed"]);
    }
  }
  for (const Json& own : file["own"]) {
    const auto secret = secret_of(own["secret"]);
    EXPECT_EQ(hex(primitives.self_seed(secret, roster)), own["self_seed"]);
    EXPECT_EQ(primitives.self_commitment(secret, roster), hash_of(own["self_commitment"]));
  }
}

TEST(SecAggVectors, Adverts) {
  const Json file = vectors("adverts");
  ASSERT_FALSE(file["adverts"].empty());
  for (const Json& each : file["adverts"]) {
    const auto signing = SigningKey::from_secret(secret_of(each["signing_seed"]));
    const ClientId client = client_id_of(signing.public_key());
    const auto attempt = each["attempt"].get<std::uint8_t>();
    const Sha256 plan = hash_of(each["plan_hash"]);
    EXPECT_EQ(client, client_of(each["client"]));
    const Sha256 commitment = commit_nonce(array_of<32>(each["nonce"]), client, plan, attempt);
    EXPECT_EQ(commitment, hash_of(each["nonce_commitment"]));
    const KeyAdvert advert{.client = client,
                           .plan_hash = plan,
                           .attempt = attempt,
                           .box_key = agreement_key_of(each["box_secret"]).public_key(),
                           .mask_key = agreement_key_of(each["mask_secret"]).public_key(),
                           .nonce_commitment = commitment};
    const Bytes bytes = encode_advert(advert);
    EXPECT_EQ(to_hex(bytes), each["advert"]);
    EXPECT_EQ(sha256(bytes), hash_of(each["advert_hash"]));
    EXPECT_EQ(to_hex(sodium_primitives().sign_advert(signing, bytes).span()), each["signature"]);
  }
}

TEST(SecAggVectors, RostersGraphsAndSurvivorsLists) {
  const Json file = vectors("graph");
  ASSERT_FALSE(file["graphs"].empty());
  for (const Json& each : file["graphs"]) {
    Roster roster{.plan_hash = hash_of(each["plan_hash"]),
                  .attempt = each["attempt"].get<std::uint8_t>(),
                  .entries = {}};
    for (const Json& entry : each["entries"]) {
      roster.entries.push_back({.client = client_of(entry["client"]),
                                .advert_hash = hash_of(entry["advert_hash"]),
                                .nonce_commitment = hash_of(entry["nonce_commitment"])});
    }
    EXPECT_EQ(roster.hash(), hash_of(each["roster_hash"]));
    std::vector<GraphNonce> nonces;
    for (const Json& nonce : each["nonces"]) nonces.push_back(array_of<32>(nonce));
    const SecAggGraph graph(roster.hash(), nonces, each["degree"].get<std::uint32_t>());
    const auto order = each["order"].get<std::vector<std::uint32_t>>();
    ASSERT_EQ(order.size(), graph.members());
    for (std::uint32_t place = 0; place < order.size(); ++place) {
      EXPECT_EQ(graph.position(order[place]), place);
    }
    std::uint32_t member = 0;
    for (const Json& neighbours : each["neighbours"]) {
      EXPECT_EQ(graph.neighbours(member++), neighbours.get<std::vector<std::uint32_t>>());
    }
    const SurvivorList list{
        .roster_hash = roster.hash(),
        .shared = bits_of(each["shared"].get<std::vector<std::uint32_t>>(), graph.members()),
        .survivors = bits_of(each["survivors"].get<std::vector<std::uint32_t>>(), graph.members())};
    EXPECT_EQ(list.hash(), hash_of(each["survivors_hash"]));
  }
}

TEST(SecAggVectors, SharesOfWhichAnyThresholdRecoverTheSecret) {
  const Json file = vectors("shares");
  ASSERT_FALSE(file["secrets"].empty());
  for (const Json& each : file["secrets"]) {
    const auto threshold = each["threshold"].get<std::uint32_t>();
    std::vector<NumberedShare> shares;
    for (const Json& share : each["shares"]) {
      shares.push_back({.number = share["number"].get<std::uint32_t>(),
                        .share = array_of<sizeof(SecretShare)>(share["share"])});
    }
    const std::span<const NumberedShare> all(shares);
    for (const auto& chosen : {all, all.first(threshold), all.last(threshold)}) {
      const auto secret = sodium_primitives().reconstruct(chosen, threshold);
      ASSERT_TRUE(secret.ok()) << secret.error().message;
      EXPECT_EQ(hex(*secret), each["secret"]);
    }
  }
}

TEST(SecAggVectors, ShareBoxes) {
  const SecAggPrimitives& primitives = sodium_primitives();
  const Json file = vectors("boxes");
  const Sha256 roster = hash_of(file["roster_hash"]);
  ASSERT_FALSE(file["boxes"].empty());
  for (const Json& each : file["boxes"]) {
    const SecAggPrimitives::BoxRoute route{.from = each["from"].get<std::uint32_t>(),
                                           .to = each["to"].get<std::uint32_t>()};
    const AgreementKey mine = agreement_key_of(each["secret"]);
    const AgreementKey theirs = agreement_key_of(each["peer_secret"]);
    const auto sender = primitives.box_keys(mine, key_of(each["peer_key"]), roster).value();
    const auto recipient = primitives.box_keys(theirs, mine.public_key(), roster).value();
    const Bytes plaintext = bytes_of(each["plaintext"]);
    const Bytes box = primitives.seal_box(sender.sealing, route, plaintext);
    EXPECT_EQ(to_hex(box), each["box"]);
    EXPECT_EQ(primitives.open_box(recipient.opening, route, box).value(), plaintext);
  }
}

TEST(SecAggVectors, MasksInEveryRing) {
  const Json file = vectors("masks");
  ASSERT_FALSE(file["masks"].empty());
  for (const Json& each : file["masks"]) {
    const std::vector<Slot> slots = slots_of(each["slots"]);
    const auto expected = each["mask"].get<std::vector<std::uint32_t>>();
    std::vector<std::uint32_t> elements(expected.size());
    std::vector<SignedSeed> seeds;
    seeds.push_back({secret_of(each["seed"]), MaskSign::kAdd});
    apply_masks(slots, seeds, elements);
    EXPECT_EQ(elements, expected);
  }
}

// The system's randomness but for secrets and nonces, which are the vectors'.
class GivenSecrets final : public SecAggPrimitives {
 public:
  explicit GivenSecrets(const Json& member) : nonce_(array_of<32>(member["nonce"])) {
    for (const char* name : {"box_secret", "mask_secret", "self_secret"}) {
      secrets_.push_back(secret_of(member[name])); // in the order in which a device draws them
    }
  }
  Secret<32> random_secret() const override {
    Secret<32> next = std::move(secrets_.front());
    secrets_.pop_front();
    return next;
  }
  GraphNonce random_nonce() const override { return nonce_; }

  AgreementPublicKey public_key(const Secret<32>& secret) const override {
    return real_.public_key(secret);
  }
  Signature sign_advert(const SigningKey& device, ByteSpan advert) const override {
    return real_.sign_advert(device, advert);
  }
  Result<void> verify_advert(const VerifyKey& device, ByteSpan advert,
                             const Signature& signature) const override {
    return real_.verify_advert(device, advert, signature);
  }
  Result<Certificate> open_certificate(const FleetVerifyKey& fleet,
                                       const SignedCertificate& certificate) const override {
    return real_.open_certificate(fleet, certificate);
  }
  Result<Secret<32>> pairwise_seed(const AgreementKey& mine, const AgreementPublicKey& theirs,
                                   const Sha256& roster_hash) const override {
    return real_.pairwise_seed(mine, theirs, roster_hash);
  }
  Secret<32> self_seed(const Secret<32>& secret, const Sha256& roster_hash) const override {
    return real_.self_seed(secret, roster_hash);
  }
  Sha256 self_commitment(const Secret<32>& secret, const Sha256& roster_hash) const override {
    return real_.self_commitment(secret, roster_hash);
  }
  Result<ShareBoxKeys> box_keys(const AgreementKey& mine, const AgreementPublicKey& theirs,
                                const Sha256& roster_hash) const override {
    return real_.box_keys(mine, theirs, roster_hash);
  }
  Bytes seal_box(const Secret<32>& sealing, const BoxRoute& route,
                 ByteSpan plaintext) const override {
    return real_.seal_box(sealing, route, plaintext);
  }
  Result<Bytes> open_box(const Secret<32>& opening, const BoxRoute& route,
                         ByteSpan box) const override {
    return real_.open_box(opening, route, box);
  }
  std::vector<SecretShare> share(const Secret<32>& secret, std::uint32_t threshold,
                                 std::uint32_t count) const override {
    return real_.share(secret, threshold, count);
  }
  Result<Secret<32>> reconstruct(std::span<const NumberedShare> shares,
                                 std::uint32_t threshold) const override {
    return real_.reconstruct(shares, threshold);
  }

 private:
  const SecAggPrimitives& real_ = sodium_primitives();
  mutable std::deque<Secret<32>> secrets_;
  GraphNonce nonce_;
};

// Both sides' machines over one round, its members and their secrets as in the file.
class GivenRound {
 public:
  explicit GivenRound(const Json& file) : file_(file), slots_(slots_of(file["slots"])) {
    sum_.resize(file["members"][0]["vector"].size());
    for (const Json& each : file["members"]) {
      auto& member = members_.emplace_back(std::make_unique<Member>(each));
      member->certificate = sign_certificate(fleet_, {.client = member->id,
                                                      .fleet = sha256(fleet_.public_key().span()),
                                                      .verify = member->signing.public_key(),
                                                      .curve = {},
                                                      .expires = {}});
      member->machine =
          std::make_unique<SecAggClient>(SecAggClientContext{.primitives = member->primitives,
                                                             .signing = member->signing,
                                                             .id = member->id,
                                                             .fleet_key = fleet_.public_key(),
                                                             .plan_hash = plan(),
                                                             .plan = {},
                                                             .owner = {},
                                                             .min_survivors = 3});
    }
  }

  void run() {
    for (std::size_t i = 0; i < members_.size(); ++i) carry_out(i, members_[i]->machine->start());
    carry_out(server_.close_roster());
    carry_out(server_.close_sharing());
    std::vector<ClientId> survivors;
    for (const std::size_t member : file_["survivors"].get<std::vector<std::size_t>>()) {
      survivors.push_back(members_[member]->id);
      for (std::size_t i = 0; i < sum_.size(); ++i) sum_[i] += members_[member]->masked.at(i);
    }
    carry_out(server_.close_sum(survivors));
  }

  const std::vector<std::uint32_t>& masked(std::size_t member) const {
    return members_[member]->masked;
  }
  const std::vector<std::uint32_t>& sum() const { return sum_; }
  const SurvivorList& survivors() const { return survivors_; }
  bool finished() const { return std::holds_alternative<SecAggFinished>(server_.phase()); }

 private:
  struct Member {
    explicit Member(const Json& described)
        : primitives(described),
          signing(SigningKey::from_secret(secret_of(described["signing_seed"]))),
          id(client_of(described["client"])),
          vector(described["vector"].get<std::vector<std::uint32_t>>()) {}
    GivenSecrets primitives;
    SigningKey signing;
    ClientId id;
    SignedCertificate certificate;
    std::vector<std::uint32_t> vector;
    std::vector<std::uint32_t> masked;
    std::unique_ptr<SecAggClient> machine;
  };

  Sha256 plan() const { return hash_of(file_["plan_hash"]); }

  void carry_out(std::size_t index, const std::vector<SecAggClientAction>& actions) {
    Member& member = *members_[index];
    for (const SecAggClientAction& action : actions) {
      if (const auto* send = std::get_if<SendSecAgg>(&action)) {
        carry_out(server_.handle(member.id, send->message, member.signing.public_key(),
                                 member.certificate));
      } else if (std::holds_alternative<MasksReady>(action)) {
        member.masked = member.vector;
        apply_masks(slots_, member.machine->masks().value(), member.masked);
      } else if (const auto* refused = std::get_if<SecAggRefused>(&action)) {
        ADD_FAILURE() << refused->reason;
      }
    }
  }

  void carry_out(const std::vector<SecAggServerAction>& actions) {
    for (const SecAggServerAction& action : actions) {
      if (const auto* send = std::get_if<SendSecAggTo>(&action)) {
        const SecAggMessage message = send->draft();
        if (const auto* list = std::get_if<SurvivorList>(&message)) survivors_ = *list;
        for (std::size_t i = 0; i < members_.size(); ++i) {
          if (members_[i]->id == send->client) {
            carry_out(i, members_[i]->machine->handle(message));
          }
        }
      } else if (const auto* unmask = std::get_if<Unmask>(&action)) {
        apply_masks(slots_, unmask->seeds, sum_);
      } else if (const auto* lost = std::get_if<AbandonSecAgg>(&action)) {
        ADD_FAILURE() << lost->reason;
      }
    }
  }

  const Json& file_;
  std::vector<Slot> slots_;
  const FleetSigningKey fleet_ = FleetSigningKey::generate(); // certificates are in no hash
  std::vector<std::unique_ptr<Member>> members_;
  SecAggServer server_{SecAggServerContext{.primitives = sodium_primitives(),
                                           .plan_hash = plan(),
                                           .assumptions = {},
                                           .min_survivors = 3}};
  std::vector<std::uint32_t> sum_;
  SurvivorList survivors_;
};

TEST(SecAggVectors, AWholeRoundOfFourOfWhichOneLeavesAfterSharing) {
  const Json file = vectors("round");
  GivenRound round(file);
  round.run();
  ASSERT_TRUE(round.finished());
  EXPECT_EQ(round.survivors().roster_hash, hash_of(file["roster_hash"]));
  EXPECT_EQ(round.survivors().hash(), hash_of(file["survivors_hash"]));
  for (std::size_t member = 0; member < file["members"].size(); ++member) {
    EXPECT_EQ(round.masked(member),
              file["members"][member]["masked"].get<std::vector<std::uint32_t>>())
        << member;
  }
  EXPECT_EQ(round.sum(), file["sum"].get<std::vector<std::uint32_t>>());
}

} // namespace
} // namespace coppice
