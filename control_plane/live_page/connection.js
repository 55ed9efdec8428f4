// One WebSocket to /ws/frames/{task} that connects again until the task has ended.
import { decodeSet } from "./wire.js";

const TASK_ENDED = 1000;
const NO_SUCH_TASK = 4404;
const LONGEST_WAIT_MS = 8000;

export class Connection {
  // `on` has state(name, text), set(decoded), status(view) and error(message).
  constructor(taskId, on) {
    this.taskId = taskId;
    this.on = on;
    this.attempts = 0;
    this.isClosed = false;
    this.open();
  }

  open() {
    this.on.state("waiting", this.attempts ? "connecting again…" : "connecting…");
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(`${scheme}//${location.host}/ws/frames/${this.taskId}`);
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => this.receive(data);
    socket.onclose = ({ code }) => this.lost(code);
    this.socket = socket;
  }

  receive(data) {
    if (typeof data !== "string") {
      this.on.set(decodeSet(data));
      return;
    }
    const { type, payload } = JSON.parse(data);
    if (type === "connection_established") {
      this.attempts = 0;
      this.on.state("live", "connected");
    }
    if (type === "error") this.on.error(payload.message);
    if (type === "connection_established" || type === "status_update") this.on.status(payload);
  }

  lost(code) {
    if (this.isClosed) return;
    if (code === TASK_ENDED) this.on.state("idle", "task ended");
    else if (code === NO_SUCH_TASK) this.on.state("lost", "no such task");
    else {
      this.attempts += 1;
      const wait = Math.min(500 * 2 ** (this.attempts - 1), LONGEST_WAIT_MS);
      this.on.state("lost", "connection lost, trying again");
      this.timer = setTimeout(() => this.open(), wait);
    }
  }

  close() {
    this.isClosed = true;
    clearTimeout(this.timer);
    this.socket.close();
  }
}
