// What a person looks like on the page: a colour and a short name that depend on the id alone.

export function colourOf(globalId) {
  if (!globalId) return "hsl(0 0% 62%)";
  let hash = 2166136261;
  for (const character of globalId) {
    hash = Math.imul(hash ^ character.charCodeAt(0), 16777619) >>> 0;
  }
  // Steps of the golden angle keep neighbouring hashes apart; three depths tell like hues apart.
  const hue = Math.round((hash % 997) * 137.508) % 360;
  return `hsl(${hue} ${[78, 62, 90][hash % 3]}% ${[58, 66, 73][(hash >>> 8) % 3]}%)`;
}

export const nameOf = (globalId) => (globalId ? globalId.slice(0, 4) : "new");
