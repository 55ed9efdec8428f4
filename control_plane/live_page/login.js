// The login dialog, and who is logged in.
import { $, write } from "./dom.js";
import { logIn, logOut } from "./session.js";

const RANKS = { viewer: 1, operator: 2, admin: 3 };

export const canOperate = (me) => RANKS[me?.role] >= RANKS.operator;

export class Login {
  // `changed()` is called after somebody has logged in or out.
  constructor(changed) {
    $("login-form").onsubmit = async (event) => {
      event.preventDefault();
      await this.submit(changed);
    };
    $("user").onclick = async () => {
      if ($("user").dataset.state === "user") {
        await logOut();
        changed();
      } else {
        this.ask(true);
      }
    };
    $("login-cancel").onclick = () => $("login").close();
    $("login").addEventListener("cancel", (event) => {
      if ($("login-cancel").hidden) event.preventDefault();
    });
  }

  // Shows the form; who may go on without it can close it.
  ask(isOptional = false) {
    if ($("login").open) return;
    write($("login-error"), "");
    $("login-cancel").hidden = !isOptional;
    $("login").showModal();
  }

  async submit(changed) {
    $("login-submit").disabled = true;
    try {
      await logIn($("username").value.trim(), $("password").value);
      $("login").close();
      $("login-form").reset();
      changed();
    } catch (error) {
      write($("login-error"), error.message);
      $("password").select();
    } finally {
      $("login-submit").disabled = false;
    }
  }

  // The answer of auth/me.
  show(me) {
    const isUser = me?.user_id != null;
    $("user").dataset.state = isUser ? "user" : "anonymous";
    write($("user-name"), isUser ? me.username : "Log in");
    $("user").title = isUser ? `${me.username}, ${me.role}: log out` : "Log in as a user";
    $("user").setAttribute("aria-label", $("user").title);
  }
}
