// The live page: choose an environment, start a task, watch it. `/?task=<id>` opens that task.
import { Connection } from "./connection.js";
import { $, write } from "./dom.js";
import { Floor, personsIn } from "./floor.js";
import { forgetLooks } from "./identity.js";
import { listen, tabs } from "./keyboard.js";
import { Login, canOperate } from "./login.js";
import { People } from "./people.js";
import { Performance } from "./performance.js";
import { PersonPanel } from "./person.js";
import { call, onLoginNeeded } from "./session.js";
import { StartForm } from "./start.js";
import { ENDED, Tasks } from "./tasks.js";
import { Timeline } from "./timeline.js";
import { Views } from "./views.js";
import { Watch } from "./watch.js";
import { Zones } from "./zones.js";

const TOAST_MS = 6000;
const CHOICE_MS = 800;

const views = new Views($("views"), follow);
const floor = new Floor($("map"), follow);
const people = new People($("persons"), $("count"), follow);
const panel = new PersonPanel({ way: showWay });
const zones = new Zones();
const figures = new Performance();
const timeline = new Timeline((message) => watch?.send(message));
const tasks = new Tasks((taskId) => attempt(() => open(taskId)));
const startForm = new StartForm({ started: open, attempt });
const login = new Login(() => attempt(begin));
const selectTab = tabs($("tabs"));
let me = null;
let task = null;
let watch = null;
let system = null;
let focusId = null;
let chosenAt = -Infinity;
let toastTimer = null;

// What tests and the curious read: what is on the page at this moment.
window.spoton = { shown: null, focusId: () => focusId, views, floor, timeline };

// Runs what a person asked for; what goes wrong is shown, and gone with the next thing that works.
async function attempt(action) {
  try {
    await action();
    notice("");
  } catch (error) {
    if (error.status !== 401) notice(error.message);
  }
}

function notice(text) {
  $("notice").hidden = !text;
  write($("notice-text"), text);
}

function toast(text) {
  write($("toast"), text);
  $("toast").hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => ($("toast").hidden = true), TOAST_MS);
}

// From the start, and again after somebody has logged in or out.
async function begin() {
  leave();
  me = await call("/auth/me");
  login.show(me);
  timeline.allow(canOperate(me));
  const { environments, problems } = await startForm.load();
  system?.close();
  system = new Connection(() => "/ws/system", { message: hearSystem });
  const items = await tasks.refresh();
  const asked = new URLSearchParams(location.search).get("task");
  const taskId = asked ?? items.find((item) => !ENDED.has(item.status))?.task_id;
  if (taskId) await open(taskId);
  else showEmpty(environments, items);
  if (problems.length) throw new Error(problems[0]);
}

// Nothing plays: says why, and what to do.
function showEmpty(environments, items) {
  const chosen = startForm.chosen;
  let text = items.length ? "Press Start, or open one of the tasks on the right." : "Press Start to play the recordings.";
  if (!environments.length) text = "There is no environment yet: add its TOML file and restart.";
  else if (environments.every((environment) => environment.has_data === false)) {
    text = "No recordings yet: upload sub-videos to the object store, or make some with “spoton simulate”.";
  } else if (!canOperate(me)) text = "Nothing plays. Starting a task takes the role operator.";
  write($("empty-title"), chosen && environments.length ? `${chosen.name}: nothing is playing` : "Nothing is playing");
  write($("empty-text"), text);
  document.body.dataset.watching = "no";
  $("start").disabled = !environments.length || !canOperate(me);
  selectTab("tab-tasks");
}

async function open(taskId) {
  const found = await call(`/processing-tasks/${encodeURIComponent(taskId)}/status`);
  const path = `/environments/${encodeURIComponent(found.environment_id)}`;
  const [environment, stored] = await Promise.all([call(path), call(`${path}/zones`).catch(() => null)]);
  leave();
  task = found;
  history.replaceState(null, "", `/?task=${task.task_id}`);
  startForm.choose(task.environment_id);
  document.body.dataset.watching = "yes";
  const shown = { ...environment, zones: stored?.zones ?? environment.zones };
  views.show(camerasOf(environment, task));
  floor.show(shown);
  zones.show(shown.zones);
  selectTab("tab-person");
  tasks.currentId = task.task_id;
  tasks.refresh().catch(() => {});
  watch = new Watch(task, {
    set: showSet,
    status: (state) => showStatus(state, environment),
    sync: showBreak,
    focus: hearFocus,
    analytics: (update) => zones.tell(update),
    alert: (alert) => toast(zones.alert(alert)),
    state: showState,
    error: notice,
  });
}

function leave() {
  watch?.close();
  watch = task = null;
  setFocus(null);
  forgetLooks();
  window.spoton.shown = null;
  for (const part of [timeline, figures, people, zones, floor]) part.clear();
  showState("idle", "no task");
}

// Before its first set a task does not say which cameras it has.
function camerasOf(environment, { cameras }) {
  const chosen = environment.cameras.filter((camera) => camera.camera_id in cameras);
  return chosen.length ? chosen : environment.cameras;
}

async function showSet(set, cameAt) {
  await views.draw(set);
  const persons = personsIn(set.metadata);
  floor.update(persons, set.mediaTimeMs);
  people.update(persons);
  zones.update(floor.counts);
  panel.see(persons.get(focusId));
  timeline.shown(set.mediaTimeMs);
  figures.drawn(performance.now() - cameAt);
  window.spoton.shown = {
    frameIndex: set.frameIndex, mediaTimeMs: set.mediaTimeMs, isReplay: set.isReplay, metadata: set.metadata,
  };
}

