// How the parts of the floor map look. `map` is a projection, `colour` reads the style sheet.
import { lookOf, nameOf } from "./identity.js";

const MARGIN = { left: 26, right: 10, top: 10, bottom: 20 };
const FONT = '"Inter", system-ui, sans-serif';
const STEPS_M = [1, 2, 5, 10, 20, 50, 100];
const LEAST_GRID_PX = 34;
const LABEL_PX = 36;

// Metres to CSS pixels, north up, the whole map in view.
export function projection([x0, y0, x1, y1], width, height) {
  const scale = Math.max(Math.min(
    (width - MARGIN.left - MARGIN.right) / (x1 - x0),
    (height - MARGIN.top - MARGIN.bottom) / (y1 - y0),
  ), 0.01);
  const left = MARGIN.left + (width - MARGIN.left - MARGIN.right - (x1 - x0) * scale) / 2;
  const bottom = height - MARGIN.bottom - (height - MARGIN.top - MARGIN.bottom - (y1 - y0) * scale) / 2;
  const toPixels = ([x, y]) => [left + (x - x0) * scale, bottom - (y - y0) * scale];
  return { bounds: [x0, y0, x1, y1], scale, toPixels };
}

export function drawGround(context, { bounds: [x0, y0, x1, y1], scale, toPixels }, colour) {
  const [left, bottom] = toPixels([x0, y0]);
  const [right, top] = toPixels([x1, y1]);
  const step = STEPS_M.find((metres) => metres * scale > LEAST_GRID_PX) ?? 200;
  context.fillStyle = colour("floor");
  context.fillRect(left, top, right - left, bottom - top);
  context.strokeStyle = colour("grid");
  context.fillStyle = colour("faint");
  context.lineWidth = 1;
  context.font = `10.5px ${FONT}`;
  context.textBaseline = "alphabetic";
  context.textAlign = "center";
  for (let x = Math.ceil(x0 / step) * step; x <= x1; x += step) {
    const [at] = toPixels([x, 0]);
    line(context, [at, top], [at, bottom]);
    context.fillText(x === 0 ? "0 m" : x, at, bottom + 14);
  }
  context.textAlign = "right";
  for (let y = Math.ceil(y0 / step) * step; y <= y1; y += step) {
    const [, at] = toPixels([0, y]);
    line(context, [left, at], [right, at]);
    if (y !== y0) context.fillText(y, left - 5, at + 4);
  }
}

export function drawZone(context, { toPixels }, zone, count, colour) {
  const isOver = zone.capacity !== null && count > zone.capacity;
  const corners = zone.coordinates.map(toPixels);
  context.beginPath();
  corners.forEach((corner) => context.lineTo(...corner));
  context.closePath();
  context.fillStyle = colour(isOver ? "zone-over" : "zone");
  context.fill();
  context.strokeStyle = colour(isOver ? "bad" : "zone-line");
  context.lineWidth = isOver ? 1.5 : 1;
  context.setLineDash([5, 4]);
  context.stroke();
  context.setLineDash([]);
  context.fillStyle = colour(isOver ? "bad" : "faint");
  context.textAlign = "left";
  context.textBaseline = "top";
  context.font = `11px ${FONT}`;
  const left = Math.min(...corners.map(([x]) => x));
  context.fillText(zone.name, left + 6, Math.min(...corners.map(([, y]) => y)) + 5);
  context.textBaseline = "alphabetic";
}

export function drawCamera(context, { toPixels, bounds: [x0, , x1] }, camera, colour) {
  if (!camera.position_m) return;
  const [x, y] = toPixels(camera.position_m);
  context.fillStyle = colour("camera");
  context.strokeStyle = colour("floor");
  context.lineWidth = 1;
  context.beginPath();
  context.roundRect(x - 5, y - 5, 10, 10, 2);
  context.fill();
  context.stroke();
  const isRight = camera.position_m[0] > (x0 + x1) / 2;
  context.font = `600 10.5px ${FONT}`;
  context.textAlign = isRight ? "right" : "left";
  halo(context, camera.camera_id, x + (isRight ? -9 : 9), y + 4, colour("camera"), colour("floor"));
}

// The whole stored way of a person, thin.
export function drawPath(context, { toPixels }, path, id) {
  if (path.length < 2) return;
  context.beginPath();
  path.forEach((at) => context.lineTo(...toPixels(at)));
  context.strokeStyle = lookOf(id).colour;
  context.globalAlpha = 0.5;
  context.lineWidth = 1.5;
  context.setLineDash([2, 4]);
  context.stroke();
  context.setLineDash([]);
  context.globalAlpha = 1;
}

export function drawPerson(context, { toPixels, scale, bounds }, { id, trail, isFaint, isFocused }, colour) {
  const person = trail.at(-1);
  const [x, y] = toPixels(person.at);
  context.save();
  context.strokeStyle = context.fillStyle = lookOf(id).colour;
  context.lineWidth = isFocused ? 3.5 : 2.5;
  context.lineCap = "round";
  for (let k = 1; k < trail.length; k += 1) {
    context.globalAlpha = (isFaint ? 0.3 : 0.8) * (k / trail.length);
    line(context, toPixels(trail[k - 1].at), toPixels(trail[k].at));
  }
  if (Number.isFinite(person.sigma)) {
    context.globalAlpha = isFaint ? 0.1 : 0.22;
    disc(context, x, y, Math.max(person.sigma * scale, 9));
    context.fill();
  }
  context.globalAlpha = isFaint ? 0.6 : 1;
  context.lineWidth = isFocused ? 2.5 : 1.5;
  context.strokeStyle = colour(isFocused ? "ink" : "edge");
  disc(context, x, y, isFocused ? 7.5 : 6);
  context.fill();
  context.stroke();
  context.font = `600 11.5px ${FONT}`;
  const isAtEdge = x > toPixels([bounds[2], 0])[0] - LABEL_PX;
  context.textAlign = isAtEdge ? "right" : "left";
  halo(context, nameOf(id), x + (isAtEdge ? -11 : 11), y + 4, colour("ink"), colour("floor"));
  context.restore();
}

function halo(context, text, x, y, ink, around) {
  context.lineWidth = 3;
  context.lineJoin = "round";
  context.strokeStyle = around;
  context.strokeText(text, x, y);
  context.fillStyle = ink;
  context.fillText(text, x, y);
}

function disc(context, x, y, radius) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
}

function line(context, from, to) {
  context.beginPath();
  context.moveTo(...from);
  context.lineTo(...to);
  context.stroke();
}
