// Play, pause, seek and speed, for everybody who watches this task.
import { $, icon, make, write } from "./dom.js";
import { clock, moment } from "./format.js";
import { lookOf } from "./identity.js";

const JUMP_S = 10;
const HELD_MS = 1500;

export class Timeline {
  // `send(message)` hands a command to the server.
  constructor(send) {
    this.send = send;
    this.playback = null;
    this.canOperate = true;
    this.held = 0;
    $("play").onclick = () => this.toggle();
    $("back").onclick = () => this.jump(-JUMP_S);
    $("forward").onclick = () => this.jump(JUMP_S);
    $("to-live").onclick = () => this.toLive();
    $("pace").onchange = () => this.send({ type: "speed", speed: Number($("pace").value) });
    $("seek").oninput = () => this.hold();
    $("seek").onchange = () => this.seekTo(this.startMs + Number($("seek").value) * 1000);
  }

  clear() {
    this.playback = null;
    this.shownMs = null;
    this.task = null;
    $("presence").replaceChildren();
    this.show();
  }

  // The payload of a status_update.
  status(task) {
    this.task = task;
    if (task.playback) {
      this.playback = task.playback;
      this.startMs = Date.parse(task.playback.start);
      this.shownMs ??= Date.parse(task.playback.timestamp_media_utc ?? task.playback.start);
    }
    this.show();
  }

  // The media time of the set that is on the page.
  shown(timeMs) {
    this.shownMs = timeMs;
    if (this.playback) this.place();
    write($("media-time"), clock(timeMs));
  }

  allow(canOperate) {
    this.canOperate = canOperate;
    this.show();
  }

  get isPlaying() {
    return ["playing", "seeking"].includes(this.playback?.state);
  }

  show() {
    const { playback, task } = this;
    const isOff = !playback || !this.canOperate;
    for (const id of ["play", "back", "forward", "seek", "pace"]) $(id).disabled = isOff;
    $("timeline").title = this.canOperate ? "" : "Steering takes the role operator";
    const isReplay = playback?.mode === "replay";
    const isEnded = Boolean(task?.finished_at);
    $("to-live").hidden = !isReplay || isEnded;
    $("mode").dataset.mode = modeOf(playback, isEnded);
    write($("mode"), modeOf(playback, isEnded));
    $("play").replaceChildren(icon(this.isPlaying ? "pause" : "play"));
    $("play").setAttribute("aria-label", this.isPlaying ? "Pause" : "Play");
    write($("by"), playback?.by ? `${playback.last_command} by ${playback.by}` : "");
    $("pace").value = playback?.speed ?? (playback ? "max" : "1");
    if (!playback) {
      $("media-time").textContent = "–";
      write($("extent"), "");
      $("scrubber").style.setProperty("--played", 0);
      $("scrubber").style.setProperty("--processed", 0);
      return;
    }
    $("seek").max = playback.duration_s;
    write($("extent"), `${moment(this.startMs)} – ${moment(Date.parse(playback.end)).slice(11)} UTC`);
    this.place();
  }

  place() {
    const { duration_s: durationS } = this.playback;
    const seconds = Math.min(Math.max((this.shownMs - this.startMs) / 1000, 0), durationS);
    $("scrubber").style.setProperty("--processed", this.task?.progress ?? 0);
    if (Date.now() < this.held) return;
    $("seek").value = seconds;
    $("seek").setAttribute("aria-valuetext", clock(this.shownMs));
    $("scrubber").style.setProperty("--played", seconds / durationS);
  }

  // While somebody moves the handle, sets do not.
  hold() {
    this.held = Date.now() + HELD_MS;
    const seconds = Number($("seek").value);
    $("scrubber").style.setProperty("--played", seconds / this.playback.duration_s);
    write($("media-time"), clock(this.startMs + seconds * 1000));
  }

  toggle() {
    if ($("play").disabled) return;
    const wasPlaying = this.isPlaying;
    this.send({ type: wasPlaying ? "pause" : "play" });
    // Shown at once, so that a second press means the opposite; the next status has the last word.
    this.playback = { ...this.playback, state: wasPlaying ? "paused" : "playing" };
    this.show();
  }

  jump(seconds) {
    if (!$("seek").disabled) this.seekTo(this.shownMs + seconds * 1000);
  }

  faster(steps) {
    const paces = [...$("pace").options].map((option) => option.value).filter((v) => v !== "max");
    const at = paces.indexOf($("pace").value);
    const wanted = paces[Math.min(Math.max((at < 0 ? paces.length : at) + steps, 0), paces.length - 1)];
    if (!$("pace").disabled) this.send({ type: "speed", speed: Number(wanted) });
  }

  toLive() {
    this.seekTo(this.startMs + this.task.progress * this.playback.duration_s * 1000);
  }

  seekTo(timeMs) {
    const endMs = this.startMs + this.playback.duration_s * 1000;
    const wanted = Math.min(Math.max(timeMs, this.startMs), endMs);
    this.held = Date.now() + HELD_MS;
    $("scrubber").style.setProperty("--played", (wanted - this.startMs) / (endMs - this.startMs));
    this.send({ type: "seek", timestamp: new Date(wanted).toISOString() });
  }

  // Where on the line somebody was seen, from their journey; nobody clears it.
  presence(globalId, stays) {
    if (!this.playback) return;
    const durationMs = this.playback.duration_s * 1000;
    const bars = stays.map((stay) => {
      const bar = make("i");
      const [from, to] = [Date.parse(stay.entered_at), Date.parse(stay.left_at)];
      bar.style.insetInlineStart = `${(100 * (from - this.startMs)) / durationMs}%`;
      bar.style.inlineSize = `${(100 * (to - from)) / durationMs}%`;
      bar.style.background = lookOf(globalId).colour;
      return bar;
    });
    $("presence").replaceChildren(...bars);
  }
}

function modeOf(playback, isEnded) {
  if (!playback) return "waiting";
  if (playback.mode === "replay" && playback.state !== "stopped") return "replay";
  if (isEnded) return "ended";
  return playback.state === "seeking" ? "catching up" : "live";
}
