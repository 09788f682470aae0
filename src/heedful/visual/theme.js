"use strict";

/* Dark or light: the reader's preference, until the button is used. */
function setTheme(name) {
  document.documentElement.dataset.theme = name;
  document.getElementById("theme").textContent = name === "dark" ? "light" : "dark";
}

const preference = matchMedia("(prefers-color-scheme: dark)");
const followPreference = () => setTheme(preference.matches ? "dark" : "light");
preference.addEventListener("change", followPreference);
followPreference();

const button = document.getElementById("theme");
button.hidden = false;
button.addEventListener("click", () => setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"));
