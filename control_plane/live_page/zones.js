// How many persons are in each zone of the set that is shown, and what the server warns of.
import { $, make, write } from "./dom.js";
import { number, span, time } from "./format.js";

const ALERTS_KEPT = 30;

export class Zones {
  constructor() {
    this.rows = new Map();
  }

  show(zones) {
    this.rows = new Map(zones.map((zone) => [zone.zone_id, rowOf(zone)]));
    $("zones").replaceChildren(...[...this.rows.values()].map(({ row }) => row));
    $("no-zones").hidden = zones.length > 0;
    $("alerts").replaceChildren();
    $("no-alerts").hidden = false;
    this.clear();
  }

  clear() {
    for (const id of ["total-dwell", "total-density"]) write($(id), "–");
    this.update(new Map());
    this.badge(0);
  }

  // Persons by zone id.
  update(counts) {
    let over = 0;
    for (const [id, { row, count, bar, zone }] of this.rows) {
      const persons = counts.get(id) ?? 0;
      const isOver = zone.capacity !== null && persons > zone.capacity;
      over += isOver ? 1 : 0;
      write(count, zone.capacity === null ? persons : `${persons} / ${zone.capacity}`);
      bar.value = zone.capacity ? Math.min(persons / zone.capacity, 1) : 0;
      row.classList.toggle("over", isOver);
    }
    this.badge(over);
  }

  // The payload of an analytics_update.
  tell({ live_metrics: metrics }) {
    write($("total-dwell"), metrics.avg_dwell_time === null ? "–" : span(metrics.avg_dwell_time));
    write($("total-density"), number(metrics.crowd_density, 3));
  }

  // The payload of an alert; gives the words for it.
  alert(alert) {
    const name = this.rows.get(alert.zone)?.zone.name ?? alert.zone;
    const words = alert.type !== "over_capacity"
      ? `${alert.component}: ${alert.status}`
      : alert.state === "over"
        ? `${name} is within its capacity again`
        : `${name}: ${alert.count} persons, ${alert.threshold} allowed`;
    const isBad = alert.state === "active" || alert.status === "error";
    $("alerts").prepend(make("li", { className: isBad ? "bad" : "" },
      make("span", { className: "faint" }, time(Date.now())), words));
    while ($("alerts").children.length > ALERTS_KEPT) $("alerts").lastChild.remove();
    $("no-alerts").hidden = true;
    return words;
  }

  badge(over) {
    $("zones-badge").hidden = over === 0;
    write($("zones-badge"), over);
  }
}

function rowOf(zone) {
  const count = make("span", { className: "figure" });
  const bar = make("meter", { max: 1, "aria-label": `${zone.name}, share of its capacity` });
  bar.hidden = !zone.capacity;
  const row = make("li", {}, make("span", { className: "name" }, zone.name), count, bar);
  return { zone, row, count, bar };
}
