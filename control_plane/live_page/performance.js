// How fast and how well: the worker's stages, the way to this page, the page itself, the machine.
import { $, make, write } from "./dom.js";
import { NOTHING, ms, number } from "./format.js";

const RATE_OVER_MS = 2000;
const DRAWN_KEPT = 120;
const STAGES = {
  detect: "Detect", track: "Track", embed: "Embed", match: "Match", encode: "Encode",
  publish: "Publish", arrival_to_publish: "Whole path in the worker",
};
const WHOLE = "arrival_to_publish";

export class Performance {
  constructor() {
    this.drawnMs = [];
    this.shownAt = [];
    this.missed = 0;
  }

  clear() {
    this.drawnMs = [];
    this.shownAt = [];
    this.missed = 0;
    $("stages").replaceChildren();
    for (const id of ["rate", "dropped", "latency", "shown-rate", "missed", "quality"]) {
      write($(id), NOTHING);
    }
  }

  // One set is on the page, `tookMs` after it came.
  drawn(tookMs) {
    const now = performance.now();
    this.drawnMs = [...this.drawnMs, tookMs].slice(-DRAWN_KEPT);
    this.shownAt = [...this.shownAt.filter((at) => now - at < RATE_OVER_MS), now];
    const spanS = (now - this.shownAt[0]) / 1000;
    const rate = spanS > 0.3 ? (this.shownAt.length - 1) / spanS : null;
    write($("shown-rate"), number(rate, 1, " sets/s"));
  }

  // The payload of a frame_sync.
  sync({ missed_sets: missed, quality, every }) {
    this.missed += missed;
    write($("missed"), this.missed);
    write($("quality"), every > 1 ? `${quality}, 1 of ${every}` : quality);
  }

  // The payload of a status_update.
  status(task) {
    const whole = task.stage_ms[WHOLE];
    const isRunning = task.status === "PROCESSING";
    write($("rate"), isRunning ? task.sets_per_s.toFixed(1) : NOTHING);
    write($("dropped"), task.dropped);
    $("dropped").parentElement.classList.toggle("warn", task.dropped > 0);
    write($("latency"), whole ? `${ms(whole.p50)} / ${ms(whole.p95)}` : NOTHING);
    this.table(task.stage_ms);
  }

  table(stageMs) {
    const names = Object.keys(STAGES).filter((name) => stageMs[name]);
    const others = Object.keys(stageMs).filter((name) => !STAGES[name]);
    const drawn = percentiles(this.drawnMs);
    const rows = [...names, ...others].map((name) => [STAGES[name] ?? name, stageMs[name]]);
    if (this.sendingMs) rows.push(["Publish to send", this.sendingMs]);
    if (drawn) rows.push(["Decode and draw, here", drawn]);
    const longest = Math.max(...rows.map(([, value]) => value.p95), 1);
    $("stages").replaceChildren(...rows.map(([name, value]) => stage(name, value, longest)));
  }

  // The payload of a system_status.
  system(pulse) {
    this.sendingMs = pulse.sending_ms.frames;
    write($("memory"), `${Math.round(pulse.memory_usage * 100)} %`);
    write($("gpu"), pulse.gpu ? `${Math.round(pulse.gpu.utilization * 100)} %` : "none");
    write($("delivery"), pulse.connection_quality ?? NOTHING);
    const parts = Object.entries(pulse.components).map(([name, { status, detail }]) =>
      make("li", { title: detail || status }, make("i", { className: `dot ${status}` }),
        name.replaceAll("_", " "), make("span", { className: "unseen" }, ` ${status}`)));
    $("components").replaceChildren(...parts);
  }
}

function percentiles(values) {
  if (!values.length) return null;
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share) => sorted[Math.min(Math.floor(share * sorted.length), sorted.length - 1)];
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99) };
}

function stage(name, value, longest) {
  const bar = make("div", { className: "bar", "aria-hidden": "true" }, make("i"), make("b"));
  bar.firstChild.style.inlineSize = `${(100 * value.p95) / longest}%`;
  bar.lastChild.style.inlineSize = `${(100 * value.p50) / longest}%`;
  const figures = [value.p50, value.p95, value.p99].map((figure) => make("td", {}, ms(figure)));
  return make("tr", {}, make("th", { scope: "row" }, name, bar), ...figures);
}
