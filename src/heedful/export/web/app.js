/* The page: what is typed goes through the translator, and what each token looked at is drawn as it comes. */

import { Translator } from "./translator.js";

const form = document.getElementById("ask");
const submit = form.querySelector("[type=submit]");
const field = (name) => document.getElementById(name);
/* Kinds of tokenizers whose tokens are words, with a space between any two. */
const APART = ["word", "symbol"];
let translator;
let stopped = false;

/* One sentence and its translation so far: words, threads between them, and a map of all weights. */
class Look {
  constructor(source, apart) {
    this.apart = apart;
    this.source = source;
    this.tokens = [];
    this.said = element("p", { class: "said", dir: "auto" });
    this.article = element("article", { "aria-label": `translation of: ${source.map(plain).join(" ")}` }, this.said);
    document.querySelector("main").append(this.article);
  }

  /* The first word: from here on there is something to draw. */
  begin() {
    const heads = this.source.map((token) => element("th", { scope: "col" }, plain(token)));
    this.rows = element("tbody", {});
    const label = "weights in percent, a row for each target word, a column for each source word";
    const top = element("thead", {}, element("tr", {}, element("td", {}), ...heads));
    const table = element("table", { "aria-label": label }, top, this.rows);
    this.article.append(
      ...stageOf(this.source.map(plain), []),
      element("details", { class: "map", open: "" },
        element("summary", {}, "all weights, in percent"),
        element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "map of weights" }, table)),
    );
    this.line = this.article.querySelector('[aria-label="target words"]');
    this.join("source", this.article.querySelectorAll('[data-side="source"]'), this.source);
  }

  /* The hypothesis as it stands; what is drawn of it already stays. */
  update(text, tokens, looks) {
    this.said.textContent = text || "(nothing)";
    if (!this.rows) {
      if (!looks.length) return;
      this.begin();
    }
    let same = 0;
    while (same < this.tokens.length && same < looks.length && this.tokens[same] === tokens[same]) same++;
    for (const place of [this.line, this.rows]) [...place.children].slice(same).forEach((old) => old.remove());
    for (let at = same; at < looks.length; at++) {
      this.line.append(wordOf("target", plain(tokens[at]), at));
      this.rows.append(rowOf(tokens[at], looks[at], at));
    }
    this.tokens = tokens.slice(0, looks.length);
    this.join("target", this.line.children, this.tokens);
    this.pair ??= new Pair(this.article, { weights: looks });
    this.pair.weights = looks;
    this.pair.words.target = [...this.line.children];
    const shown = this.pair.shown;
    this.pair.show(shown?.isConnected ? shown : null);
  }

  /* Pieces of a word stand together. */
  join(side, words, tokens) {
    if (this.apart[side]) return;
    [...words].forEach((word, at) => word.classList.toggle("joined", at > 0 && !tokens[at].startsWith("▁")));
  }
}

/* A token as a reader wants it: the space before it is shown by the gap. */
function plain(token) {
  return token.length > 1 && token.startsWith("▁") ? token.slice(1) : token;
}

/* A row of the map. */
function rowOf(token, look, at) {
  const cells = Array.from(look, (weight) => {
    const share = weight >= 0.01 ? `${Math.round(100 * weight)}` : "";
    const cell = element("td", weight > 0.55 ? { class: "hot" } : {}, share);
    cell.style.setProperty("--weight", Math.min(weight, 1));
    return cell;
  });
  return element("tr", { "data-at": at }, element("th", { scope: "row" }, plain(token)), ...cells);
}

function tell(sentence, fault = false) {
  field("status").textContent = sentence;
  field("status").classList.toggle("fault", fault);
}

/* Lets the browser draw, and hear of clicks. */
const pause = () => new Promise((resume) => setTimeout(resume));

/* One line of the text. */
async function translate(line) {
  const { source, target, about } = translator;
  const ids = source.encode(line);
  const apart = (side) => APART.includes(about.tokenizers[side].kind);
  const look = new Look(ids.map((id) => source.show(id)), { source: apart("source"), target: apart("target") });
  look.update(ids.length ? "…" : "", [], []);
  const how = { ...about.search, beam: Number(field("beam").value) };
  for await (const { tokens, looks } of translator.search(ids, how)) {
    look.update(target.decode(tokens), tokens.map((id) => target.show(id)), looks);
    await pause();
    if (stopped) return;
  }
}

async function ask() {
  document.querySelector("main").replaceChildren();
  const lines = field("text").value.split("\n").filter((line) => line.trim());
  for (const line of lines) if (!stopped) await translate(line);
}

/* Runs something that takes a while; what goes wrong is said. */
async function busy(doing, work, done) {
  submit.disabled = true;
  tell(doing);
  const began = performance.now();
  try {
    await work();
    tell(done(Math.round(performance.now() - began)));
    submit.disabled = false;
  } catch (error) {
    tell(error.message, true);
    submit.disabled = !translator;
  }
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (submit.disabled) return;
  stopped = false;
  field("stop").hidden = false;
  await busy("Translating …", ask, (time) => (stopped ? "Stopped." : `Translated in ${time} ms.`));
  field("stop").hidden = true;
});

field("stop").addEventListener("click", () => {
  stopped = true;
});

field("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
});

await busy(
  "Loading the model …",
  async () => {
    translator = await Translator.load();
  },
  (time) => `Ready; the model was loaded in ${time} ms.`,
);
if (translator) {
  const beam = translator.about.search.beam;
  field("beam").max = Math.max(Number(field("beam").max), beam);
  field("beam").value = beam;
  /* A link may hold the text: ?text=I+love+you. */
  const linked = new URLSearchParams(location.search).get("text");
  if (linked) {
    field("text").value = linked;
    form.requestSubmit();
  }
}
