// What to play: environment, time range, cameras and speed.
import { $, make, write } from "./dom.js";
import { moment } from "./format.js";
import { call } from "./session.js";

export class StartForm {
  // `started(taskId)` is called when a task was begun, `changed(id)` when another environment is.
  constructor({ started, attempt }) {
    this.started = started;
    this.attempt = attempt;
    $("environment").onchange = () => attempt(() => this.describe());
    $("start-form").onsubmit = (event) => {
      event.preventDefault();
      attempt(() => this.start());
    };
    addEventListener("pointerdown", ({ target }) => {
      if (!$("options").contains(target)) $("options").open = false;
    });
    $("options").addEventListener("keydown", ({ key }) => {
      if (key !== "Escape") return;
      $("options").open = false;
      $("options").querySelector("summary").focus();
    });
  }

  async load() {
    const { environments, problems } = await call("/environments");
    const options = environments.map((environment) => {
      const hint = environment.has_data === false ? " (no recordings)" : "";
      return new Option(environment.name + hint, environment.environment_id);
    });
    $("environment").replaceChildren(...options);
    const first = environments.find((environment) => environment.has_data) ?? environments[0];
    if (first) $("environment").value = first.environment_id;
    this.environments = environments;
    if (first) await this.describe();
    return { environments, problems };
  }

  get chosen() {
    return this.environments?.find((e) => e.environment_id === $("environment").value) ?? null;
  }

  choose(environmentId) {
    if ($("environment").value === environmentId) return;
    $("environment").value = environmentId;
    this.describe().catch(() => {});
  }

  // What there is to play of the chosen environment.
  async describe() {
    const id = $("environment").value;
    const path = `/environments/${encodeURIComponent(id)}`;
    const [{ cameras }, dates] = await Promise.all([
      call(`${path}/cameras`), call(`${path}/date-ranges`).catch((error) => ({ error })),
    ]);
    if (id !== $("environment").value) return;
    $("cameras").replaceChildren(...cameras.map((camera) =>
      make("label", { className: "check" },
        make("input", { type: "checkbox", name: "camera", value: camera.camera_id, checked: true }),
        camera.name === camera.camera_id ? camera.name : `${camera.camera_id} ${camera.name}`)));
    for (const field of [$("from"), $("until")]) {
      field.value = "";
      field.min = dates.earliest_date?.slice(0, 19) ?? "";
      field.max = dates.latest_date?.slice(0, 19) ?? "";
    }
    write($("recorded"), recorded(dates));
  }

  async start() {
    const speed = $("speed").value;
    const boxes = [...$("cameras").querySelectorAll("input")];
    const cameras = boxes.filter((box) => box.checked).map((box) => box.value);
    if (boxes.length && !cameras.length) throw new Error("Choose at least one camera.");
    const task = await call("/processing-tasks/start", {
      method: "POST",
      body: {
        environment_id: $("environment").value,
        cameras: cameras.length < boxes.length ? cameras : null,
        start_time: utc($("from").value),
        end_time: utc($("until").value),
        speed: speed === "max" ? speed : Number(speed),
      },
    });
    $("options").open = false;
    await this.started(task.task_id);
  }
}

const utc = (text) => (text ? `${text.length === 16 ? `${text}:00` : text}Z` : null);

function recorded(dates) {
  if (dates.error) return dates.error.message;
  if (!dates.has_data) return "There are no recordings yet.";
  const [from, to] = [dates.earliest_date, dates.latest_date].map((text) => moment(Date.parse(text)));
  const gaps = dates.data_gaps.length;
  return `Recorded: ${from} to ${to}${gaps ? `, with ${gaps} gap${gaps > 1 ? "s" : ""}` : ""}.`;
}
