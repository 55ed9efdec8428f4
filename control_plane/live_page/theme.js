// Dark or light, before anything is drawn: as the system has it, or as the visitor chose here.
// A plain script, because modules run too late for the first paint.
(() => {
  const KEY = "spoton.theme";
  const isDark = matchMedia("(prefers-color-scheme: dark)");
  const chosen = () => localStorage.getItem(KEY);

  function apply() {
    document.documentElement.dataset.theme = chosen() ?? (isDark.matches ? "dark" : "light");
    dispatchEvent(new Event("themechange"));
  }

  addEventListener("toggletheme", () => {
    const next = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    if (next === (isDark.matches ? "dark" : "light")) localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, next);
    apply();
  });
  isDark.addEventListener("change", apply);
  apply();
})();
