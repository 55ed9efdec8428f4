// The floor map: zones, cameras, and every person with a trail and how sure their place is.
import { colourOf, nameOf } from "./identity.js";

const TRAIL_MS = 8000;
const FORGET_MS = 1500;
const MARGIN_PX = 26;

export class Floor {
  constructor(canvas, list) {
    this.canvas = canvas;
    this.list = list;
    this.trails = new Map();
    this.environment = null;
    new ResizeObserver(() => this.paint()).observe(canvas.parentElement);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.paint());
  }

  show(environment) {
    this.environment = environment;
    this.trails.clear();
    this.list.replaceChildren();
    this.paint();
  }

  // Takes one set's metadata; a person's place is that of the camera that is surest.
  update(metadata, timeMs) {
    for (const [id, person] of personsIn(metadata)) {
      const trail = this.trails.get(id) ?? [];
      trail.push({ ...person, timeMs });
      this.trails.set(id, trail.filter((p) => timeMs - p.timeMs < TRAIL_MS && p.timeMs <= timeMs));
    }
    for (const [id, trail] of this.trails) {
      if (!trail.length || Math.abs(timeMs - trail.at(-1).timeMs) > FORGET_MS) this.trails.delete(id);
    }
    this.name();
    this.paint();
  }

  get count() {
    return this.trails.size;
  }

  name() {
    const items = [...this.trails].sort(([a], [b]) => (a < b ? -1 : 1)).map(([id, trail]) => {
      const item = document.createElement("li");
      const swatch = document.createElement("i");
      const cameras = document.createElement("span");
      swatch.style.background = colourOf(id);
      cameras.textContent = trail.at(-1).cameras.join(" ");
      item.title = id;
      item.append(swatch, nameOf(id), cameras);
      return item;
    });
    this.list.replaceChildren(...items);
  }

  paint() {
    if (!this.environment) return;
    const [x0, y0, x1, y1] = this.environment.map_bounds_m;
    const width = this.canvas.parentElement.clientWidth - 24;
    if (width <= 0) return;
    const ratio = devicePixelRatio || 1;
    const byWidth = (width - 2 * MARGIN_PX) / (x1 - x0);
    const scale = Math.min(byWidth, (innerHeight * 0.62) / (y1 - y0));
    const height = (y1 - y0) * scale + 2 * MARGIN_PX;
    this.canvas.width = width * ratio;
    this.canvas.height = height * ratio;
    this.canvas.style.height = `${height}px`;
    const context = this.canvas.getContext("2d");
    context.scale(ratio, ratio);
    const left = (width - (x1 - x0) * scale) / 2;
    const pixels = ([x, y]) => [left + (x - x0) * scale, height - MARGIN_PX - (y - y0) * scale];
    const style = getComputedStyle(this.canvas);
    const colour = (name) => style.getPropertyValue(name).trim();
    this.ground(context, pixels, scale, colour);
    for (const zone of this.environment.zones) drawZone(context, zone, pixels, colour);
    for (const camera of this.environment.cameras) drawCamera(context, camera, pixels, colour);
    for (const [id, trail] of this.trails) drawPerson(context, id, trail, pixels, scale, colour);
  }

  ground(context, pixels, scale, colour) {
    const [x0, y0, x1, y1] = this.environment.map_bounds_m;
    const [left, bottom] = pixels([x0, y0]);
    const [right, top] = pixels([x1, y1]);
    const step = [1, 2, 5, 10, 20, 50, 100].find((metres) => metres * scale > 34) ?? 200;
    context.fillStyle = colour("--floor");
    context.fillRect(left, top, right - left, bottom - top);
    context.strokeStyle = colour("--line");
    context.fillStyle = colour("--faint");
    context.lineWidth = 1;
    context.font = "11px system-ui, sans-serif";
    context.textAlign = "center";
    for (let x = Math.ceil(x0 / step) * step; x <= x1; x += step) {
      const [at] = pixels([x, 0]);
      line(context, at, top, at, bottom);
      context.fillText(x === 0 ? "0 m" : x, at, bottom + 15);
    }
    context.textAlign = "right";
    for (let y = Math.ceil(y0 / step) * step; y <= y1; y += step) {
      const [, at] = pixels([0, y]);
      line(context, left, at, right, at);
      if (y !== y0) context.fillText(y, left - 5, at + 4);
    }
  }
}

export function personsIn(metadata) {
  const persons = new Map();
  for (const [cameraId, seen] of Object.entries(metadata.cameras)) {
    for (const track of seen.tracks) {
      if (!track.global_id || !track.map_coords) continue;
      const known = persons.get(track.global_id);
      const sigma = track.map_uncertainty_m ?? Infinity;
      const cameras = [...(known?.cameras ?? []), cameraId];
      const surest = known && known.sigma <= sigma ? known : { at: track.map_coords, sigma };
      persons.set(track.global_id, { ...surest, cameras });
    }
  }
  return persons;
}

function line(context, x1, y1, x2, y2) {
  context.beginPath();
  context.moveTo(x1, y1);
  context.lineTo(x2, y2);
  context.stroke();
}

function drawZone(context, zone, pixels, colour) {
  const corners = zone.coordinates.map(pixels);
  context.beginPath();
  corners.forEach(([x, y]) => context.lineTo(x, y));
  context.closePath();
  context.fillStyle = colour("--zone");
  context.fill();
  context.strokeStyle = colour("--zone-line");
  context.setLineDash([5, 4]);
  context.stroke();
  context.setLineDash([]);
  context.fillStyle = colour("--faint");
  context.textAlign = "left";
  context.font = "12px system-ui, sans-serif";
  const left = Math.min(...corners.map(([x]) => x));
  context.fillText(zone.name, left + 6, Math.min(...corners.map(([, y]) => y)) + 16);
}

function drawCamera(context, camera, pixels, colour) {
  if (!camera.position_m) return;
  const [x, y] = pixels(camera.position_m);
  context.fillStyle = colour("--ink");
  context.strokeStyle = colour("--floor");
  context.beginPath();
  context.rect(x - 5, y - 5, 10, 10);
  context.fill();
  context.stroke();
  context.font = "600 11px system-ui, sans-serif";
  context.textAlign = "left";
  context.fillText(camera.camera_id, x + 9, y + 4);
}

function drawPerson(context, id, trail, pixels, scale, colour) {
  const person = trail.at(-1);
  const [x, y] = pixels(person.at);
  context.strokeStyle = context.fillStyle = colourOf(id);
  context.lineWidth = 2.5;
  context.lineCap = "round";
  for (let i = 1; i < trail.length; i += 1) {
    context.globalAlpha = 0.7 * (i / trail.length);
    line(context, ...pixels(trail[i - 1].at), ...pixels(trail[i].at));
  }
  if (Number.isFinite(person.sigma)) {
    context.globalAlpha = 0.22;
    context.beginPath();
    context.arc(x, y, Math.max(person.sigma * scale, 9), 0, 2 * Math.PI);
    context.fill();
  }
  context.globalAlpha = 1;
  context.lineWidth = 1.5;
  context.strokeStyle = colour("--floor");
  context.beginPath();
  context.arc(x, y, 6, 0, 2 * Math.PI);
  context.fill();
  context.stroke();
  context.font = "600 12px system-ui, sans-serif";
  context.textAlign = "left";
  context.lineWidth = 3;
  context.strokeText(nameOf(id), x + 10, y + 4);
  context.fillStyle = colour("--ink");
  context.fillText(nameOf(id), x + 10, y + 4);
}
