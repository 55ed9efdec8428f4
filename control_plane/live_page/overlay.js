// Boxes over one camera's picture: where they lie on the screen, how they are drawn, which was hit.
import { lookOf, nameOf } from "./identity.js";

const LABEL_HEIGHT = 17;
const INK = "#0b0f0d";
const FONT = "600 12px system-ui, sans-serif";

// Where a picture of width x height lies in a box when it is fitted in whole, CSS pixels.
export function placed(width, height, boxWidth, boxHeight) {
  const scale = Math.min(boxWidth / width, boxHeight / height);
  return { scale, x: (boxWidth - width * scale) / 2, y: (boxHeight - height * scale) / 2 };
}

// The view of one camera in the metadata, as boxes on the screen.
export function boxesOf(view, boxWidth, boxHeight) {
  const { scale, x, y } = placed(view.frame_width, view.frame_height, boxWidth, boxHeight);
  return view.tracks.map((track) => {
    const [x1, y1, x2, y2] = track.bbox_xyxy;
    return {
      globalId: track.global_id,
      trackId: track.track_id,
      confidence: track.confidence,
      x: x + x1 * scale,
      y: y + y1 * scale,
      width: (x2 - x1) * scale,
      height: (y2 - y1) * scale,
    };
  });
}

// The smallest box around a point, so that whoever is in front can be picked.
export function boxAt(boxes, x, y) {
  const around = boxes.filter((box) =>
    box.globalId && x >= box.x && x <= box.x + box.width && y >= box.y && y <= box.y + box.height);
  return around.sort((a, b) => a.width * a.height - b.width * b.height)[0] ?? null;
}

export function drawBoxes(context, boxes, focusId) {
  const [others, focused] = [[], []];
  for (const box of boxes) (focusId && box.globalId === focusId ? focused : others).push(box);
  context.globalAlpha = focusId ? 0.7 : 1;
  for (const box of others) drawBox(context, box, 2);
  context.globalAlpha = 1;
  for (const box of focused) drawBox(context, box, 4);
}

function drawBox(context, box, line) {
  const { colour, dash } = lookOf(box.globalId);
  context.lineJoin = "round";
  // A dark edge keeps every colour visible over every picture.
  context.strokeStyle = "rgb(0 0 0 / 55%)";
  context.lineWidth = line + 2;
  context.strokeRect(box.x, box.y, box.width, box.height);
  context.strokeStyle = colour;
  context.lineWidth = line;
  context.setLineDash(dash);
  context.strokeRect(box.x, box.y, box.width, box.height);
  context.setLineDash([]);
  drawLabel(context, box, colour, line / 2);
}

function drawLabel(context, box, colour, edge) {
  const label = nameOf(box.globalId);
  context.font = FONT;
  const width = context.measureText(label).width + 10;
  const top = Math.max(box.y - LABEL_HEIGHT, 0);
  context.fillStyle = colour;
  context.beginPath();
  context.roundRect(box.x - edge, top, width, LABEL_HEIGHT, [3, 3, 3, 0]);
  context.fill();
  context.fillStyle = INK;
  context.textAlign = "left";
  context.textBaseline = "middle";
  context.fillText(label, box.x - edge + 5, top + LABEL_HEIGHT / 2 + 0.5);
}
