const AS_THE_MODEL = { temperature: 1, window: "none", width: 0, hidden: new Set() };
const ENDS = 20;
// whichever way a token runs, the sentence around it runs on
const quoted = (token) => `\u201c\u2068${token}\u2069\u201d`;
const percent = (weight) => `${weight > 0 && weight < 0.005 ? "<1" : Math.round(100 * weight)}\u202f%`;
const find = (id) => document.getElementById(id);

/* Controls, map and words of the page; `weights` are those shown, [query][key]. */
class Explorer {
  constructor(data) {
    this.data = data;
    this.at = { query: 0, key: 0 };
    fill(find("sentence"), data.sentences.map((sentence, i) => `${i + 1}. ${sentence.text}`));
    find("step").max = find("step").value = data.steps.length - 1;
    find("steps").hidden = data.steps.length === 1;
    find("no-steps").hidden = data.steps.length > 1;
    find("odd").hidden = !data.odd.length;
    find("odd").textContent =
      `In this model ${data.odd.join(", ")} makes weights that are no plain softmax. The page begins with these weights ` +
      "divided by their sum; a key of weight 0 stays at 0, and its score is not known.";
    this.listen();
    this.chooseSentence();
  }

  listen() {
    find("sentence").addEventListener("change", () => this.chooseSentence());
    find("look").addEventListener("change", () => this.chooseLook());
    for (const id of ["layer", "head", "step"]) find(id).addEventListener("input", () => this.chooseScores());
    for (const id of ["temperature", "window", "width"]) find(id).addEventListener("input", () => this.show());
    find("mask").addEventListener("change", () => this.show());
    find("reset").addEventListener("click", () => this.reset());
    const map = find("map");
    const cellOf = (event) => event.target.closest("td[data-key]");
    map.addEventListener("keydown", (event) => cellOf(event) && this.walk(event, cellOf(event)));
    map.addEventListener("focusin", (event) => this.point(cellOf(event)));
    map.addEventListener("pointerover", (event) => this.point(cellOf(event)));
    map.addEventListener("click", (event) => this.goTo(cellOf(event)));
  }

  chooseSentence() {
    this.sentence = this.data.sentences[find("sentence").value];
    fill(find("look"), this.sentence.looks.map((look) => look.name));
    find("answer").textContent = this.sentence.answer && `The model says: ${this.sentence.answer}`;
    this.chooseLook();
  }

  /* Another table, and another mask: its tokens are others. */
  chooseLook() {
    this.look = this.sentence.looks[find("look").value];
    const { keys, layers, heads } = this.look;
    const numbers = (count, name) => Array.from({ length: count }, (_, i) => `${name}${i + 1}`);
    fill(find("layer"), numbers(layers, ""));
    fill(find("head"), [...(heads > 1 ? ["mean"] : []), ...numbers(heads, "")]);
    find("width").max = Math.max(1, keys.length - 1);
    find("mask").querySelector("div").replaceChildren(...keys.map(checkbox));
    this.at = { query: 0, key: 0 };
    this.cells = table(this.look, find("map"));
    this.chooseScores();
  }

  chooseScores() {
    const step = Number(find("step").value);
    const layer = unpack(this.look, step, this.data)[find("layer").value];
    const head = Number(find("head").value) - (layer.length > 1 ? 1 : 0);
    this.heads = head < 0 ? layer : [layer[head]];
    say("step", this.data.steps[step]);
    this.show();
  }

  /* What the controls say. */
  settings() {
    const sharpness = Number(find("temperature").value);
    const ends = { [-ENDS]: 0, [ENDS]: Infinity };
    const hidden = [...find("mask").querySelectorAll("input:checked")].map((box) => Number(box.value));
    return {
      temperature: ends[sharpness] ?? 10 ** (sharpness / 10),
      window: find("window").value,
      width: Number(find("width").value),
      hidden: new Set(hidden),
    };
  }

  show() {
    const settings = this.settings();
    this.weights = weighAll(this.heads, settings);
    this.describe(settings);
    this.weights.forEach((row, query) => row.forEach((weight, key) => shade(this.cells[query][key], weight)));
    find("rows").replaceChildren(...this.weights.map((_, query) => element("li", this.rowInWords(query))));
    const elsewhere = moved(weighAll(this.heads, AS_THE_MODEL), this.weights);
    find("moved").textContent = `${percent(elsewhere)} of the weight no longer lies where the model had it (mean of the rows).`;
    this.tell();
  }