function showStatus(state, environment) {
  const hadEnded = ENDED.has(task.status);
  task = state;
  const hasEnded = ENDED.has(task.status);
  const wanted = camerasOf(environment, task).map((camera) => camera.camera_id);
  if (wanted.join() !== views.cameraIds.join()) views.show(camerasOf(environment, task));
  timeline.status(task);
  figures.status(task);
  write($("status"), task.status.toLowerCase());
  $("status").dataset.status = task.status;
  $("stop").disabled = hasEnded || task.stop_requested || !canOperate(me);
  $("start").disabled = !canOperate(me);
  const problems = Object.entries(task.cameras).map(([id, camera]) => [id, camera.error]);
  views.showProblems(Object.fromEntries(problems));
  $("views-hint").hidden = window.spoton.shown !== null;
  write($("views-hint"), hintOf(task));
  if (task.error) notice(task.error);
  if (hasEnded && !hadEnded) tasks.refresh().catch(() => {});
  if (hasEnded && !timeline.playback) readExtent(task);
}

// Of a task that ended so long ago that its status does not say how it plays any more.
async function readExtent(ended) {
  const playback = await call(`/tracking/controls/${ended.task_id}`).catch(() => null);
  if (playback && task?.task_id === ended.task_id) timeline.status({ ...task, playback });
}

// What stands where pictures will be.
function hintOf({ status, message, error }) {
  if (error) return error;
  if (status === "QUEUED") return "Waiting for a worker…";
  if (ENDED.has(status)) return "This task has ended. Press Play to watch what it stored.";
  return message || `${status.toLowerCase()}…`;
}

function showBreak(sync) {
  figures.sync(sync);
  if (sync.reason === "redis_was_away" || sync.reason === "not_kept") {
    toast(`${sync.missed_sets} sets could not be shown`);
  }
}

function showState(state, text) {
  $("connection").dataset.state = state;
  write($("connection"), text);
  if (state === "live") notice("");
}

function hearSystem(type, payload) {
  if (type === "system_status") figures.system(payload);
  if (type === "alert") toast(zones.alert(payload));
}

// Follows somebody; the same person again is followed no more.
function follow(globalId) {
  const wanted = globalId === focusId ? null : globalId;
  chosenAt = performance.now();
  watch?.send(wanted ? { type: "set_focus", person_id: wanted } : { type: "clear_focus" });
  setFocus(wanted);
  if (wanted) selectTab("tab-person");
}

// Another window of the same viewer may choose as well; what was on its way while this one chose
// does not count.
function hearFocus({ focused_person_id: globalId, person_details: details }) {
  if (globalId !== focusId && performance.now() - chosenAt < CHOICE_MS) return;
  setFocus(globalId, details);
}

function setFocus(globalId, details = null) {
  if (globalId !== focusId) {
    focusId = globalId;
    for (const part of [views, floor, people]) part.setFocus(globalId);
    timeline.presence(null, []);
  }
  panel.show(task?.task_id, globalId);
  panel.update(details);
}

function showWay(journey) {
  floor.setPath(journey.path_m);
  timeline.presence(journey.global_id, journey.places.filter((place) => place.kind === "camera"));
}

// The next or the last one in the list of persons.
function followNext(step) {
  const ids = people.ids;
  if (!ids.length) return;
  const at = ids.indexOf(focusId);
  const next = at < 0 ? (step > 0 ? 0 : ids.length - 1) : (at + step + ids.length) % ids.length;
  if (ids[next] !== focusId) follow(ids[next]);
}

function enlarge(key) {
  const id = views.cameraIds[Number(key) - 1];
  views.enlarge(id === views.enlarged ? null : (id ?? null));
}

listen([
  { keys: [" ", "k"], names: ["Space"], label: "Play or pause", act: () => timeline.toggle() },
  { keys: ["ArrowLeft", "j"], names: ["←"], label: "Back 10 seconds", act: () => timeline.jump(-10) },
  { keys: ["ArrowRight", "l"], names: ["→"], label: "Forward 10 seconds", act: () => timeline.jump(10) },
  { keys: ["+", ">"], names: ["+"], label: "Faster", act: () => timeline.faster(1) },
  { keys: ["-", "<"], names: ["−"], label: "Slower", act: () => timeline.faster(-1) },
  { keys: ["n"], names: ["n"], label: "Follow the next person", act: () => followNext(1) },
  { keys: ["p"], names: ["p"], label: "Follow the person before", act: () => followNext(-1) },
  { keys: ["Escape"], names: ["Esc"], label: "Follow nobody, show all cameras", act: stepBack },
  { keys: [..."123456789"], names: ["1", "…", "9"], label: "Enlarge a camera", act: enlarge },
  { keys: ["t"], names: ["t"], label: "Dark or light", act: toggleTheme },
  { keys: ["?"], names: ["?"], label: "This help", act: () => $("help").showModal() },
]);

function stepBack() {
  if (views.enlarged) views.enlarge(null);
  else if (focusId) follow(focusId);
}

function toggleTheme() {
  dispatchEvent(new Event("toggletheme"));
}

$("theme").onclick = toggleTheme;
$("unfollow").onclick = () => focusId && follow(focusId);
$("notice-close").onclick = () => notice("");
$("stop").onclick = () => attempt(async () => {
  await call(`/processing-tasks/${task.task_id}/stop`, { method: "POST" });
  $("stop").disabled = true;
});
onLoginNeeded(() => login.ask());
await attempt(begin);
