/** Light or dark colours: follow the system until the user switches. The browser stores the choice. */

import { element } from "./page.js";

const KEY = "infgen-theme";

export function startTheme() {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const button = element("theme");
  const chosen = localStorage.getItem(KEY);
  if (chosen === "light" || chosen === "dark") root.dataset.theme = chosen;
  const isDark = () => (root.dataset.theme ?? (dark.matches ? "dark" : "light")) === "dark";
  const say = () => button.setAttribute("aria-label", isDark() ? "Switch to light colours" : "Switch to dark colours");
  say();
  dark.addEventListener("change", say);
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    localStorage.setItem(KEY, root.dataset.theme);
    say();
  });
}