  describe({ temperature, window, width, hidden }) {
    const names = { 0: "0, the largest alone", Infinity: "infinite, all alike", 1: "1, as the model" };
    say("temperature", names[temperature] ?? String(Number(temperature.toPrecision(2))));
    find("width").disabled = window === "none";
    say("width", window === "none" ? "all" : String(width));
    const tokens = [...hidden].map((key) => quoted(this.look.keys[key]));
    find("mask").querySelector("output").textContent = tokens.length ? `${tokens.join(", ")} hidden` : "nothing hidden";
    document.querySelectorAll("#map thead th[data-key]").forEach((head) => {
      head.classList.toggle("masked", hidden.has(Number(head.dataset.key)));
    });
  }

  reset() {
    find("temperature").value = 0;
    find("window").value = "none";
    for (const box of find("mask").querySelectorAll("input")) box.checked = false;
    this.show();
  }

  /* The keys of largest weight, as text. */
  rowInWords(query) {
    const best = this.weights[query]
      .map((weight, key) => [weight, quoted(this.look.keys[key])])
      .filter(([weight]) => weight >= 0.005)
      .sort((a, b) => b[0] - a[0])
      .slice(0, 4)
      .map(([weight, token]) => `${token} ${percent(weight)}`);
    return `${quoted(this.look.queries[query])} looks at ${best.join(", ") || "nothing"}`;
  }

  /* One cell in words: what is pointed at, or has the focus. */
  tell() {
    const { query, key } = this.at;
    const weight = percent(this.weights[query][key]);
    find("readout").textContent =
      `${quoted(this.look.queries[query])} → ${quoted(this.look.keys[key])} ${weight}. ${this.rowInWords(query)}.`;
  }

  point(cell) {
    if (!cell) return;
    this.at = { query: Number(cell.dataset.query), key: Number(cell.dataset.key) };
    this.tell();
  }

  goTo(cell) {
    if (!cell) return;
    // the table is one stop of the Tab key
    find("map").querySelector('td[tabindex="0"]').tabIndex = -1;
    cell.tabIndex = 0;
    cell.focus();
  }

  walk(event, cell) {
    const [query, key] = [Number(cell.dataset.query), Number(cell.dataset.key)];
    const last = this.look.keys.length - 1;
    const goals = {
      ArrowRight: [query, key + 1],
      ArrowLeft: [query, key - 1],
      ArrowDown: [query + 1, key],
      ArrowUp: [query - 1, key],
      Home: [event.ctrlKey ? 0 : query, 0],
      End: [event.ctrlKey ? this.cells.length - 1 : query, last],
    };
    if (!(event.key in goals)) return;
    event.preventDefault();
    const [toQuery, toKey] = goals[event.key];
    this.goTo(this.cells[toQuery]?.[toKey]);
  }
}

function element(tag, text = "", attributes = {}) {
  const made = document.createElement(tag);
  made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

/* What was chosen stays so, where it is still there. */
function fill(select, names) {
  const before = select.value;
  select.replaceChildren(...names.map((name, value) => element("option", name, { value })));
  if (before && names[before]) select.value = before;
  select.disabled = names.length < 2;
}

/* What a slider stands at, for eyes and for screen readers. */
function say(id, text) {
  document.querySelector(`output[for="${id}"]`).textContent = text;
  find(id).setAttribute("aria-valuetext", text);
}

function checkbox(token, key) {
  const label = element("label");
  label.append(element("input", "", { type: "checkbox", value: key }), element("bdi", token));
  return label;
}

/* Fill the table with a row for each query; returns its cells, [query][key]. */
function table({ name, queries, keys }, map) {
  find("caption").textContent = `Weights in percent. Rows look, columns are looked at: ${name}`;
  map.classList.toggle("few", keys.length <= 12);
  map.classList.toggle("many", keys.length > 20);
  const head = element("tr");
  const column = (token, key) => element("th", token, { scope: "col", "data-key": key });
  head.append(element("td", ""), ...keys.map(column));
  map.tHead.replaceChildren(head);
  const cells = queries.map((_, query) =>
    keys.map((_, key) => {
      const tabindex = query + key === 0 ? 0 : -1;
      return element("td", "", { tabindex, "data-query": query, "data-key": key });
    }),
  );
  const rows = queries.map((token, query) => {
    const row = element("tr");
    row.append(element("th", token, { scope: "row" }), ...cells[query]);
    return row;
  });
  map.tBodies[0].replaceChildren(...rows);
  return cells;
}

function shade(cell, weight) {
  cell.style.setProperty("--weight", weight);
  cell.classList.toggle("faint", weight < 0.005);
  cell.textContent = Math.round(100 * weight);
}

const explorer = new Explorer(JSON.parse(find("heedful-data").textContent));
document.querySelector(".explorer").hidden = false;
