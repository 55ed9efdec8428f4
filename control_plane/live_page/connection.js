// A WebSocket that connects again until it is closed for good.
import { protocols, renew } from "./session.js";

const ENDED = 1000;
const TOKEN_OVER = 4401;
const FOR_GOOD = { 4403: "not allowed", 4404: "not there" };
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 8000;

export class Connection {
  // `address()` gives the path, asked anew each time; `on` has any of message(type, payload),
  // binary(buffer) and state(name, text) with the names waiting, live, lost and idle.
  constructor(address, on) {
    this.address = address;
    this.on = { message() {}, binary() {}, state() {}, ...on };
    this.attempts = 0;
    this.isClosed = false;
    this.retry = () => this.attempts && this.reopen();
    addEventListener("online", this.retry);
    this.open();
  }

  async open() {
    this.on.state("waiting", this.attempts ? "connecting again" : "connecting");
    const offered = await protocols();
    if (this.isClosed) return;
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(`${scheme}//${location.host}${this.address()}`, offered);
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => this.receive(data);
    socket.onclose = ({ code }) => socket === this.socket && this.lost(code);
    this.socket = socket;
  }

  receive(data) {
    if (typeof data !== "string") {
      this.on.binary(data);
      return;
    }
    const { type, payload } = JSON.parse(data);
    if (type === "connection_established") {
      this.attempts = 0;
      this.on.state("live", "connected");
    }
    this.on.message(type, payload);
  }

  // False while there is no connection to send it on.
  send(message) {
    if (this.socket?.readyState !== WebSocket.OPEN) return false;
    this.socket.send(JSON.stringify(message));
    return true;
  }

  async lost(code) {
    if (this.isClosed) return;
    if (code === ENDED || FOR_GOOD[code]) {
      this.on.state(code === ENDED ? "idle" : "lost", FOR_GOOD[code] ?? "task ended");
      return;
    }
    this.attempts += 1;
    this.on.state("lost", "connection lost, trying again");
    if (code === TOKEN_OVER && this.attempts === 1) await renew();
    const wait = Math.min(FIRST_WAIT_MS * 2 ** (this.attempts - 1), LONGEST_WAIT_MS);
    // Not all at once when a server comes back.
    this.timer = setTimeout(() => this.open(), wait * (0.7 + 0.6 * Math.random()));
  }

  reopen() {
    clearTimeout(this.timer);
    if (!this.isClosed && this.socket?.readyState !== WebSocket.OPEN) this.open();
  }

  close() {
    this.isClosed = true;
    removeEventListener("online", this.retry);
    clearTimeout(this.timer);
    this.socket?.close();
  }
}
