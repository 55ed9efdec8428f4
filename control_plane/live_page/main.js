// The live page: choose an environment, start a task, watch it. `/?task=<id>` opens that task.
import { Connection } from "./connection.js";
import { Floor } from "./floor.js";
import { Pictures } from "./pictures.js";

const API = "/api/v1";
const ENDED = new Set(["COMPLETED", "FAILED", "STOPPED"]);
const TASKS_EVERY_MS = 3000;
const RATE_OVER_MS = 2000;

const $ = (id) => document.getElementById(id);
const pictures = new Pictures($("pictures"));
const floor = new Floor($("map"), $("persons"));
let current = null;
let connection = null;
let waiting = null;
let isDrawing = false;
let shownAt = [];

async function call(path, options = {}) {
  const answer = await fetch(API + path, options).catch(() => {
    throw new Error("SpotOn does not answer: is it running?");
  });
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(body.error?.message ?? `error ${answer.status}`);
  return body;
}

function notice(text) {
  $("notice").hidden = !text;
  $("notice").textContent = text;
}

// Runs what a person asked for; what goes wrong is shown, and gone with the next thing that works.
async function attempt(action) {
  try {
    await action();
    notice("");
  } catch (error) {
    notice(error.message);
  }
}

async function loadEnvironments() {
  const { environments, problems } = await call("/environments");
  const options = environments.map((environment) => {
    const option = new Option(environment.name, environment.environment_id);
    if (environment.has_data === false) option.text += " (no recordings)";
    return option;
  });
  $("environment").replaceChildren(...options);
  const first = environments.find((environment) => environment.has_data) ?? environments[0];
  if (first) $("environment").value = first.environment_id;
  $("start").disabled = !environments.length;
  if (!environments.length) throw new Error("There is no environment yet: add a TOML file.");
  if (problems.length) throw new Error(problems[0]);
}

async function start() {
  const speed = $("speed").value;
  const body = { environment_id: $("environment").value, speed: speed === "max" ? speed : Number(speed) };
  const headers = { "Content-Type": "application/json" };
  const task = await call("/processing-tasks/start", { method: "POST", headers, body: JSON.stringify(body) });
  await open(task.task_id);
  await showTasks();
}

async function open(taskId) {
  const task = await call(`/processing-tasks/${encodeURIComponent(taskId)}/status`);
  const environment = await call(`/environments/${encodeURIComponent(task.environment_id)}`);
  connection?.close();
  current = task;
  shownAt = [];
  waiting = null;
  history.replaceState(null, "", `/?task=${task.task_id}`);
  $("environment").value = task.environment_id;
  toggleEmpty(false);
  pictures.show(environment.cameras);
  floor.show(environment);
  showStatus(task);
  connection = new Connection(task.task_id, { state: showState, set: take, status: showStatus, error: notice });
}

function toggleEmpty(isEmpty) {
  $("empty").hidden = !isEmpty;
  $("pictures").hidden = $("floor").hidden = $("figures").hidden = isEmpty;
}

function showState(state, text) {
  $("connection").dataset.state = state;
  $("connection").textContent = text;
  if (state === "live") notice("");
}

// Keeps the newest set only: while one is drawn, others may come and go.
async function take(set) {
  waiting = set;
  if (isDrawing) return;
  isDrawing = true;
  while (waiting) {
    const next = waiting;
    waiting = null;
    await pictures.draw(next);
    showSet(next);
  }
  isDrawing = false;
}

function showSet(set) {
  const now = performance.now();
  shownAt = [...shownAt.filter((at) => now - at < RATE_OVER_MS), now];
  floor.update(set.metadata, set.mediaTimeMs);
  $("count").textContent = floor.count;
  const spanS = (now - shownAt[0]) / 1000;
  $("fps").textContent = spanS > 0.3 ? ((shownAt.length - 1) / spanS).toFixed(1) : "–";
  $("media-time").textContent = new Date(set.mediaTimeMs).toISOString().slice(11, 21);
}

function showStatus(task) {
  current = task;
  const hasEnded = ENDED.has(task.status);
  $("status").textContent = task.status.toLowerCase();
  $("rate").textContent = task.sets_per_s.toFixed(1);
  $("dropped").textContent = task.dropped;
  $("progress").value = task.progress;
  $("stop").disabled = hasEnded || task.stop_requested;
  const problems = Object.entries(task.cameras).filter(([, camera]) => camera.error);
  const text = task.error ?? problems.map(([id, camera]) => `${id}: ${camera.error}`).join(" · ");
  if (text) notice(text);
  if (hasEnded) showTasks();
}

async function showTasks() {
  const { items } = await call("/processing-tasks?limit=8");
  $("tasks-section").hidden = !items.length;
  $("tasks").replaceChildren(...items.map(row));
  return items;
}

function row(task) {
  const line = document.createElement("tr");
  const bar = document.createElement("progress");
  bar.value = task.progress;
  bar.setAttribute("aria-label", `Progress ${Math.round(task.progress * 100)} %`);
  const button = document.createElement("button");
  button.textContent = "Open";
  button.setAttribute("aria-label", `Open the task of ${task.environment_id}`);
  button.addEventListener("click", () => attempt(() => open(task.task_id)));
  const cells = [new Date(task.created_at).toLocaleString(), task.environment_id, status(task), bar, button];
  if (task.task_id === current?.task_id) line.setAttribute("aria-current", "true");
  for (const content of cells) line.insertCell().append(content);
  return line;
}

function status(task) {
  const cell = document.createElement("span");
  cell.textContent = task.status.toLowerCase();
  if (!task.error) return cell;
  const problem = document.createElement("span");
  problem.className = "problem";
  problem.textContent = task.error;
  cell.append(problem);
  return cell;
}

async function refresh() {
  // A person who is on a task's button keeps it: the list waits.
  if ($("tasks").contains(document.activeElement)) return;
  await showTasks().catch((error) => notice(error.message));
}

$("controls").addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(start);
});
$("stop").addEventListener("click", () =>
  attempt(async () => showStatus(await call(`/processing-tasks/${current.task_id}/stop`, { method: "POST" }))));
setInterval(refresh, TASKS_EVERY_MS);

toggleEmpty(true);
await attempt(loadEnvironments);
await attempt(async () => {
  const asked = new URLSearchParams(location.search).get("task");
  const items = await showTasks();
  const taskId = asked ?? items.find((task) => !ENDED.has(task.status))?.task_id;
  if (taskId) await open(taskId);
});
