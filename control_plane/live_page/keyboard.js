// Shortcuts and the help that lists them.
import { $, make } from "./dom.js";

const TYPING = "input:not([type=range]):not([type=checkbox]), select, textarea, dialog";

// `shortcuts` is a list of { keys, label, act }; keys are as KeyboardEvent.key has them.
export function listen(shortcuts) {
  const acts = new Map(shortcuts.flatMap(({ keys, act }) => keys.map((key) => [key, act])));
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.(TYPING)) return;
    const act = acts.get(event.key);
    if (!act || isOwn(event)) return;
    event.preventDefault();
    act(event.key);
  });
  const rows = shortcuts.map(({ names, label }) =>
    make("div", {}, make("dt", {}, ...names.map((name) => make("kbd", {}, name))),
      make("dd", {}, label)));
  $("shortcuts").replaceChildren(...rows);
  $("help-close").onclick = () => $("help").close();
  $("help-open").onclick = () => $("help").showModal();
}

// Keys that the focused control uses itself.
function isOwn({ key, target }) {
  if (target.matches("button, summary, a")) return key === " " || key === "Enter";
  if (target.matches("[role=tab]")) return key.startsWith("Arrow");
  return target.matches("input[type=range]") && key.startsWith("Arrow");
}

// Tabs as the ARIA practices have them: arrows move, Home and End too.
export function tabs(list) {
  const all = [...list.querySelectorAll("[role=tab]")];
  const select = (tab, isFocused = true) => {
    for (const other of all) {
      other.setAttribute("aria-selected", String(other === tab));
      other.tabIndex = other === tab ? 0 : -1;
      $(other.getAttribute("aria-controls")).hidden = other !== tab;
    }
    if (isFocused) tab.focus();
  };
  for (const tab of all) tab.addEventListener("click", () => select(tab));
  list.addEventListener("keydown", ({ key }) => {
    const at = all.indexOf(document.activeElement);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: all.length - 1 }[key];
    if (to !== undefined) select(all[(to + all.length) % all.length]);
  });
  return (id) => select($(id), false);
}
