// Everybody in view, as a list of buttons: the way to a person without a mouse.
import { make, write } from "./dom.js";
import { lookOf, nameOf } from "./identity.js";

export class People {
  constructor(list, count, pick) {
    this.list = list;
    this.count = count;
    this.pick = pick;
    this.rows = new Map();
    this.focusId = null;
  }

  clear() {
    this.rows.clear();
    this.list.replaceChildren();
    write(this.count, 0);
  }

  // Rows stay where they are while somebody is in view, so that a click meets who was aimed at.
  update(persons) {
    for (const [id, { row }] of this.rows) {
      if (!persons.has(id)) {
        row.remove();
        this.rows.delete(id);
      }
    }
    for (const [id, person] of persons) {
      const { cameras } = this.rows.get(id) ?? this.add(id);
      const others = person.cameras.length - 1;
      write(cameras, others ? `${person.cameras[0]} +${others}` : person.cameras[0]);
    }
    write(this.count, persons.size);
  }

  add(id) {
    const swatch = make("i", { className: "swatch" });
    swatch.style.background = lookOf(id).colour;
    const cameras = make("span", { className: "cameras" });
    const button = make("button", {
      type: "button", className: "chip", title: id, onclick: () => this.pick(id),
      "aria-pressed": String(id === this.focusId),
    }, swatch, make("b", {}, nameOf(id)), cameras);
    const row = make("li", {}, button);
    this.list.append(row);
    this.rows.set(id, { row, button, cameras });
    return this.rows.get(id);
  }

  setFocus(globalId) {
    this.focusId = globalId;
    for (const [id, { button }] of this.rows) {
      button.setAttribute("aria-pressed", String(id === globalId));
    }
  }

  get ids() {
    return [...this.rows.keys()];
  }
}
