// The floor map: zones, cameras, and every person with a trail and how sure their place is.
import { fitted } from "./dom.js";
import { drawCamera, drawGround, drawPath, drawPerson, drawZone, projection } from "./floor_drawing.js";

const TRAIL_MS = 10_000;
const FORGET_MS = 1500;
const REACH_PX = 16;

export class Floor {
  // `pick(globalId)` is called when somebody is clicked.
  constructor(canvas, pick) {
    this.canvas = canvas;
    this.trails = new Map();
    this.counts = new Map();
    this.path = [];
    this.environment = null;
    this.focusId = null;
    new ResizeObserver(() => this.paint()).observe(canvas);
    addEventListener("themechange", () => this.paint());
    canvas.addEventListener("click", ({ offsetX, offsetY }) => {
      const found = this.personAt(offsetX, offsetY);
      if (found) pick(found);
    });
    canvas.addEventListener("pointermove", ({ offsetX, offsetY }) => {
      canvas.classList.toggle("pointing", this.personAt(offsetX, offsetY) !== null);
    });
  }

  show(environment) {
    this.environment = environment;
    this.clear();
  }

  clear() {
    this.trails.clear();
    this.counts = new Map();
    this.path = [];
    this.paint();
  }

  // Takes one set's persons; see personsIn.
  update(persons, timeMs) {
    for (const [id, person] of persons) {
      if (!person.at) continue;
      const trail = this.trails.get(id) ?? [];
      trail.push({ ...person, timeMs });
      this.trails.set(id, trail.filter((p) => timeMs - p.timeMs < TRAIL_MS && p.timeMs <= timeMs));
    }
    for (const [id, trail] of this.trails) {
      if (Math.abs(timeMs - trail.at(-1).timeMs) > FORGET_MS) this.trails.delete(id);
    }
    this.counts = countsOf(this.environment?.zones ?? [], persons);
    this.paint();
  }

  setFocus(globalId) {
    this.focusId = globalId;
    this.path = [];
    this.paint();
  }

  // The stored way of the person in focus, metres.
  setPath(path) {
    this.path = path;
    this.paint();
  }

  personAt(x, y) {
    let [found, nearest] = [null, REACH_PX];
    for (const { id, x: px, y: py } of this.dots()) {
      const distance = Math.hypot(px - x, py - y);
      if (distance <= nearest) [found, nearest] = [id, distance];
    }
    return found;
  }

  // Where everybody is drawn, CSS pixels of the canvas.
  dots() {
    if (!this.environment) return [];
    const { toPixels } = this.projection();
    return [...this.trails].map(([id, trail]) => {
      const [x, y] = toPixels(trail.at(-1).at);
      return { id, x, y };
    });
  }

  projection() {
    const { clientWidth, clientHeight } = this.canvas;
    return projection(this.environment.map_bounds_m, clientWidth, clientHeight);
  }

  paint() {
    if (!this.environment || !this.canvas.clientWidth) return;
    const { context } = fitted(this.canvas);
    const style = getComputedStyle(this.canvas);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    const map = this.projection();
    drawGround(context, map, colour);
    for (const zone of this.environment.zones) {
      drawZone(context, map, zone, this.counts.get(zone.zone_id) ?? 0, colour);
    }
    if (this.focusId) drawPath(context, map, this.path, this.focusId);
    for (const camera of this.environment.cameras) drawCamera(context, map, camera, colour);
    for (const [id, trail] of this.trails) {
      const isFaint = this.focusId !== null && id !== this.focusId;
      drawPerson(context, map, { id, trail, isFaint, isFocused: id === this.focusId }, colour);
    }
  }
}

// Everybody in a set by id; a person's place is that of the camera that is surest.
export function personsIn(metadata) {
  const persons = new Map();
  for (const [cameraId, seen] of Object.entries(metadata.cameras)) {
    for (const track of seen.tracks) {
      if (!track.global_id) continue;
      const known = persons.get(track.global_id);
      const sigma = track.map_uncertainty_m ?? Infinity;
      const mine = { at: track.map_coords, sigma, seenS: track.tracking_duration };
      const surest = known?.at && (!mine.at || known.sigma <= sigma) ? known : mine;
      persons.set(track.global_id, { ...surest, cameras: [...(known?.cameras ?? []), cameraId] });
    }
  }
  return persons;
}

// How many persons stand in each zone, by zone id.
export function countsOf(zones, persons) {
  const places = [...persons.values()].map((person) => person.at).filter(Boolean);
  return new Map(zones.map((zone) =>
    [zone.zone_id, places.filter((place) => isInside(place, zone.coordinates)).length]));
}

// Even-odd rule.
export function isInside([x, y], corners) {
  let inside = false;
  corners.forEach(([x1, y1], k) => {
    const [x2, y2] = corners.at(k - 1);
    if (y1 > y !== y2 > y && x < ((x2 - x1) * (y - y1)) / (y2 - y1) + x1) inside = !inside;
  });
  return inside;
}
