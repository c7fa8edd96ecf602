// SPDX-License-Identifier: Apache-2.0
#include "sim/lexicon.h"

namespace coppice::people {

// What everybody writes about now and then, whatever their subject.
const std::string_view kLexiconHome = R"(
@home
g kettle, teapot, saucepan, toaster, cupboard, biscuit tin, cutlery drawer, blender; clean out,
  fill, replace, break, unpack, wipe, borrow, rinse; chipped, enamel, burnt-out, electric, plain,
  overfull, greasy; whistle for nobody, stick again, smell of cloves, leak onto the worktop
g scarf, overcoat, cardigan, raincoat, jumper, dressing gown, pair of slippers, hat; darn, wash,
  air, hand down, wear, lose, iron, dye; itchy, threadbare, moth-eaten, striped, cosy, shrunken,
  woollen; hang behind the door, shrink in the wash, suit nobody, keep the draught out, drip in
  the hall
g sofa, mirror, rug, bookshelf, lampshade, armchair, curtain, mattress; move, dust, sell, drag
  upstairs, beat, give away, measure, cover; sagging, ugly, inherited, velvet, lumpy,
  unfashionable; block the window, creak at night, hide a lost coin, divide the family, fade in
  the sun
g envelope, parcel, bill, passport, diary, photograph album, recipe, crossword; open, find, read,
  misplace, burn, copy out, sign, tear up; crumpled, unpaid, official, faded, unfinished,
  unexpected; turn up behind the radiator, make everyone laugh, sit on the mat, bring it all back
g bus, train, lift, ferry, taxi, motorway, car park; catch, miss, take, wait for, avoid, share;
  delayed, crammed, expensive, empty, smelly, comfortable; arrive without warning, break down at
  the bridge, take twice as long, smell of chips, leave me at the wrong end of town
g garden party, birthday, wedding, funeral, barbecue, jumble sale, quiz, picnic; plan, survive,
  remember, postpone, host, leave early, enjoy; rowdy, solemn, rained-off, lavish, awkward, merry;
  go on too long, end in song, cost a fortune, bring out the cousins, begin without us
g tooth, shoulder, ankle, elbow, ear, eyebrow, thumb; rub, bandage, bump, rest, scratch, warm;
  sore, bruised, stiff, swollen, itchy, crooked; hurt in the cold, ache by evening, need a proper
  look
h baby, toddler, godson, lodger, plumber, dentist, headmistress, bridegroom; visit, thank, phone,
  avoid, invite, tease, forgive; talkative, exhausted, punctual, moody, generous, sunburnt; talk
  without stopping, arrive an hour early, eat everything, leave without a coat, want a word
g puppy, kitten, hen, goldfish, hedgehog, robin, tabby; feed, chase, rescue, bath, adopt, spoil;
  scruffy, fluffy, timid, fat, muddy, clever, homeless; escape under the gate, sleep in the sink,
  steal the butter, look me in the eye, bring up its breakfast
m laundry, toast, gravy, rent, marmalade, soap, homework, news, sleep, rain; pay for, put off,
  worry about, talk about, do without, make; cold, lumpy, cheap, damp, endless, sudden, thick;
  spoil the evening, go everywhere, cheer everyone up, run out on Sunday
r lady downstairs, plumber, bank clerk, neighbour's boy, doctor, head teacher, taxi driver,
  barber, librarian, estate agent, meter reader
p at the launderette, in the kitchen, on the landing, at the corner shop, in the bath, by the
  front gate, in bed, at the dentist's, on the sofa, in the attic, at the swimming pool, in the
  queue
u cups, stairs, pounds, visitors, pages, envelopes, phone calls, candles, sandwiches
n Christmas, Easter, the attic, Aunt Peg, the kitchen table, the corner shop, the old house,
  Sunday
t paint the bathroom | defrost the freezer | write to {friend} | sort out the attic | cancel the
  milk | plan a trip to {town} | look for a cheaper flat | have my hair cut | bleed the radiators
  | bake something for {friend} | unblock the sink | tidy for {proper} | take {friend} to the
  station
e the door <slam> with the key inside | the power <go> off at {time} | {role} <come> at last | a
  bird <fly> down the chimney | the neighbours <p quarrel> about a parking space | {friend} <pass>
  the driving test | a parcel for {role} <sit> in the hall | somebody <steal> the doormat | the
  lift <break> down | {friend} <lose> a purse in {town} | we <p watch> fireworks from the roof | I
  <1 drop> an egg
f a tidy house is a sign of a broken television | guests arrive when the bath is full | nobody
  owns enough teaspoons | the shortest errand takes all day | families are held together by soup |
  a clean window shows the dust | what is lost is always under something
w the rent will go up | {friend} is not well | we have outgrown the flat | the roof will need
  doing | {friend} will move away | I have left the iron on | there is no milk | my mother was
  right
)";

} // namespace coppice::people
