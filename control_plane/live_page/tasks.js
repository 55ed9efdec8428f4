// The newest tasks: what ran, what runs, how it ended.
import { $, make } from "./dom.js";
import { call } from "./session.js";

const LISTED = 12;
const EVERY_MS = 3000;
export const ENDED = new Set(["COMPLETED", "FAILED", "STOPPED"]);

export class Tasks {
  constructor(open) {
    this.open = open;
    this.currentId = null;
    setInterval(() => !document.hidden && this.refresh().catch(() => {}), EVERY_MS);
  }

  async refresh() {
    const { items } = await call(`/processing-tasks?limit=${LISTED}`);
    const focused = document.activeElement?.dataset?.task;
    $("tasks").replaceChildren(...items.map((task) => this.row(task)));
    $("no-tasks").hidden = items.length > 0;
    if (focused) $("tasks").querySelector(`[data-task="${CSS.escape(focused)}"]`)?.focus();
    return items;
  }

  row(task) {
    const started = new Date(task.created_at).toLocaleString();
    const state = make("span", { className: `state ${task.status}` }, task.status.toLowerCase());
    const progress = make("progress", { value: task.progress, "aria-label": "Progress" });
    const button = make("button", { type: "button", className: "task", onclick: () => this.open(task.task_id) },
      make("b", {}, task.environment_id), state, make("span", { className: "faint" }, started), progress);
    button.dataset.task = task.task_id;
    if (task.error) button.append(make("span", { className: "problem" }, task.error));
    if (task.task_id === this.currentId) button.setAttribute("aria-current", "true");
    return make("li", {}, button);
  }
}
