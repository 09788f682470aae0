"use strict";

const SVG = "http://www.w3.org/2000/svg";
const percent = (weight) => `${Math.round(100 * weight)}\u202f%`;

/* One sentence pair: weights[target][source]; `words.source` and `words.target` are its buttons in order. */
class Pair {
  constructor(article, data) {
    this.article = article;
    this.weights = data.weights;
    this.all = [data.weights, ...Object.values(data.heads ?? {})];
    this.words = {};
    for (const side of ["source", "target"]) {
      this.words[side] = [...article.querySelectorAll(`.word[data-side="${side}"]`)];
    }
    this.stage = article.querySelector(".stage");
    this.threads = article.querySelector(".threads");
    this.readout = article.querySelector(".readout");
    this.held = null;
    this.shown = null;
    this.listen();
    this.offerHeads(article.querySelector(".heads"));
    this.show(null);
    new ResizeObserver(() => this.drawThreads()).observe(this.stage);
  }

  /* Where there are several layers and heads, one of them is shown: in the words, the threads and the table. */
  offerHeads(select) {
    if (!select) return;
    select.parentElement.hidden = false;
    select.addEventListener("change", () => {
      this.weights = this.all[select.selectedIndex];
      this.article.querySelectorAll("tbody tr").forEach((row, t) =>
        row.querySelectorAll("td").forEach((cell, s) => {
          const weight = this.weights[t][s];
          cell.style.setProperty("--weight", Math.min(weight, 1));
          cell.classList.toggle("hot", weight > 0.55);
          cell.textContent = weight >= 0.01 ? Math.round(100 * weight) : "";
        }),
      );
      this.show(this.held);
    });
  }

  listen() {
    const wordAt = (event) => event.target.closest(".word");
    const rest = () => this.held ?? this.article.querySelector(".word:focus");
    this.article.addEventListener("pointerover", (event) => {
      const row = event.target.closest("tbody tr");
      const word = row ? this.words.target[row.dataset.at] : wordAt(event);
      if (event.pointerType === "mouse") this.show(word ?? rest());
    });
    this.article.addEventListener("pointerleave", () => this.show(rest()));
    this.article.addEventListener("focusin", (event) => this.show(wordAt(event) ?? this.held));
    this.article.addEventListener("focusout", () => this.show(this.held));
    this.article.addEventListener("click", (event) => wordAt(event) && this.hold(wordAt(event)));
    this.article.addEventListener("keydown", (event) => wordAt(event) && this.walk(event, wordAt(event)));
  }

  /* A click keeps a word shown; the same click again lets go of it. */
  hold(word) {
    const again = this.held === word;
    this.held?.setAttribute("aria-pressed", "false");
    this.held = again ? null : word;
    this.held?.setAttribute("aria-pressed", "true");
    if (again) word.blur();
    this.show(this.held);
  }

  /* The weights between `word` and each word of the other side. */
  partners(word) {
    const at = Number(word.dataset.at);
    if (word.dataset.side === "target") return { side: "source", weights: this.weights[at] };
    return { side: "target", weights: this.weights.map((row) => row[at]) };
  }

  show(word) {
    this.shown = word;
    for (const other of [...this.words.source, ...this.words.target]) shade(other, 0, other === word);
    this.readout.textContent = word ? "" : "Point at a word to see where it looked.";
    this.readout.classList.toggle("idle", !word);
    if (word) {
      const { side, weights } = this.partners(word);
      weights.forEach((weight, i) => shade(this.words[side][i], weight, false));
      this.describe(word, side, weights);
    }
    this.drawThreads();
  }

  describe(word, side, weights) {
    const best = weights
      .map((weight, i) => [weight, this.words[side][i]])
      .filter(([weight]) => weight >= 0.02)
      .sort((a, b) => b[0] - a[0])
      .slice(0, 5)
      .map(([weight, other]) => `${text(other)} ${percent(weight)}`);
    const verb = side === "source" ? "looked at" : "was looked at by";
    const name = document.createElement("b");
    name.textContent = text(word);
    this.readout.append(name, ` ${verb} ${best.join(", ") || "nothing much"}`);
  }

  /* Does each side fit on one line? Threads that pass behind other words would only confuse. */
  onOneLine() {
    return Object.values(this.words).every((row) => row[0]?.offsetTop === row.at(-1)?.offsetTop);
  }

  /* Curves between source and target words: at rest all of them faintly, otherwise only those of the shown word. */
  drawThreads() {
    this.threads.replaceChildren();
    if (!this.onOneLine()) return;
    const origin = this.stage.getBoundingClientRect();
    const place = (word, edge) => {
      const box = word.getBoundingClientRect();
      return [box.left + box.width / 2 - origin.left, box[edge] - origin.top];
    };
    this.weights.forEach((row, t) =>
      row.forEach((weight, s) => {
        const ends = [this.words.source[s], this.words.target[t]];
        const least = this.shown ? 0.02 : 0.15;
        if (weight < least || (this.shown && !ends.includes(this.shown))) return;
        const [x1, y1] = place(ends[0], "bottom");
        const [x2, y2] = place(ends[1], "top");
        const path = document.createElementNS(SVG, "path");
        path.setAttribute("d", `M${x1} ${y1}C${x1} ${(y1 + y2) / 2} ${x2} ${(y1 + y2) / 2} ${x2} ${y2}`);
        path.style.strokeWidth = 1 + 4 * Math.min(weight, 1);
        path.style.opacity = this.shown ? 0.25 + 0.75 * Math.min(weight, 1) : 0.5 * Math.min(weight, 1);
        if (this.shown) path.style.stroke = `var(--${this.partners(this.shown).side})`;
        this.threads.append(path);
      }),
    );
  }

  walk(event, word) {
    const side = word.dataset.side;
    const at = Number(word.dataset.at);
    const row = this.words[side];
    const forward = getComputedStyle(word.parentElement).direction === "rtl" ? -1 : 1;
    const { side: other, weights } = this.partners(word);
    const strongest = () => this.words[other][weights.indexOf(Math.max(...weights))];
    const goals = {
      ArrowRight: () => row[at + forward],
      ArrowLeft: () => row[at - forward],
      Home: () => row[0],
      End: () => row[row.length - 1],
      ArrowUp: () => side === "target" && strongest(),
      ArrowDown: () => side === "source" && strongest(),
    };
    if (event.key === "Escape") {
      if (this.held) this.hold(this.held);
      word.blur();
    } else if (event.key in goals) {
      event.preventDefault();
      const goal = goals[event.key]();
      if (goal) focusWord(goal);
    }
  }
}

function text(word) {
  return word.querySelector(".text").textContent;
}

function shade(word, weight, active) {
  word.style.setProperty("--weight", Math.min(weight, 1));
  word.classList.toggle("hot", weight > 0.55);
  word.classList.toggle("active", active);
  word.querySelector(".share").textContent = weight >= 0.02 ? percent(weight) : "";
}

/* Each row of words is one stop of the Tab key; the arrow keys walk inside it. */
function focusWord(word) {
  for (const other of word.parentElement.children) other.tabIndex = -1;
  word.tabIndex = 0;
  word.focus();
}

const data = JSON.parse(document.getElementById("heedful-data").textContent);
document.querySelectorAll("article").forEach((article, i) => new Pair(article, data.sentences[i]));
