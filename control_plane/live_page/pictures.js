// The cameras' pictures with boxes and names over them.
import { colourOf, nameOf } from "./identity.js";

export class Pictures {
  constructor(section) {
    this.section = section;
    this.figures = new Map();
  }

  show(cameras) {
    this.section.replaceChildren();
    this.section.dataset.count = cameras.length;
    this.figures = new Map(cameras.map((camera) => [camera.camera_id, this.figure(camera)]));
  }

  figure(camera) {
    const figure = document.createElement("figure");
    const canvas = document.createElement("canvas");
    const caption = document.createElement("figcaption");
    const count = document.createElement("span");
    const title = camera.name === camera.camera_id ? camera.name : `${camera.camera_id} · ${camera.name}`;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `Picture of camera ${camera.name}`);
    figure.dataset.state = "missing";
    caption.append(title, count);
    figure.append(canvas, caption);
    this.section.append(figure);
    return { figure, canvas, count };
  }

  // Draws a set; resolves when it is on the page, so that the caller can skip sets meanwhile.
  async draw(set) {
    const delivered = new Map(set.cameras.map((camera) => [camera.id, camera.jpeg]));
    await Promise.all(
      [...this.figures].map(async ([id, { figure, canvas, count }]) => {
        const seen = set.metadata.cameras[id];
        const bitmap = delivered.has(id) ? await bitmapOf(delivered.get(id)) : null;
        figure.dataset.state = bitmap ? "shown" : "missing";
        if (!bitmap) return;
        const people = seen ? seen.tracks.length : 0;
        count.textContent = people === 1 ? "1 person" : `${people} persons`;
        this.paint(canvas, bitmap, seen);
      }),
    );
  }

  paint(canvas, bitmap, seen) {
    if (canvas.width !== bitmap.width || canvas.height !== bitmap.height) {
      [canvas.width, canvas.height] = [bitmap.width, bitmap.height];
    }
    const context = canvas.getContext("2d");
    context.drawImage(bitmap, 0, 0);
    bitmap.close();
    if (!seen) return;
    const pixel = canvas.width / (canvas.clientWidth || canvas.width);
    context.setTransform(bitmapScale(canvas.width, seen.frame_width), 0, 0,
      bitmapScale(canvas.height, seen.frame_height), 0, 0);
    for (const track of seen.tracks) box(context, track, pixel * (seen.frame_width / canvas.width));
    context.setTransform(1, 0, 0, 1, 0, 0);
  }
}

const bitmapScale = (drawn, original) => (original ? drawn / original : 1);

const bitmapOf = (jpeg) => createImageBitmap(jpeg).catch(() => null);

function box(context, track, pixel) {
  const [x1, y1, x2, y2] = track.bbox_xyxy;
  const colour = colourOf(track.global_id);
  context.lineWidth = (track.is_focused ? 4 : 2) * pixel;
  context.strokeStyle = colour;
  context.strokeRect(x1, y1, x2 - x1, y2 - y1);
  const label = nameOf(track.global_id);
  context.font = `600 ${12 * pixel}px system-ui, sans-serif`;
  const width = context.measureText(label).width + 8 * pixel;
  const top = Math.max(y1 - 17 * pixel, 0);
  context.fillStyle = colour;
  context.fillRect(x1 - pixel, top, width, 17 * pixel);
  context.fillStyle = "#0b0f0d";
  context.fillText(label, x1 + 3 * pixel, top + 12.5 * pixel);
}
