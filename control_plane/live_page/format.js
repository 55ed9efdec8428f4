// Numbers and times as people read them. All times on the page are UTC.

const two = (number) => String(number).padStart(2, "0");

export const NOTHING = "–";

// 08:30:41.9
export const clock = (ms) => new Date(ms).toISOString().slice(11, 21);

// 08:30:41
export const time = (ms) => new Date(ms).toISOString().slice(11, 19);

// 2025-03-03 08:30:41
export const moment = (ms) => new Date(ms).toISOString().slice(0, 19).replace("T", " ");

// 0:07, 1:02:03
export function span(seconds) {
  const whole = Math.max(Math.round(seconds), 0);
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

export const number = (value, digits = 0, unit = "") =>
  value === null || value === undefined ? NOTHING : `${value.toFixed(digits)}${unit}`;

export const ms = (value) => number(value, value < 10 ? 1 : 0);

export const persons = (count) => (count === 1 ? "1 person" : `${count} persons`);
