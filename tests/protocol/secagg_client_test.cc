// SPDX-License-Identifier: Apache-2.0
// What a device refuses of an aggregator that lies, and of other devices that work with it: each
// refusal ends its part in the round for good, also after a restart.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/protocol/samples.h"
#include "tests/protocol/secagg_enemy.h"

namespace coppice {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// ---- the honest way through ----

TEST(SecAggClient, GoesThroughAllPhasesWithAnHonestServer) {
  SecAggEnemy enemy(6);
  SecAggClient& victim = enemy.victim();
  EXPECT_THAT(victim.start(), SizeIs(2)); // persist, advertise
  EXPECT_TRUE(victim.roster_hash().is_zero());
  const Roster roster = enemy.roster();
  EXPECT_THAT(victim.handle(roster), SizeIs(2));
  EXPECT_EQ(victim.roster_hash(), roster.hash());
  EXPECT_THAT(victim.handle(enemy.opening()), SizeIs(2));
  const auto masking = victim.handle(enemy.inbox());
  ASSERT_THAT(masking, SizeIs(2));
  EXPECT_TRUE(std::holds_alternative<MasksReady>(masking[1]));
  EXPECT_THAT(victim.masks().value(), SizeIs(6)); // its own, and one for each of five neighbours
  EXPECT_THAT(victim.handle(enemy.survivors()), SizeIs(2));
  EXPECT_STREQ(victim.phase_name(), "answered");
  EXPECT_EQ(victim.masks().error().code, ErrorCode::kFailedPrecondition);
}

TEST(SecAggClient, GivesTheShareOfOneSecretOfEachNeighbourByTheList) {
  SecAggEnemy enemy(6);
  enemy.until_survivors();
  const auto& neighbours = std::get<SecAggMasked>(enemy.victim().phase()).shared.neighbours;
  const std::uint32_t dead = neighbours[1].member;
  SurvivorList list = enemy.survivors();
  list.survivors[0] = static_cast<std::uint8_t>(list.survivors[0] & ~(1U << dead));
  const auto actions = enemy.victim().handle(list);
  ASSERT_THAT(actions, SizeIs(2));
  const auto& answer = std::get<UnmaskShares>(std::get<SendSecAgg>(actions[1]).message);
  ASSERT_THAT(answer.shares, SizeIs(5));
  for (const UnmaskShare& share : answer.shares) {
    EXPECT_EQ(share.of, share.member == dead ? ShareOf::kMaskKey : ShareOf::kSelfMask);
    EXPECT_EQ(share.share[0], share.member + 1); // see SecAggEnemy::box_from()
  }
  EXPECT_EQ(answer.survivors_hash, list.hash());
}

TEST(SecAggClient, IgnoresOtherPlansRostersAndAttemptsAndWhatComesTooEarly) {
  SecAggEnemy enemy(6);
  SecAggClient& victim = enemy.victim();
  victim.start();
  Roster roster = enemy.roster();
  roster.plan_hash = samples::hash(1);
  EXPECT_THAT(victim.handle(roster), IsEmpty());
  roster = enemy.roster();
  roster.attempt = 1;
  EXPECT_THAT(victim.handle(roster), IsEmpty());
  EXPECT_THAT(victim.handle(Readvertise{samples::hash(1), 1}), IsEmpty());
  EXPECT_THAT(victim.handle(Readvertise{enemy.context().plan_hash, kMaxAttempts}), IsEmpty());
  victim.handle(enemy.roster());
  EXPECT_THAT(victim.handle(ShareInbox{victim.roster_hash(), {}}), IsEmpty());
  GraphOpening opening = enemy.opening();
  opening.roster_hash = samples::hash(2);
  EXPECT_THAT(victim.handle(opening), IsEmpty());
  victim.handle(enemy.opening());
  EXPECT_THAT(victim.handle(enemy.survivors()), IsEmpty()); // it has not masked
  ShareInbox inbox = enemy.inbox();
  inbox.roster_hash = samples::hash(2);
  EXPECT_THAT(victim.handle(inbox), IsEmpty());
  victim.handle(enemy.inbox());
  SurvivorList list = enemy.survivors();
  list.roster_hash = samples::hash(2);
  EXPECT_THAT(victim.handle(list), IsEmpty());
  EXPECT_THAT(victim.handle(NonceOpening{victim.roster_hash(), {}}), IsEmpty());
  EXPECT_STREQ(victim.phase_name(), "masked");
}

TEST(SecAggClient, AnswersTheSameMessageWithTheSameBytesAlsoAfterARestart) {
  SecAggEnemy enemy(6);
  SecAggClient& victim = enemy.victim();
  const auto same_twice = [&](const SecAggMessage& message) {
    const auto first = victim.handle(message);
    ASSERT_THAT(first, SizeIs(2));
    auto restored = SecAggClient::restore(enemy.context(), std::get<PersistSecAgg>(first[0]).state);
    ASSERT_TRUE(restored) << restored.error().message;
    for (const auto& again : {victim.handle(message), victim.say_again(), restored->handle(message),
                              restored->say_again()}) {
      ASSERT_THAT(again, SizeIs(1));
      ASSERT_EQ(again[0].index(), first[1].index());
      if (const auto* sent = std::get_if<SendSecAgg>(&again[0])) {
        EXPECT_EQ(encode_secagg(sent->message),
                  encode_secagg(std::get<SendSecAgg>(first[1]).message));
      }
    }
    EXPECT_EQ(restored->serialize(), victim.serialize());
  };
  victim.start();
  same_twice(Readvertise{enemy.context().plan_hash, 1});
  for (std::uint32_t i = 0; i < 5; ++i) { // the puppets for that attempt
    SecAggEnemy::Puppet& puppet = enemy.puppet(i);
    puppet.keys.attempt = 1;
    puppet.keys.nonce_commitment = commit_nonce(puppet.nonce, puppet.id, puppet.keys.plan_hash, 1);
    enemy.sign(puppet);
  }
  same_twice(enemy.roster());
  same_twice(enemy.opening());
  same_twice(enemy.inbox());
  same_twice(enemy.survivors());
}

TEST(SecAggClient, MakesFreshKeysForEachAttempt) {
  SecAggEnemy enemy(6);
  SecAggClient& victim = enemy.victim();
  victim.start();
  const KeyAdvert first =
      decode_advert(std::get<SecAggAdvertised>(victim.phase()).advert.bytes).value();
  victim.handle(enemy.roster()); // from here on the keys are spent
  victim.handle(Readvertise{enemy.context().plan_hash, 3});
  const KeyAdvert second =
      decode_advert(std::get<SecAggAdvertised>(victim.phase()).advert.bytes).value();
  EXPECT_EQ(second.attempt, 3);
  EXPECT_NE(first.box_key, second.box_key);
  EXPECT_NE(first.mask_key, second.mask_key);
  EXPECT_NE(first.nonce_commitment, second.nonce_commitment);
  EXPECT_THAT(victim.handle(Readvertise{enemy.context().plan_hash, 2}), IsEmpty()); // an old one
}

// ---- rosters ----

std::string roster_refusal(const std::function<void(Roster&, SecAggEnemy&)>& change,
                           std::uint32_t min_survivors = 3) {
  SecAggEnemy enemy(6, min_survivors);
  enemy.until_roster();
  Roster roster = enemy.roster();
  change(roster, enemy);
  return why_stopped(enemy, enemy.victim().handle(roster));
}

RosterEntry& mine(Roster& roster, SecAggEnemy& enemy) {
  return *std::ranges::find(roster.entries, enemy.context().id, &RosterEntry::client);
}

TEST(SecAggClientRoster, WithoutTheDeviceOrWithOtherKeysUnderItsNameIsRefused) {
  EXPECT_THAT(roster_refusal([](Roster& roster, SecAggEnemy& enemy) {
                std::erase(roster.entries, RosterEntry(mine(roster, enemy)));
              }),
              HasSubstr("leaves this device out"));
  EXPECT_THAT(roster_refusal([](Roster& roster, SecAggEnemy& enemy) {
                mine(roster, enemy).advert_hash.bytes[0] ^= 1;
              }),
              HasSubstr("other keys under this device's name"));
  EXPECT_THAT(roster_refusal([](Roster& roster, SecAggEnemy& enemy) {
                mine(roster, enemy).nonce_commitment.bytes[31] ^= 1;
              }),
              HasSubstr("another nonce commitment"));
}

TEST(SecAggClientRoster, BelowTheFloorIsRefused) {
  EXPECT_THAT(roster_refusal([](Roster&, SecAggEnemy&) {}, 7),
              HasSubstr("6 members, and the floor is 7"));
}

TEST(SecAggClientRoster, OutOfOrderOrWithADeviceTwiceIsRefused) {
  EXPECT_THAT(roster_refusal([](Roster& roster, SecAggEnemy&) {
                std::swap(roster.entries[1], roster.entries[2]);
              }),
              HasSubstr("out of order"));
  EXPECT_THAT(roster_refusal([](Roster& roster, SecAggEnemy&) {
                roster.entries.insert(roster.entries.begin(), roster.entries.front());
              }),
              HasSubstr("names a device twice"));
}

TEST(SecAggClientRoster, ASecondOneForTheSameKeysIsRefusedInEveryPhase) {
  for (int phase = 0; phase < 4; ++phase) {
    SecAggEnemy enemy(6);
    enemy.until_roster();
    const Roster first = enemy.roster();
    Roster second = first;
    second.entries.pop_back();
    if (second.entries.back().client < enemy.context().id)
      second.entries.back() = first.entries.back();
    enemy.victim().handle(first);
    if (phase > 0) enemy.victim().handle(enemy.opening());
    if (phase > 1) enemy.victim().handle(enemy.inbox());
    if (phase > 2) enemy.victim().handle(enemy.survivors());
    EXPECT_THAT(why_stopped(enemy, enemy.victim().handle(second)),
                HasSubstr("second, different roster"))
        << phase;
  }
}

TEST(SecAggClientRoster, NewKeysAfterSharesWereDealtAreRefused) {
  SecAggEnemy enemy(6);
  enemy.until_inbox();
  EXPECT_THAT(why_stopped(enemy, enemy.victim().handle(Readvertise{enemy.context().plan_hash, 1})),
              HasSubstr("no second roster"));
}

TEST(SecAggClientRoster, WithAGraphWeakerThanTheOwnerAssumesIsRefused) {
  // The plan's threshold is 10 of 11, since one of 12 may leave. An owner who trusts one needs 11.
  SecAggEnemy enemy(12, 3, {.corrupt = .9});
  enemy.until_roster();
  EXPECT_THAT(why_stopped(enemy, enemy.victim().handle(enemy.roster())), HasSubstr("threshold"));
  SecAggEnemy sparse(40, 3, {.corrupt = .4});
  sparse.until_roster();
  EXPECT_THAT(why_stopped(sparse, sparse.victim().handle(sparse.roster())), HasSubstr("refused"));
}

// ---- share boxes ----

std::string inbox_refusal(const std::function<void(ShareInbox&, SecAggEnemy&)>& change,
                          std::uint32_t members = 6) {
  SecAggEnemy enemy(members);
  enemy.until_inbox();
  ShareInbox inbox = enemy.inbox();
  change(inbox, enemy);
  return why_stopped(enemy, enemy.victim().handle(inbox));
}

TEST(SecAggClientInbox, BoxesThatWereAlteredOrRedirectedAreRefused) {
  for (const std::size_t byte : {std::size_t{0}, kShareBoxBytes - 1}) {
    EXPECT_THAT(
        inbox_refusal([&](ShareInbox& inbox, SecAggEnemy&) { inbox.boxes[1].box[byte] ^= 1; }),
        HasSubstr("altered"));
  }
  EXPECT_THAT(inbox_refusal([](ShareInbox& inbox, SecAggEnemy&) {
                std::swap(inbox.boxes[0].box, inbox.boxes[1].box);
              }),
              HasSubstr("altered"));
  EXPECT_THAT(inbox_refusal([](ShareInbox& inbox, SecAggEnemy& enemy) { // sealed for another
                inbox.boxes[0].box = enemy.box_from(inbox.boxes[0].member, inbox.boxes[1].member);
              }),
              HasSubstr("altered"));
  EXPECT_THAT(inbox_refusal([](ShareInbox& inbox, SecAggEnemy& enemy) { // its own, sent back
                inbox.boxes[0].box =
                    std::get<SecAggShared>(enemy.victim().phase()).boxes.boxes[0].box;
              }),
              HasSubstr("altered"));
}

TEST(SecAggClientInbox, BoxesOfStrangersRepeatedOrOutOfOrderAreRefused) {
  const char* const kWords = "no neighbour, comes twice or out of order";
  EXPECT_THAT(inbox_refusal([](ShareInbox& inbox, SecAggEnemy& enemy) {
                inbox.boxes[0].member = std::get<SecAggShared>(enemy.victim().phase()).me;
              }),
              HasSubstr(kWords));
  EXPECT_THAT(inbox_refusal([](ShareInbox& inbox, SecAggEnemy&) { inbox.boxes[4].member = 17; }),
              HasSubstr(kWords));
  EXPECT_THAT(inbox_refusal([](ShareInbox& inbox, SecAggEnemy&) {
                inbox.boxes.insert(inbox.boxes.begin(), inbox.boxes.front());
              }),
              HasSubstr(kWords));
  EXPECT_THAT(inbox_refusal([](ShareInbox& inbox, SecAggEnemy&) {
                std::swap(inbox.boxes[0], inbox.boxes[1]);
              }),
              HasSubstr(kWords));
}

TEST(SecAggClientInbox, FewerSharersThanTheThresholdAreRefused) {
  // Of 6 devices one may leave: threshold 4 of 5.
  const auto left = [](std::size_t count) {
    return inbox_refusal([count](ShareInbox& inbox, SecAggEnemy&) { inbox.boxes.resize(count); });
  };
  EXPECT_THAT(left(3), HasSubstr("3 neighbours shared, and 4 are needed"));
  EXPECT_THAT(left(0), HasSubstr("0 neighbours shared"));
  EXPECT_THAT(left(4), HasSubstr("it did 2 things, and is masked"));
}

TEST(SecAggClientInbox, ASecondDifferentOneIsRefused) {
  SecAggEnemy enemy(6);
  enemy.until_inbox();
  ShareInbox inbox = enemy.inbox();
  enemy.victim().handle(inbox);
  inbox.boxes.pop_back();
  EXPECT_THAT(why_stopped(enemy, enemy.victim().handle(inbox)), HasSubstr("second, different set"));
}

// ---- survivors ----

std::string survivors_refusal(const std::function<void(SurvivorList&, SecAggEnemy&)>& change,
                              std::uint32_t min_survivors = 3) {
  SecAggEnemy enemy(10, min_survivors);
  enemy.until_survivors();
  SurvivorList list = enemy.survivors();
  change(list, enemy);
  return why_stopped(enemy, enemy.victim().handle(list));
}

void clear(std::vector<std::uint8_t>& bits, std::uint32_t member) {
  bits[member / 8] = static_cast<std::uint8_t>(bits[member / 8] & ~(1U << (member % 8)));
}
std::uint32_t number_of(SecAggEnemy& enemy) {
  return std::get<SecAggMasked>(enemy.victim().phase()).shared.me;
}
void leave_alive(SurvivorList& list, std::uint32_t me, std::uint32_t count) {
  for (std::uint32_t member = 0, alive = 10; member < 10 && alive > count; ++member) {
    if (member == me) continue;
    clear(list.survivors, member);
    --alive;
  }
}

TEST(SecAggClientSurvivors, ASecondDifferentListIsRefusedAlsoAfterARestart) {
  for (const bool restart : {false, true}) {
    SecAggEnemy enemy(10);
    enemy.until_survivors();
    enemy.victim().handle(enemy.survivors());
    SurvivorList second = enemy.survivors();
    leave_alive(second, std::get<SecAggAnswered>(enemy.victim().phase()).masked.shared.me, 9);
    SecAggClient restored =
        SecAggClient::restore(enemy.context(), enemy.victim().serialize()).value();
    if (!restart) {
      EXPECT_THAT(why_stopped(enemy, enemy.victim().handle(second)),
                  HasSubstr("second, different survivors' list"));
      continue;
    }
    const auto actions = restored.handle(second);
    ASSERT_THAT(actions, SizeIs(2));
    EXPECT_THAT(std::get<SecAggRefused>(actions[1]).reason,
                HasSubstr("second, different survivors' list"));
  }
}

TEST(SecAggClientSurvivors, AListWithoutTheDeviceIsRefused) {
  EXPECT_THAT(survivors_refusal([](SurvivorList& list, SecAggEnemy& enemy) {
                clear(list.survivors, number_of(enemy));
              }),
              HasSubstr("leaves this device out"));
}

TEST(SecAggClientSurvivors, ASurvivorThatNeverSharedIsRefused) {
  EXPECT_THAT(survivors_refusal([](SurvivorList& list, SecAggEnemy& enemy) {
                clear(list.shared, number_of(enemy) == 0 ? 1 : 0);
              }),
              HasSubstr("survivor that never shared"));
}

// No list makes a neighbour both alive and dead, since a member has one bit: what can be said is
// that one shared and is not in the sum, or is. The share of the other secret is never asked for.
TEST(SecAggClientSurvivors, ASharerThatItsInboxDoesntHaveIsRefused) {
  SecAggEnemy enemy(10);
  enemy.until_inbox();
  ShareInbox inbox = enemy.inbox();
  inbox.boxes.pop_back();
  enemy.victim().handle(inbox);
  EXPECT_THAT(why_stopped(enemy, enemy.victim().handle(enemy.survivors())),
              HasSubstr("differ about"));
}

TEST(SecAggClientSurvivors, ASharerOfItsInboxThatIsLeftOutIsRefused) {
  EXPECT_THAT(survivors_refusal([](SurvivorList& list, SecAggEnemy& enemy) {
                const std::uint32_t other = number_of(enemy) == 0 ? 1 : 0;
                clear(list.shared, other);
                clear(list.survivors, other);
              }),
              HasSubstr("differ about"));
}

TEST(SecAggClientSurvivors, FewerThanTheFloorAreRefused) {
  const auto alive = [](std::uint32_t count) {
    return survivors_refusal(
        [count](SurvivorList& list, SecAggEnemy& enemy) {
          leave_alive(list, number_of(enemy), count);
        },
        9);
  };
  EXPECT_THAT(alive(8), HasSubstr("8 members, and the floor is 9"));
  EXPECT_THAT(alive(9), HasSubstr("it did 2 things, and is answered"));
}

TEST(SecAggClientSurvivors, FewerNeighboursThanTheThresholdAreRefused) {
  // Of 10 devices one may leave: threshold 8 of 9.
  const auto alive = [](std::uint32_t count) {
    return survivors_refusal([count](SurvivorList& list, SecAggEnemy& enemy) {
      leave_alive(list, number_of(enemy), count);
    });
  };
  EXPECT_THAT(alive(8), HasSubstr("7 neighbours survive, and 8 are needed"));
  EXPECT_THAT(alive(9), HasSubstr("it did 2 things, and is answered"));
}

TEST(SecAggClientSurvivors, ListsOfAnotherLengthOrWithBitsBeyondTheMembersAreRefused) {
  for (const bool of_shared : {true, false}) {
    for (const bool longer : {true, false}) {
      EXPECT_THAT(survivors_refusal([&](SurvivorList& list, SecAggEnemy&) {
                    auto& bits = of_shared ? list.shared : list.survivors;
                    longer ? bits.push_back(0) : bits.pop_back();
                  }),
                  HasSubstr("not of 10 members"));
    }
  }
  EXPECT_THAT(survivors_refusal([](SurvivorList& list, SecAggEnemy&) { list.shared[1] |= 0x80; }),
              HasSubstr("beyond the roster"));
  EXPECT_THAT(survivors_refusal([](SurvivorList& list, SecAggEnemy&) {
                list.shared[1] |= 0x40;
                list.survivors[1] |= 0x40;
              }),
              HasSubstr("beyond the roster"));
}

} // namespace
} // namespace coppice
