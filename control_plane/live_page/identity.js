// What a person looks like on the page: a colour, a line and a short name.
//
// Ten colours that stay apart for colour-blind people too, each dark enough for white paper's
// outline and light enough for black letters (after P. Tol, "Colour schemes", 2021). An id prefers
// the colour of its hash; while somebody else has that one, it takes the next. It keeps what it has.

const COLOURS = [
  "#ee7733", "#33bbee", "#ee3377", "#ffdd55", "#aa77dd",
  "#3dbb7b", "#5c8df5", "#ffaabb", "#88ddcc", "#bb8a5a",
];
const UNKNOWN = { colour: "#a8b0ad", dash: [] };
const KEPT = 200;
const IN_USE_MS = 20_000;

const looks = new Map(); // by id, oldest first

export function lookOf(globalId) {
  if (!globalId) return UNKNOWN;
  const now = performance.now();
  const look = looks.get(globalId) ?? leastUsed(hash(globalId), now);
  look.usedAt = now;
  looks.set(globalId, look);
  if (looks.size > KEPT) looks.delete(looks.keys().next().value);
  return look;
}

export const nameOf = (globalId) => (globalId ? globalId.slice(0, 4) : "new");

export function forgetLooks() {
  looks.clear();
}

// From the eleventh person at a time on colours come again, with a broken line.
function leastUsed(preferred, now) {
  const used = COLOURS.map(() => 0);
  for (const { slot, usedAt } of looks.values()) used[slot] += now - usedAt < IN_USE_MS ? 1 : 0;
  const least = Math.min(...used);
  let slot = preferred % COLOURS.length;
  while (used[slot] > least) slot = (slot + 1) % COLOURS.length;
  return { slot, colour: COLOURS[slot], dash: least % 2 ? [7, 4] : [] };
}

function hash(text) {
  let value = 2166136261;
  for (const character of text) value = Math.imul(value ^ character.charCodeAt(0), 16777619) >>> 0;
  return value;
}
