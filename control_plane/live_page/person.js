// The person who is followed: picture, where and when, how fast, and the way through the cameras.
import { $, make, write } from "./dom.js";
import { NOTHING, number, span, time } from "./format.js";
import { lookOf, nameOf } from "./identity.js";
import { call, picture } from "./session.js";

const READ_EVERY_MS = 4000;
const AWAY_S = 1.5;

export class PersonPanel {
  // `on.way(journey)` gets what is stored of the person's way.
  constructor(on) {
    this.on = on;
    this.globalId = null;
    this.timer = null;
  }

  // Follows somebody of a task, or nobody.
  show(taskId, globalId) {
    if (globalId === this.globalId && taskId === this.taskId) return;
    clearInterval(this.timer);
    this.taskId = taskId;
    this.globalId = globalId;
    $("person").hidden = globalId === null;
    $("nobody").hidden = globalId !== null;
    if (globalId === null) return;
    write($("person-name"), nameOf(globalId));
    write($("person-id"), globalId);
    $("person-swatch").style.background = lookOf(globalId).colour;
    for (const cell of $("person-figures").querySelectorAll("dd")) write(cell, NOTHING);
    $("person-way").replaceChildren();
    this.showPicture(null);
    this.read();
    this.timer = setInterval(() => this.read(), READ_EVERY_MS);
  }

  // The payload of a focus_update.
  update(details) {
    if (!details || details.global_id !== this.globalId) return;
    const { movement_metrics: movement } = details;
    write($("person-first"), time(Date.parse(details.first_detected)));
    write($("person-last"), time(Date.parse(details.last_seen)));
    write($("person-dwell"), span(movement.dwell_time));
    write($("person-distance"), number(movement.total_distance, 1, " m"));
    write($("person-speed"),
      `${number(movement.average_speed, 2)} / ${number(movement.max_speed, 2)}`);
  }

  // The person in the set that is shown; undefined when no camera sees them.
  see(person) {
    const at = person?.at;
    write($("person-camera"), person?.cameras.join(" ") ?? "not in view");
    write($("person-place"), at ? `${at[0].toFixed(1)}, ${at[1].toFixed(1)} m` : NOTHING);
  }

  async read() {
    const { taskId, globalId } = this;
    const [journey, crop] = await Promise.all([
      call(`/persons/${globalId}/journey?task_id=${taskId}`).catch(() => null),
      picture(`/media/persons/${globalId}/image?task_id=${taskId}`).catch(() => null),
    ]);
    if (globalId !== this.globalId) {
      if (crop) URL.revokeObjectURL(crop);
      return;
    }
    if (crop) this.showPicture(crop);
    if (!journey) return;
    write($("person-cameras"), journey.cameras.join(" ") || NOTHING);
    this.showWay(journey.places.filter((place) => place.kind === "camera"));
    this.on.way(journey);
  }

  showPicture(address) {
    const image = $("person-picture");
    if (image.src) URL.revokeObjectURL(image.src);
    image.hidden = address === null;
    $("no-picture").hidden = address !== null;
    if (address) image.src = address;
    else image.removeAttribute("src");
  }

  // Each stay in a camera, newest first, with the times in between when nobody saw the person.
  showWay(stays) {
    const rows = [];
    const ordered = stays.toSorted((a, b) => Date.parse(a.entered_at) - Date.parse(b.entered_at));
    let seenUntil = null;
    for (const stay of ordered) {
      const from = Date.parse(stay.entered_at);
      const awayS = seenUntil === null ? 0 : (from - seenUntil) / 1000;
      if (awayS > AWAY_S) rows.push(make("li", { className: "away" }, `out of sight ${span(awayS)}`));
      rows.push(make("li", {}, make("b", {}, stay.place_id),
        make("span", {}, time(from)), make("span", { className: "faint" }, span(stay.seconds))));
      seenUntil = Math.max(seenUntil ?? 0, Date.parse(stay.left_at));
    }
    $("person-way").replaceChildren(...rows.reverse());
  }
}
