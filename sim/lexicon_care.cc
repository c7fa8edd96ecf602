// SPDX-License-Identifier: Apache-2.0
#include "sim/lexicon.h"

namespace coppice::people {

// The format is in lexicon.h.
const std::string_view kLexiconCare = R"(
@postman
g parcel, letter, postcard, registered item, catalogue, birthday card, tax bill; deliver, sort,
  redirect, carry, sign for, post; soggy, fragile, misaddressed, bulky, anonymous, unstamped; fit
  through no letterbox, come back to sender, rattle worryingly, go to the wrong crescent
g satchel, trolley, bicycle, van, rain cape, torch; load, push, lock up, hang out, pump up,
  fold; soaked, overloaded, squeaky, faithful, regulation; pull on one shoulder, lose its chain,
  steam on the radiator
g letterbox, gate, doorstep, garden path, stairwell, doorbell; find, shut, reach, climb, avoid,
  ring; low, sprung, slippery, hidden, overgrown; snap at my fingers, stick with frost, lead to
  the wrong flat
m post, drizzle, string, junk mail, gossip; bundle, walk through, tie, drop off, hear; light,
  Monday, late, local; weigh more every year, travel faster than I do, dry on the hook
r terrier at the vicarage, sorting-office manager, widow at the end house, student from the
  flats, new temp
p at the sorting office, on the hill, in the high flats, along the canal, at the vicarage,
  outside the bakery
u parcels, houses, steps, miles, letters, dogs
n Walk Twelve, Larch Crescent, Tanner's Row, the vicarage, Number Sixteen, Priory Flats
t sort {proper} | cover {proper} for {friend} | redirect the mail of {proper} | buy dog biscuits
  | wax the boots | fill in a missed-delivery card | learn {proper} | start at four
e the dog at {proper} <take> my trouser leg | {role} <wait> at the gate of {proper} | {proper}
  <get> {measure} in a day | a swan <block> the towpath | {role} <give> me a jar of chutney | snow
  <close> {proper} | a letter for {proper} <arrive> twenty years late | I <1 fall> on the steps of
  {proper}
f dogs know the shape of a satchel | you learn who is lonely by the catalogues | bad news comes
  in thin envelopes | the last house is always the steepest | everybody loves the postman in
  December
w {proper} will be cut in two | my heel is playing up | the terrier is loose again | Christmas
  will start in October | they will take away the bicycles
@train driver
g signal, junction, viaduct, tunnel, platform, level crossing; pass, approach, clear, obey,
  watch for, leave; red, unlit, curved, wet, remote, request; show a single yellow, hide behind
  the bridge, come up fast, stand at danger
g locomotive, brake, windscreen, cab, power handle, horn, coupling; test, ease off, start up,
  clean, isolate, hand over; sluggish, draughty, cold, smooth, failing, modern; grip on the wet
  leaves, lose power on the bank, whine at sixty, run sweetly
g shift, diagram, stopping service, freight path, last train, empty run; work, swap, book on,
  finish, turn down, drive; early, split, late-running, quiet, awkward; begin at three, finish
  miles from home, lose four minutes at the loop
m sand, fog, ballast, leaf fall, steam; drop, crawl through, report, run over, curse; thick,
  loose, slippery, autumn; hide the marker boards, slow the whole line, lift after Kirkby
r guard, signaller, instructor, fitter, trainspotter
p in the cab, on the branch, at the loop, in the mess room, beyond the viaduct, at the buffers
u minutes, coaches, miles an hour, signals, wagons, stations
n Kirkby Junction, the 05:12, the Marsh branch, Blackfold Tunnel, the stone train, Unit 204
t route-learn {proper} | prepare {proper} | work {proper} to the coast | brush up the rules |
  set back at {proper} | report a rough ride | bring {proper} home empty | teach {friend} the
  branch
e {proper} <stand> {dur} at a red | a heron <stand> in the middle of {proper} | {role} <miss>
  the connection | {proper} <lose> its heating | a tree <come> down at {proper} | {role} <wave>
  from the footbridge | {proper} <run> on time for once | sheep <p stray> onto {proper}
f the railway runs on tea and rules | a red is never personal | you drive the line in your sleep
  and then you really drive it | the last train carries the best stories | leaves are stronger
  than steel
w {proper} will be closed for the winter | the new units have no room for a flask | the
  trespassers will come back | I will be put on nights | the brake on {proper} is grabbing
@vet
g spaniel, tomcat, ferret, heifer, parrot, rabbit, greyhound, tortoise; examine, stitch up,
  vaccinate, sedate, weigh, discharge, X-ray; overweight, feverish, elderly, bitten, timid,
  drowsy; hiss at the nurse, swallow a sock, recover overnight, hide under the table, eat like a
  horse
g wound, fracture, abscess, tooth, tumour, claw; clean, drain, remove, stitch, photograph,
  dress; deep, infected, tidy, stubborn, tiny; heal by itself, open again, smell dreadful, look
  worse than it is
g scalpel, cone collar, thermometer, drip stand, cage, stethoscope; sterilize, fit, break, look
  for, warm, wheel in; chewed, clean, lost, wobbly, steel; go under the cupboard, frighten the
  owner, need replacing
m anaesthetic, antibiotic, flea powder, disinfectant, plaster; draw up, prescribe, order, mop
  up, give; strong, cheap, out-of-date, bitter; wear off early, work by the weekend, sting like
  mad
r receptionist, farmer, breeder, small boy with a hamster, locum, pig man
p in theatre, in the consulting room, at the farm, in the recovery kennels, in the waiting room,
  on call
u stitches, kilos, kittens, calves, tablets, consultations
n Biscuit, Lord Percy, Mabel, Sergeant, Pudding, Low Farm
t castrate {proper} | calve a heifer at Low Farm | check the stitches of {proper} | ring the
  owner of {proper} | read the films | sterilize the packs | put {proper} on a diet | test the
  herd
e {proper} <bite> the student | {role} <faint> at the sight of {proper} | {proper} <walk> for
  the first time | {proper} <eat> the dressing | {role} <pay> with a box of eggs | a calf <arrive>
  backwards at two | {proper} <go> to sleep for good | {proper} <wake> and <wag>
f the smallest teeth go deepest | owners lie and animals cannot | a farmer rings when it is
  nearly too late | cats read the appointment book | nobody forgets the dog they lost
w {proper} will not last the night | the herd test will come back bad | {role} will not take
  advice | I missed something on the film | the locum is leaving
@mountain guide
g ridge, couloir, glacier, gully, scree slope, summit, cornice, pitch; climb, traverse, descend,
  avoid, scout, lead; exposed, icy, loose, corniced, sunlit, steep, wind-scoured; catch the first
  light, fill with cloud, shed stones all day, look easier from below
g rope, ice axe, crampon, harness, belay device, stove, helmet; coil, sharpen, check, pack, tie
  into, lend; frozen, worn, stiff, light, blunt, trusted; bite at the first swing, kink in the
  cold, snap a strap, weigh too much
g hut, cairn, bivouac, path, shelter, footbridge; reach, mark, leave, rebuild, dig out, book;
  snowed-in, crowded, smoky, faint, half-buried; stand empty until June, lose its roof, appear out
  of the mist, serve the worst soup in the range
m snow, powder, fog, chocolate, verglas, rime; test, kick through, melt, share, probe;
  wind-packed, wet, rotten, deep, fresh; slide at noon, settle after the cold night, hide every
  track
r client, hut warden, rescue pilot, aspirant, avalanche forecaster
p on the north face, at the col, in the hut, below the serac, on the moraine, above the treeline
u metres, pitches, degrees, hours, ropes, switchbacks
n the Grauhorn, Sella Col, the Needle, Piz Morell, the Old Hut, Tooth Ridge
t guide {proper} with two clients | dig a snow pit below {proper} | restock the first-aid bag |
  teach the ice-axe arrest | set an anchor on {proper} | phone the hut about {proper} | wax the
  skis | reconnoitre {proper}
e {role} <lose> a crampon under {proper} | stones <p come> down {proper} | the helicopter <lift>
  someone off {proper} | we <p turn> back {measure} below {proper} | {role} <cry> on top of
  {proper} | a chamois <cross> {proper} ahead of us | the forecast for {proper} <change> | {role}
  <snore> all night
f the summit is halfway | turning round is a skill | mountains are patient with nobody | the
  weather reads no forecast | wet ropes weigh like guilt
w {proper} will avalanche | the client is not fit for {proper} | the glacier is opening early |
  the window will close by noon | {role} will want a refund
@choir singer *
g anthem, motet, descant, carol, requiem, canon, psalm, madrigal; rehearse, sing, learn, record,
  transpose, murder, love; gorgeous, flat, high, unaccompanied, gloomy, joyful, tricky; go sharp
  at the top, fall to bits on page nine, sound like heaven, bore the altos
g rehearsal, concert, solo, audition, tour, warm-up; miss, enjoy, dread, organise, skip, run;
  endless, candlelit, under-rehearsed, triumphant, chilly; begin with scales, finish in the pub,
  overrun, fill the nave
g folder, black dress, music stand, organ, pitch pipe, cough sweet; forget, tune, pass round,
  drop, borrow, mend; creased, wheezy, collapsing, shared, ancient; crash during the amen, cipher
  on a low D, need dry cleaning
m breath, harmony, gossip, vowel colour, applause, tea; hold, find, blend, pour, save; warm,
  ragged, thin, pure; hang in the roof, run out before the bar line, make up for everything
r conductor, second alto, organist, soloist, treasurer, tenor
p in the choir stalls, at the parish hall, in the back row, at the cathedral, in the vestry, on
  the tour coach
u bars, sopranos, pages, tickets, encores, verses
n the Tallis, the Faure, Evensong, the Byrd, the Christmas concert, the Rutland tour
t learn {proper} by heart | sell tickets for {proper} | mark the breaths in {proper} | audition
  for {proper} | bake for {proper} | iron the blouse | sing {proper} at a wedding | carpool to
  {proper}
e {role} <come> in early in {proper} | {proper} <drop> a semitone | {role} <weep> through
  {proper} | the lights <p go> out in the middle of {proper} | {role} <forget> the folders | we <p
  repeat> {proper} {count} times | a baby <join> in with {proper} | {proper} <get> a standing
  ovation
f tenors are a rumour | an alto always knows the tune and never gets it | breathe before you
  need to | everyone is flat on a Tuesday | the rest is also music
w {proper} will fall apart | {role} will give the solo to someone else | we have no second bass
  | I will lose my voice | the church is too cold for {proper}
@pharmacist
g prescription, blister pack, label, inhaler, cough bottle, repeat order, box of tablets;
  dispense, check, count, label, query, bag up, order; illegible, urgent, out-of-stock,
  child-proof, generic, double; wait for a signature, come without a dose, go out to the wrong
  bag, sit uncollected
g counter, fridge, till, drawer, shutter, computer; lock, restock, defrost, clean, restart, open
  up; stiff, warm, tidy, slow, alarmed; freeze at the busiest hour, stick halfway, beep at nine
g rash, sore throat, blood test, allergy, side effect, dose; check, explain, note down, look up,
  double, discuss; mild, itchy, rare, unexplained, low; need a doctor, clear in three days, worry
  me more than him
m ointment, methadone, paracetamol, advice, flu vaccine, stock; measure, give, count out, hand
  over, store; free, chilled, controlled, scarce; run short nationally, calm everyone down, expire
  in May
r GP, delivery boy, regular with the inhaler, new mother, wholesaler, man in a hurry
p at the counter, in the dispensary, in the consultation room, by the fridge, at the surgery, in
  the stockroom
u items, tablets, millilitres, customers, flu jabs, boxes
n Dr Mehta, Mrs Gallagher, the Elms, Mr Petrov, the late rota, Miss Ovenden
t check the fridge log | deliver to {proper} | ring the surgery about {proper} | do the flu
  clinic | make up the trays for {proper} | count the controlled drugs | return the expired stock
  | counsel {proper}
e {proper} <lose> the whole box | {role} <write> ten times the dose for {proper} | {proper}
  <bring> back a bag of old pills | {role} <shout> about the queue | {proper} <remember> my
  birthday | the wholesaler <send> {measure} too few | the shutter <stick> in front of {proper} |
  we <p jab> {measure} before noon
f nobody reads the leaflet | the queue grows when you sit down | listening is dispensed free |
  doctors write as if paper were dear | half of medicine is remembering
w the shortage will get worse | {proper} is mixing them up | the chain will buy us out | I
  checked that label too fast | the fridge will fail over the weekend
)";

} // namespace coppice::people
