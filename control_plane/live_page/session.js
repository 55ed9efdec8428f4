// Who looks at the page, and every request to the REST interface.
//
// Tokens stay in this tab (sessionStorage). A request that is refused with 401 is sent again with
// a new access token; where there is none to be had, `onLoginNeeded` is called.

const API = "/api/v1";
const KEY = "spoton.login";
const EARLY_MS = 30_000;

let login = JSON.parse(sessionStorage.getItem(KEY) ?? "null");
let refreshing = null;
let loginNeeded = () => {};

export class Refusal extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

export function onLoginNeeded(act) {
  loginNeeded = act;
}

// The parsed answer; a Refusal with the server's own words when there is none.
export async function call(path, { method = "GET", body } = {}) {
  const answer = await send(path, { method, body });
  return answer.json();
}

// A picture as the address of a blob; whoever asked revokes it. null where there is no picture.
export async function picture(path) {
  try {
    return URL.createObjectURL(await (await send(path, {})).blob());
  } catch (error) {
    if (error.status === 404) return null;
    throw error;
  }
}

export async function logIn(username, password) {
  keep(await post("/auth/login", { username, password }));
}

export async function logOut() {
  if (login) await call("/auth/logout", { method: "POST", body: {} }).catch(() => {});
  keep(null);
}

// What a WebSocket is opened with; asks for a new token first when the one at hand is about to end.
export async function protocols() {
  if (login && Date.now() > login.endsAt - EARLY_MS) await refresh();
  return login ? ["bearer", login.access] : [];
}

// After a WebSocket was closed for its token.
export async function renew() {
  if (!(await refresh())) loginNeeded();
}

async function send(path, options, isAgain = false) {
  const answer = await fetch(API + path, requestOf(options)).catch(() => {
    throw new Refusal(0, "unreachable", "SpotOn does not answer: is it running?");
  });
  if (answer.ok) return answer;
  if (answer.status === 401 && !isAgain && (await refresh())) return send(path, options, true);
  if (answer.status === 401) loginNeeded();
  throw await refusalOf(answer);
}

function requestOf({ method, body }) {
  const headers = {};
  if (login) headers.Authorization = `Bearer ${login.access}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  return { method, headers, body: body === undefined ? undefined : JSON.stringify(body) };
}

async function refusalOf(answer) {
  const { error } = await answer.json().catch(() => ({}));
  return new Refusal(answer.status, error?.code, error?.message ?? `error ${answer.status}`);
}

// Whether there is a new access token. A refresh token is good for one use: all who wait share it.
function refresh() {
  if (!login) return Promise.resolve(false);
  refreshing ??= post("/auth/refresh", { refresh_token: login.refresh })
    .then((tokens) => keep(tokens), (error) => {
      if (error.status === 401) keep(null);
    })
    .then(() => login !== null)
    .finally(() => {
      refreshing = null;
    });
  return refreshing;
}

async function post(path, body) {
  const answer = await fetch(API + path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  }).catch(() => {
    throw new Refusal(0, "unreachable", "SpotOn does not answer: is it running?");
  });
  if (!answer.ok) throw await refusalOf(answer);
  return answer.json();
}

function keep(tokens) {
  login = tokens && {
    access: tokens.access_token,
    refresh: tokens.refresh_token,
    endsAt: Date.now() + tokens.expires_in * 1000,
  };
  if (login) sessionStorage.setItem(KEY, JSON.stringify(login));
  else sessionStorage.removeItem(KEY);
}
