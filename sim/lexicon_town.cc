// SPDX-License-Identifier: Apache-2.0
#include "sim/lexicon.h"

namespace coppice::people {

// The format is in lexicon.h.
const std::string_view kLexiconTown = R"(
@bus driver
g double-decker, single-decker, minibus, spare bus, tram replacement; drive, park up, take out,
  fuel, hand over, check over; packed, late, draughty, brand-new, rattling, half-empty; lose its
  back heater, stall at the lights, kneel with a hiss, smell of wet coats
g ticket machine, wheelchair ramp, destination blind, mirror, wiper, handbrake, bell; reset,
  fold out, wipe, adjust, report, fix; jammed, foggy, broken, stiff, faulty; stick in the cold,
  beep for no reason, work when kicked, show the wrong route
g stop, roundabout, bus lane, level crossing, terminus, diversion, timetable; reach, pass, miss,
  block, learn, curse; blocked, unlit, icy, quiet, impossible; back up to the church, fill with
  schoolchildren, add ten minutes, make no sense
m traffic, overtime, change, diesel, fog; sit in, refuse, count out, swap, drive through; heavy,
  slow, loose, thick, endless; hold us up, clear after the bridge, eat the layover
r controller, pensioner with the trolley, ticket inspector, schoolboy, relief driver, drunk
p at the depot, on the ring road, at the hospital stop, in the canteen, along the seafront, by
  the market square
u passengers, minutes late, stops, pushchairs, pounds in coins, miles
n the 47, the 12A, the night bus, Cobden Road, Fernhill Estate, the X9
t take {proper} out at five | swap shifts with {friend} | do the first-use check | cover
  {proper} | clear the back seats | learn the diversion for {proper} | hand in a lost umbrella |
  wash the cab
e {role} <leave> a birthday cake on {proper} | {proper} <run> {count} minutes late | a van
  <block> Cobden Road | {role} <sing> the whole way to {proper} | the heating on {proper} <fail> |
  someone <hand> me a thank-you card | roadworks <p start> on {proper} | {role} <pay> for a
  stranger's ticket
f everybody waves except the people you waited for | the timetable was written on a Sunday | you
  learn a town by its speed humps | nobody thanks an early bus | rain doubles the passengers and
  halves the manners
w {proper} will be cut | the new rota will split my days off | the brakes feel soft | {role}
  will complain to the depot | there will be ice on the hill
@night nurse
g drip, monitor, syringe pump, dressing, catheter, oxygen line, cannula; change, set up, check,
  flush, prime, adjust, chart; blocked, sterile, alarming, leaking, fresh, tangled; beep until I
  silence it, run through too fast, come loose at four, need a new battery
h patient, new admission, old gentleman, quiet lady, lad from surgery; settle, turn, watch,
  wash, move, transfer, reassure; restless, confused, poorly, stable, frail, chatty; sleep through
  at last, ring the bell every hour, ask for tea, improve by morning
g drug round, handover, observation chart, care plan, incident form, rota; finish, start, sign,
  update, rush, dread; short, endless, incomplete, overdue, careful; run over by an hour, miss
  something small, keep us all late
m pain, blood pressure, fluid, sleep, paperwork, toast; monitor, record, top up, catch up on,
  share, escalate; low, steady, broken, poor, worrying; drop before dawn, creep up again, settle
  with the second dose
r registrar, night porter, student nurse, ward sister, relative, healthcare assistant
p on the ward, at the nurses' station, in the sluice, in bay three, outside theatre, in the
  linen room
u beds, millilitres, patients, degrees, hours, milligrams
n Bed Six, Mr Okafor, Mrs Lindqvist, Bay Two, Miss Pereira, Side Room One
t do the two o'clock turns | sit with {proper} | bleep the doctor about {proper} | check the
  controlled drugs | write up {proper} | take bloods from {proper} | make toast for {proper} |
  phone the family of {proper}
e {proper} <pull> the line out | {role} <bring> chips at midnight | {proper} <tell> me about the
  war | the call bells all <p go> at once | {proper} <ask> for a window | {role} <answer> the
  bleep after {dur} | {proper} <spike> a temperature | we <p lose> {proper} just before five
f nobody dies at a convenient time and nobody is born at one | four in the morning is its own
  country | tea is a clinical intervention | a quiet ward must never be called quiet | the feet go
  first
w {proper} will go downhill | we will be two short again | the rota will break somebody | I have
  forgotten to sign something | {proper} has nobody to go home to
@teenage footballer
g corner, free kick, penalty, header, volley, through ball, cross, tackle; take, miss, score,
  practise, win, waste, curl in; late, weak, perfect, lucky, dirty, brilliant, deflected; hit the
  bar, go straight to the keeper, fool everyone, end up in the car park
g match, training session, trial, semi-final, away game, warm-up, cup tie; lose, play, skip,
  film, boss, survive; freezing, massive, boring, rough, muddy, one-sided; go to extra time, get
  called off, start late, kill my legs
g boot, shin pad, kit bag, captain's armband, bib, water bottle; forget, tape up, lose, wear,
  borrow, lend out; stinking, new, ripped, too-small, lucky; pinch my toes, end up on the roof,
  still smell, disappear from the changing room
m homework, revision, stamina, respect, chemistry, banter; ignore, work on, hand in, put off,
  copy; unfair, last-minute, loud, pointless; pile up, kill the mood, win games, get us detention
r coach, ref, opposing striker, scout, left back, physio, form tutor
p at training, in the changing room, on the astro, at school, behind the goal, on the minibus
u goals, laps, minutes, press-ups, points, assists
n Eastfield Rovers, Saint Jude's, the Under Sixteens, Park End, Jayden, Tariq
t do extra laps | play left wing against {proper} | beat {proper} | watch the video of {proper}
  | revise chemistry | wash my kit | practise with my weak foot | text {proper} about the lift
e {proper} <nutmeg> me in front of everyone | {role} <drop> me to the bench | we <p beat>
  {proper} in the last minute | {proper} <get> a straight red | my hamstring <go> tight | {role}
  <shout> from the touchline | {proper} <miss> an open goal | I <1 score> from the halfway line
f the ref never sees the first foul | form is temporary and mud is permanent | a wall pass beats
  three tricks | the bench is the coldest place on earth | winning away feels different
w {role} will drop me | {proper} will smash us | my knee is not right | I will fail chemistry |
  the scout saw the wrong half
@violin teacher
g scale, study, concerto, sonata, minuet, arpeggio, duet, gavotte; practise, teach, play
  through, hear, sight-read, slow down, memorize; uneven, tuneful, demanding, scratchy, graceful,
  rushed; fall apart at the shift, sound better without the piano, need slow practice, go into the
  head at last
g bow hold, vibrato, shift, trill, left hand, phrase, intonation; correct, demonstrate, shape,
  relax, explain, loosen; tense, wobbly, natural, sour, singing, stiff; creep back by Thursday,
  improve with patience, come from the elbow, carry to the back row
h pupil, beginner, new girl, adult learner, scholarship boy, leader of the seconds; encourage,
  coach, rehearse, calm down, praise, push; shy, gifted, lazy, earnest, tearful, late; forget the
  music again, grow out of the half size, smile for the first time, play by heart
m rosin, sheet music, applause, rubato, silence; copy, hand out, use, borrow, ask for; loose,
  dusty, old, awkward, polite; turn up under the piano, help more than words, take away the nerves
r examiner, accompanist, anxious mother, head of music, piano tuner, grandfather
p in the music room, at the church hall, in the practice studio, on the recital stage, beside
  the piano, at the festival
u bars, lessons, pupils, minutes, beats, strings
n Bach, Vivaldi, the Telemann, Kreutzer Eleven, the Dvorak, Grade Five
t enter {friend} for the exam | mark fingerings in {proper} | restring the quarter size | play
  {proper} with the metronome | write the term reports | arrange {proper} for three violins | hear
  {proper} twice | tune twenty violins
e {proper} <fall> to pieces at the double stops | {role} <play> {proper} too fast | {role} <cry>
  at the recital | a string <snap> in {proper} | the smallest pupil <play> {proper} from memory |
  {role} <cancel> with an hour's notice | we <p read> {proper} just for pleasure | the heating
  <bang> all through {proper}
f slow practice is the only fast way | the bow is the breath | parents hear wrong notes and
  children hear music | a metronome has no manners but it is right | everyone plays sharp when
  frightened
w {proper} is too hard for the concert | the school will cut the lessons | {friend} will give up
  | the recital falls on the wrong Sunday | my shoulder is getting worse
@amateur astronomer *
g nebula, galaxy, globular cluster, comet, double star, planet, crater; observe, sketch, find,
  photograph, split, log, show; faint, brilliant, hazy, low, elusive, colourful, crisp; hang over
  the chimney, fade after midnight, sit just below the horizon, fill the eyepiece, jump out at low
  power
g telescope, eyepiece, mount, finder, filter, tripod, camera, dew heater; collimate, set up,
  align, carry out, cool down, polish, swap; shaky, dewed-up, heavy, wide-field, home-made, cold;
  fog over by ten, track badly, need a counterweight, show perfect stars
g meteor, satellite, aurora, eclipse, occultation, halo; catch, miss, time, film, wait for,
  report; slow, green, bright, brief, predicted; cross the whole sky, last three seconds, hide
  behind cloud, make me shout
m moonlight, seeing, dew, cloud, starlight, darkness; curse, wait out, judge, measure, enjoy;
  steady, poor, thin, perfect, silvery; spoil the second half, roll in from the west, improve
  towards dawn, soak the charts
r club secretary, neighbour with the floodlight, school group, speaker, man from the planetarium
p in the back garden, at the dark site, on the moor, behind the garage, at the club meeting, on
  the flat roof
u magnitudes, degrees, arcseconds, frames, meteors, exposures
n Vega, Jupiter, the Pleiades, Saturn, Andromeda, Albireo, the Veil
t star-hop to {proper} | stack {count} frames of {proper} | polar align | time the moons of
  Jupiter | sketch {proper} | wait for {proper} to rise | give a talk about {proper} | grind the
  new mirror
e cloud <cover> {proper} at the worst moment | {proper} <stand> perfectly still at high power |
  {role} <switch> on the floodlight | {proper} <clear> the rooftops | I <1 see> {measure} in an
  hour | the battery <die> during {proper} | a fox <walk> under the tripod | {role} <gasp> at
  {proper}
f the sky is always clear on a work night | aperture is nothing beside a dark site | patience is
  the best eyepiece | every new telescope brings a week of cloud | your eyes need half an hour and
  your neighbours need none
w the moon will drown {proper} | the new streetlights will be white | the mirror needs recoating
  | I will sleep through the alarm | the frost will kill the battery
@librarian
g atlas, picture book, large-print romance, local history, thriller, dictionary, returned book;
  shelve, stamp, repair, reserve, recommend, withdraw, catalogue; overdue, dog-eared, misshelved,
  popular, chewed, coffee-stained; come back with a bacon rasher in it, fall apart at the spine,
  turn up in the wrong county, have forty holds
g photocopier, trolley, date stamp, reading lamp, issue desk, barcode scanner; unjam, push, fix,
  move, dust, switch off; squeaky, jammed, elderly, unreliable, bulky; refuse every card, squeak
  through the silence, need the engineer
g story time, book group, inventory, exhibition, quiz night, council meeting; run, plan, cancel,
  attend, advertise, set up; lively, poorly attended, long, cheerful, noisy; overrun as usual, end
  in biscuits, draw a crowd, descend into argument
m silence, dust, microfilm, poetry, stock, glue; keep, order, weed, read aloud, brush off,
  defend; complete, yellowed, expensive, precious; go unread for years, vanish at half term, need
  rebinding
r regular at the newspapers, councillor, toddler group, family historian, work-experience girl,
  retired colonel
p at the issue desk, in the stacks, in the reading room, in the children's corner, on the mobile
  library, in the basement
u books, loans, pence, visitors, boxes, reservations
n the Alder Collection, the parish registers, the Friday group, Ward Nine, the Brontes, the
  Burnside van
t catalogue {proper} | weed the travel section | read to {proper} | chase the overdue loans |
  set up {proper} | answer a query about {proper} | laminate the posters | lock the basement
e {role} <fall> asleep over {proper} | a pigeon <get> into the reading room | {role} <return> a
  book after {count} years | {proper} <argue> about the ending | {role} <find> a great-uncle in
  {proper} | the roof <drip> onto {proper} | {role} <hide> the crosswords | {proper} <need> a
  bigger room
f a library is warm and asks nothing | the best query is the one nobody has asked | people
  return more than books | the quiet ones read the murders | every town has its own spelling
w the council will cut a day | {proper} will end in a skip | the damp is spreading | we will
  lose the mobile van | nobody will come on Saturday
@cook *
g stockpot, sauce pan, griddle, ladle, knife, mandoline, pass, fryer; scrub, heat, sharpen,
  season, burn, hang up; scorched, heavy, blunt, hot, dented, missing; boil over twice, go missing
  mid-service, slip on the wet steel, hold the heat
g risotto, terrine, lamb shoulder, soup, souffle, dressing, pickled herring; plate up, braise,
  taste, garnish, send out, reduce; bland, glossy, peppery, rich, overdone, tender, sharp; split
  at the last minute, come back untouched, sell better than steak, need acid
g lemon, fennel bulb, shallot, duck leg, aubergine, oyster, quail; chop, roast, peel, order,
  trim, char; bruised, fat, sweet, unripe, spring; arrive two days late, cost a fortune, roll
  under the stove
m stock, saffron, butter, parsley, vinegar, cream; skim, infuse, brown, whisk in, strain,
  portion; cloudy, cold, salty, thin, aromatic; catch on the bottom, bring it all together, run
  out at eight
r head chef, pot washer, critic, waiter, fishmonger, party at the big table
p on the pass, in the walk-in, at the stove, behind the bins, in the dining room, at the fish
  market
u covers, portions, litres, minutes, plates, kilos of onions
n the Sunday menu, table twelve, the tasting menu, the Rinaldi party, the lunch special, the
  staff meal
t break down the ducks | cook {proper} | label the walk-in | make {count} litres of stock |
  rewrite {proper} | prep for {proper} | descale the oven | cost {proper}
e {role} <send> back {proper} | the extractor <die> in the middle of {proper} | {role} <cut> his
  thumb | {proper} <run> to {measure} | {role} <quit> before {proper} | we <p sell> out of hake |
  {proper} <get> a round of applause | the fishmonger <forget> the crab
f salt early and taste often | a clean station is a calm head | the customer eats the wait too |
  the best meal of the day is eaten standing | butter forgives
w {proper} will be fully booked | the gas man has condemned the fryer | {role} will walk out |
  the fish is not fresh enough | we will lose money on {proper}
@translator
g paragraph, footnote, idiom, chapter, title, manuscript, contract, poem; translate, redraft,
  polish, cut, read aloud, query, proofread; ambiguous, long-winded, elegant, untranslatable,
  legal, clumsy, half-done; resist every attempt, sound better in the original, lose its joke,
  fall into place overnight
g dictionary, glossary, deadline, invoice, style guide, draft; consult, update, send off,
  extend, compare, print out; tattered, late, thorough, useless, tight; contradict itself, go up
  to page forty, sit unpaid, lie open on the sofa
g verb, comma, pun, metaphor, subjunctive, dialect word; replace, keep, move, explain, lose,
  chase; stubborn, archaic, musical, misplaced, rude, regional; change the whole sense, have no
  equivalent, vanish in the second draft
m rhythm, dialogue, slang, meaning, tea, irony; catch, preserve, flatten, drink, imitate; dry,
  subtle, heavy, old-fashioned; slip through my fingers, carry across, go cold beside me
r editor, author, agency, copy-editor, widow of the poet
p at the kitchen table, in the reading room, on the night train, at the book fair, in the second
  draft, on page ninety
u words, pages, footnotes, queries, chapters, euros
n the Halloran novel, the Lisbon poems, chapter nine, the Madsen memoir, the water contract,
  Senhor Brito
t draft {proper} | send the queries on {proper} | check {proper} against the original | chase
  the agency | retype {proper} | read {proper} aloud | invoice for {proper} | find a word for rain
e {role} <hate> the title of {proper} | {role} <answer> {count} queries at once | I <1 dream> a
  whole paragraph of {proper} | {proper} <grow> by {measure} | the author of {proper} <send> a
  postcard | {role} <cut> my favourite line | {proper} <win> a small prize | the file of {proper}
  <refuse> to open
f every word has a cousin and no twin | the reader must never hear you breathing | a comma can
  cost an afternoon | poems are what is left | deadlines have no dialect
w {proper} is beyond me | {role} will want it by Friday | the joke in {proper} is lost | the
  machine will take the contracts | the agency will not pay
)";

} // namespace coppice::people
