/* The scores of all layers and heads of one look at one step of training: [layer][head][query][key], -Infinity where a
   key is never seen. */
function unpack(look, step, { fineness, never }) {
  const bytes = Uint8Array.from(atob(look.steps[step]), (letter) => letter.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  const score = (place) => {
    const units = view.getUint16(2 * place, true);
    return units === never ? -Infinity : -units / fineness;
  };
  let place = 0;
  const times = (count, make) => Array.from({ length: count }, make);
  return times(look.layers, () =>
    times(look.heads, () => look.queries.map(() => look.keys.map(() => score(place++)))),
  );
}

/* Softmax over what can be seen: scores of -Infinity weigh nothing. Temperature 0 takes the largest alone, Infinity all
   alike; a row that sees nothing is all zeros. */
function softmax(scores, temperature) {
  const largest = Math.max(...scores);
  if (largest === -Infinity) return scores.map(() => 0);
  const part = (score) => {
    if (score === -Infinity) return 0;
    return temperature === 0 ? Number(score === largest) : Math.exp((score - largest) / temperature);
  };
  const parts = scores.map(part);
  const sum = parts.reduce((total, one) => total + one, 0);
  return parts.map((one) => one / sum);
}

/* Which keys one query may see, in a window of `width` keys to each side of its middle. */
function inWindow(scores, place, queries, { window, width }) {
  if (window === "none") return () => true;
  const diagonal = Math.round((place * (scores.length - 1)) / Math.max(1, queries - 1));
  const middle = window === "diagonal" ? diagonal : scores.indexOf(Math.max(...scores));
  return (key) => Math.abs(key - middle) <= width;
}

/* Weights [query][key] of one head: mask, then window, then softmax at a temperature. */
function weigh(head, settings) {
  return head.map((row, place) => {
    const shown = row.map((score, key) => (settings.hidden.has(key) ? -Infinity : score));
    const seen = inWindow(shown, place, head.length, settings);
    return softmax(
      shown.map((score, key) => (seen(key) ? score : -Infinity)),
      settings.temperature,
    );
  });
}

/* The mean over several heads, each weighed by itself. */
function weighAll(heads, settings) {
  const all = heads.map((head) => weigh(head, settings));
  return all[0].map((row, query) =>
    row.map((_, key) => all.reduce((sum, weights) => sum + weights[query][key], 0) / all.length),
  );
}

/* How much of the weight no longer lies where it lay, as a mean over the rows. */
function moved(before, after) {
  const lost = before.flatMap((row, query) => row.map((weight, key) => Math.max(0, weight - after[query][key])));
  return lost.reduce((sum, one) => sum + one, 0) / before.length;
}
