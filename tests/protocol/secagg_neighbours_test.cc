// SPDX-License-Identifier: Apache-2.0
// What a device refuses about its neighbours: nonces, positions, keys and papers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/protocol/samples.h"
#include "tests/protocol/secagg_enemy.h"

namespace coppice {
namespace {

using ::testing::HasSubstr;

// Of 40 devices, so that not all are neighbours, or of as many as said.
std::string graph_refusal(const std::function<void(GraphOpening&, SecAggEnemy&)>& change,
                          const std::function<void(SecAggEnemy&)>& before = {},
                          std::uint32_t members = 6) {
  SecAggEnemy enemy(members);
  if (before) before(enemy);
  enemy.until_opening();
  GraphOpening opening = enemy.opening();
  change(opening, enemy);
  return why_stopped(enemy, enemy.victim().handle(opening));
}
// What was wrong before the roster was made.
std::string puppet_refusal(const std::function<void(SecAggEnemy::Puppet&, SecAggEnemy&)>& change) {
  return graph_refusal([](GraphOpening&, SecAggEnemy&) {},
                       [&](SecAggEnemy& enemy) {
                         change(enemy.puppet(2), enemy);
                         enemy.sign(enemy.puppet(2));
                       });
}

TEST(SecAggClientGraph, NoncesThatDontOpenTheirCommitmentsAreRefused) {
  EXPECT_THAT(graph_refusal([](GraphOpening& opening, SecAggEnemy&) { opening.nonces[3][5] ^= 1; }),
              HasSubstr("nonce of member 3"));
  EXPECT_THAT(graph_refusal([](GraphOpening& opening, SecAggEnemy&) { opening.nonces.pop_back(); }),
              HasSubstr("5 nonces for 6 members"));
  EXPECT_THAT(graph_refusal([](GraphOpening& opening, SecAggEnemy&) {
                std::swap(opening.nonces[0], opening.nonces[1]);
              }),
              HasSubstr("not the one that it committed to"));
}

TEST(SecAggClientGraph, NeighboursThatDontFollowFromTheNoncesAreRefused) {
  const auto of_40 = [](const std::function<void(GraphOpening&, SecAggEnemy&)>& change) {
    return graph_refusal(change, {}, 40);
  };
  const char* const kWords = "not those that follow from the nonces";
  EXPECT_THAT(of_40([](GraphOpening& opening, SecAggEnemy&) { opening.neighbours.pop_back(); }),
              HasSubstr(kWords));
  EXPECT_THAT(of_40([](GraphOpening& opening, SecAggEnemy&) {
                std::swap(opening.neighbours[0], opening.neighbours[1]);
              }),
              HasSubstr(kWords));
  EXPECT_THAT(of_40([](GraphOpening& opening, SecAggEnemy&) {
                opening.neighbours[1] = opening.neighbours[0];
              }),
              HasSubstr(kWords));
  // A stranger among them, in an extra place or in another's: with keys and papers in order.
  const auto stranger = [](const GraphOpening& opening, SecAggEnemy& enemy) {
    const std::uint32_t me = std::get<SecAggOpened>(enemy.victim().phase()).me;
    std::uint32_t member = 0;
    const auto known = [&](std::uint32_t other) {
      return other == me || std::ranges::find(opening.neighbours, other, &NeighbourKeys::member) !=
                                opening.neighbours.end();
    };
    while (known(member)) ++member;
    return NeighbourKeys{member, enemy.of(member).advert, enemy.of(member).certificate};
  };
  EXPECT_THAT(of_40([&](GraphOpening& opening, SecAggEnemy& enemy) {
                opening.neighbours.push_back(stranger(opening, enemy));
                std::ranges::sort(opening.neighbours, {}, &NeighbourKeys::member);
              }),
              HasSubstr(kWords));
  EXPECT_THAT(of_40([&](GraphOpening& opening, SecAggEnemy& enemy) {
                opening.neighbours[4] = stranger(opening, enemy);
                std::ranges::sort(opening.neighbours, {}, &NeighbourKeys::member);
              }),
              HasSubstr(kWords));
}

TEST(SecAggClientGraph, AnAdvertThatIsNotTheRostersIsRefused) {
  EXPECT_THAT(graph_refusal([](GraphOpening& opening, SecAggEnemy& enemy) {
                SecAggEnemy::Puppet& puppet = enemy.of(opening.neighbours[1].member);
                puppet.keys.mask_key.bytes[1] ^= 1;
                enemy.sign(puppet);
                opening.neighbours[1].advert = puppet.advert;
              }),
              HasSubstr("are not those of the roster"));
}

TEST(SecAggClientGraph, AnAdvertSignedByAnotherKeyIsRefused) {
  EXPECT_THAT(graph_refusal([](GraphOpening& opening, SecAggEnemy&) {
                opening.neighbours[2].advert.signature.bytes[7] ^= 1;
              }),
              HasSubstr("signature"));
  EXPECT_THAT(graph_refusal([](GraphOpening& opening, SecAggEnemy& enemy) {
                NeighbourKeys& neighbour = opening.neighbours[2];
                neighbour.advert.signature = enemy.primitives().sign_advert(
                    enemy.of(opening.neighbours[1].member).signing, neighbour.advert.bytes);
              }),
              HasSubstr("signature"));
}

TEST(SecAggClientGraph, AnAdvertForAnotherPlanAttemptOrDeviceIsRefused) {
  const char* const kWords = "another device, plan or attempt";
  EXPECT_THAT(puppet_refusal([](SecAggEnemy::Puppet& puppet, SecAggEnemy&) {
                puppet.keys.plan_hash = samples::hash(9);
              }),
              HasSubstr(kWords));
  EXPECT_THAT(
      puppet_refusal([](SecAggEnemy::Puppet& puppet, SecAggEnemy&) { puppet.keys.attempt = 1; }),
      HasSubstr(kWords));
  EXPECT_THAT(puppet_refusal([](SecAggEnemy::Puppet& puppet, SecAggEnemy& enemy) {
                puppet.keys.client = enemy.puppet(0).id;
              }),
              HasSubstr(kWords));
  EXPECT_THAT(puppet_refusal([](SecAggEnemy::Puppet& puppet, SecAggEnemy&) {
                puppet.keys.nonce_commitment = samples::hash(9);
              }),
              HasSubstr(kWords));
}

TEST(SecAggClientGraph, ACertificateOfNoneOrOfAnotherDeviceIsRefused) {
  EXPECT_THAT(graph_refusal([](GraphOpening& opening, SecAggEnemy& enemy) {
                const SecAggEnemy::Puppet& puppet = enemy.of(opening.neighbours[0].member);
                opening.neighbours[0].certificate =
                    ModelPrimitives::certify(samples::key<FleetSigningKey>(77).public_key(),
                                             puppet.id, puppet.signing.public_key());
              }),
              HasSubstr("not by this fleet"));
  EXPECT_THAT(graph_refusal([](GraphOpening& opening, SecAggEnemy&) {
                opening.neighbours[0].certificate = opening.neighbours[1].certificate;
              }),
              HasSubstr("another device's"));
  // The fleet's certificate for that client, with a key that did not sign.
  EXPECT_THAT(graph_refusal([](GraphOpening& opening, SecAggEnemy& enemy) {
                const SecAggEnemy::Puppet& puppet = enemy.of(opening.neighbours[0].member);
                opening.neighbours[0].certificate = ModelPrimitives::certify(
                    SecAggEnemy::fleet_key().public_key(), puppet.id,
                    enemy.of(opening.neighbours[1].member).signing.public_key());
              }),
              HasSubstr("signature"));
}

TEST(SecAggClientGraph, DuplicatedKeysAreRefused) {
  EXPECT_THAT(puppet_refusal([](SecAggEnemy::Puppet& puppet, SecAggEnemy& enemy) {
                puppet.keys.mask_key = enemy.puppet(0).keys.mask_key;
              }),
              HasSubstr("duplicated key"));
  EXPECT_THAT(puppet_refusal([](SecAggEnemy::Puppet& puppet, SecAggEnemy& enemy) {
                puppet.keys.box_key = enemy.puppet(0).keys.mask_key;
              }),
              HasSubstr("duplicated key"));
  EXPECT_THAT(puppet_refusal([](SecAggEnemy::Puppet& puppet, SecAggEnemy&) {
                puppet.keys.box_key = puppet.keys.mask_key;
              }),
              HasSubstr("duplicated key"));
}

TEST(SecAggClientGraph, ItsOwnKeyReflectedIsRefused) {
  for (const bool box : {true, false}) {
    for (const bool as_box : {true, false}) {
      EXPECT_THAT(puppet_refusal([&](SecAggEnemy::Puppet& puppet, SecAggEnemy& enemy) {
                    const auto& advertised = std::get<SecAggAdvertised>(enemy.victim().phase());
                    const KeyAdvert keys = decode_advert(advertised.advert.bytes).value();
                    (as_box ? puppet.keys.box_key : puppet.keys.mask_key) =
                        box ? keys.box_key : keys.mask_key;
                  }),
                  HasSubstr("this device's own key"));
    }
  }
}

TEST(SecAggClientGraph, AKeyThatNoGeneratorMakesIsRefused) {
  EXPECT_THAT(puppet_refusal([](SecAggEnemy::Puppet& puppet, SecAggEnemy&) {
                puppet.keys.box_key = {};
                puppet.keys.box_key.bytes[0] = 1;
              }),
              HasSubstr("can't be used"));
  // A mask key of that kind shows when masks are made, and then there are none.
  SecAggEnemy enemy(6);
  enemy.puppet(2).keys.mask_key = {};
  enemy.sign(enemy.puppet(2));
  enemy.until_survivors();
  EXPECT_EQ(enemy.victim().masks().error().code, ErrorCode::kUnauthenticated);
}

} // namespace
} // namespace coppice
