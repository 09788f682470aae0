"use strict";

/* An element with its attributes and what stands in it. */
function element(name, attributes, ...content) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...content);
  return made;
}

/* A word, and the words of one side, as the class Pair knows them. */
function wordOf(side, token, at) {
  return element(
    "button",
    { type: "button", class: "word", "data-side": side, "data-at": at, tabindex: at ? -1 : 0, "aria-pressed": "false" },
    element("span", { class: "text" }, token || "∅"),
    element("span", { class: "share" }),
  );
}

function wordsOf(side, tokens) {
  const buttons = tokens.map((token, at) => wordOf(side, token, at));
  return element("div", { class: "words", role: "group", "aria-label": `${side} words`, dir: "auto" }, ...buttons);
}

/* Both sides with room for threads between them, and where it is said what a word looked at. */
function stageOf(source, target) {
  const threads = document.createElementNS(SVG, "svg");
  threads.setAttribute("class", "threads");
  threads.setAttribute("aria-hidden", "true");
  return [
    element("div", { class: "stage" }, threads, wordsOf("source", source), wordsOf("target", target)),
    element("p", { class: "readout", "aria-live": "polite" }),
  ];
}
