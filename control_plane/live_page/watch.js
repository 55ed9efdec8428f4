// One task that is being watched: its connections, and the sets that come.
import { Connection } from "./connection.js";
import { decodeSet } from "./wire.js";

export class Watch {
  // `on` has set(set, tookMs) which draws one and resolves when it is on the page, status(task),
  // sync(payload), focus(payload), analytics(payload), alert(payload), state(name, text) and
  // error(message).
  constructor(task, on) {
    this.taskId = task.task_id;
    this.on = on;
    this.newestIndex = null;
    this.isReplay = false;
    this.waiting = null;
    this.isDrawing = false;
    this.pictures = new Connection(() => this.address(), {
      binary: (buffer) => this.take(buffer),
      message: (type, payload) => this.hear(type, payload),
      state: on.state,
    });
    this.focus = new Connection(() => `/ws/focus/${this.taskId}?replay=true`, {
      message: (type, payload) => type === "focus_update" && on.focus(payload),
    });
    this.analytics = new Connection(() => `/ws/analytics/${encodeURIComponent(task.environment_id)}`, {
      message: (type, payload) => {
        if (type === "analytics_update") on.analytics(payload);
        if (type === "alert") on.alert(payload);
      },
    });
  }

  send(message) {
    if (!this.pictures.send(message)) this.on.error("There is no connection at the moment.");
  }

  close() {
    this.isClosed = true;
    for (const connection of [this.pictures, this.focus, this.analytics]) connection.close();
  }

  // After a break it goes on where it was, as far as that is kept.
  address() {
    const since = this.newestIndex === null || this.isReplay ? "" : `&since=${this.newestIndex}`;
    return `/ws/frames/${this.taskId}?replay=true${since}`;
  }

  hear(type, payload) {
    if (type === "connection_established" || type === "status_update") this.on.status(payload);
    if (type === "frame_sync") {
      this.isReplay = payload.mode === "replay";
      this.on.sync(payload);
    }
    if (type === "error") this.on.error(payload.message);
  }

  // Keeps the newest set only: while one is drawn, others may come and go.
  async take(buffer) {
    this.waiting = { buffer, cameAt: performance.now(), isReplay: this.isReplay };
    if (this.isDrawing) return;
    this.isDrawing = true;
    try {
      while (this.waiting && !this.isClosed) await this.drawNewest();
    } finally {
      this.isDrawing = false;
    }
  }

  async drawNewest() {
    const { buffer, cameAt, isReplay } = this.waiting;
    this.waiting = null;
    const set = { ...decodeSet(buffer), isReplay };
    if (!isReplay) this.newestIndex = set.frameIndex;
    await this.on.set(set, cameAt);
  }
}
