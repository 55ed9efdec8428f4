// The cameras' pictures: a canvas each, a second one over it for boxes and names.
import { fitted, icon, make, write } from "./dom.js";
import { persons } from "./format.js";
import { boxAt, boxesOf, drawBoxes } from "./overlay.js";

export class Views {
  // `pick(globalId)` is called when somebody is clicked.
  constructor(section, pick) {
    this.section = section;
    this.pick = pick;
    this.views = new Map();
    this.focusId = null;
    this.enlarged = null;
    this.resized = new ResizeObserver(() => this.redraw());
  }

  get cameraIds() {
    return [...this.views.keys()];
  }

  show(cameras) {
    this.resized.disconnect();
    this.views = new Map(cameras.map((camera, place) => [camera.camera_id, this.view(camera, place)]));
    this.section.replaceChildren(...[...this.views.values()].map(({ figure }) => figure));
    this.enlarge(null);
  }

  view(camera, place) {
    const figure = make("figure", { className: "view" });
    const picture = make("canvas", { className: "picture", role: "img" });
    const overlay = make("canvas", { className: "overlay", "aria-hidden": "true" });
    const count = make("span", { className: "count" });
    const larger = make("button", {
      type: "button", className: "quiet", title: `Enlarge (${place + 1})`,
      "aria-label": `Enlarge ${camera.name}`, "aria-pressed": "false",
      onclick: () => this.enlarge(this.enlarged === camera.camera_id ? null : camera.camera_id),
    }, icon("larger"));
    const title = make("span", { className: "title" }, make("b", {}, camera.camera_id));
    if (camera.name !== camera.camera_id) title.append(camera.name);
    figure.dataset.state = "waiting";
    figure.dataset.camera = camera.camera_id;
    picture.setAttribute("aria-label", `Picture of camera ${camera.name}`);
    const problem = make("p", { className: "problem" });
    figure.append(picture, overlay, problem, make("figcaption", {}, title, count, larger));
    const view = { figure, picture, overlay, count, larger, problem, seen: null, boxes: [] };
    overlay.addEventListener("click", (event) => {
      const box = boxAt(view.boxes, event.offsetX, event.offsetY);
      if (box) this.pick(box.globalId);
    });
    overlay.addEventListener("pointermove", (event) => {
      const isOver = boxAt(view.boxes, event.offsetX, event.offsetY) !== null;
      overlay.classList.toggle("pointing", isOver);
    });
    this.resized.observe(figure);
    return view;
  }

  // Draws a set; resolves when it is on the page, so that the caller can skip sets meanwhile.
  async draw(set) {
    const jpegs = new Map(set.cameras.map((camera) => [camera.id, camera.jpeg]));
    const bitmaps = await Promise.all([...this.views.keys()].map((id) => bitmapOf(jpegs.get(id))));
    [...this.views].forEach(([id, view], k) => {
      view.seen = set.metadata.cameras[id] ?? null;
      paint(view, bitmaps[k]);
      this.drawOverlay(view);
    });
  }

  drawOverlay(view) {
    const { context, width, height } = fitted(view.overlay);
    const hasPicture = view.figure.dataset.state === "shown";
    view.boxes = view.seen?.frame_width && hasPicture ? boxesOf(view.seen, width, height) : [];
    drawBoxes(context, view.boxes, this.focusId);
    write(view.count, hasPicture ? persons(view.boxes.length) : "");
  }

  redraw() {
    for (const view of this.views.values()) this.drawOverlay(view);
  }

  setFocus(globalId) {
    this.focusId = globalId;
    this.redraw();
  }

  // What is wrong with each camera, by id; null where nothing is.
  showProblems(problems) {
    for (const [id, { problem }] of this.views) write(problem, problems[id] ?? "");
  }

  // One camera as large as all together; null shows all again.
  enlarge(cameraId) {
    this.enlarged = this.views.has(cameraId) ? cameraId : null;
    const columns = this.enlarged ? 1 : Math.ceil(Math.sqrt(this.views.size || 1));
    const rows = this.enlarged ? 1 : Math.ceil((this.views.size || 1) / columns);
    this.section.style.setProperty("--columns", columns);
    this.section.style.setProperty("--rows", rows);
    for (const [id, { figure, larger }] of this.views) {
      figure.hidden = this.enlarged !== null && id !== this.enlarged;
      larger.setAttribute("aria-pressed", String(id === this.enlarged));
    }
  }

  clear() {
    for (const view of this.views.values()) {
      view.figure.dataset.state = "waiting";
      view.seen = null;
      this.drawOverlay(view);
    }
  }
}

const bitmapOf = (jpeg) => (jpeg?.size ? createImageBitmap(jpeg).catch(() => null) : null);

function paint({ figure, picture }, bitmap) {
  figure.dataset.state = bitmap ? "shown" : "missing";
  if (!bitmap) return;
  if (picture.width !== bitmap.width) picture.width = bitmap.width;
  if (picture.height !== bitmap.height) picture.height = bitmap.height;
  picture.getContext("2d").drawImage(bitmap, 0, 0);
  bitmap.close();
}
