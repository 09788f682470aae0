/* Beam search for one sentence, as heedful/decoding/beam.py does it. A beam of 1 is greedy search. */

/*
  Yields the best hypothesis after every step, {tokens, looks, score, finished}; the last one is the result.
  `first` is the state before the first token, of one row; `step(tokens, state, parents)` goes on from rows `parents`
  of a state and gives {logits, looks, state}: a row of logits and of weights for each token, `looks` null without
  attention. `ids` has pad, bos and eos, `limit` is the most tokens, eos among them.
*/
export async function* search(step, first, { ids, limit, beam = 1, lengthPenalty = 0 }) {
  const score = (row, length = row.tokens.length) => row.total / ((5 + length) / 6) ** lengthPenalty;
  let open = [{ tokens: [], looks: [], total: 0, parent: 0 }];
  let state = first;
  let places = beam;
  const ended = [];
  while (open.length) {
    const lasts = open.map((row) => row.tokens.at(-1) ?? ids.bos);
    const output = await step(lasts, state, open.map((row) => row.parent));
    state = output.state;
    const rows = children(open, output, places, [ids.pad, ids.bos]);
    for (const row of rows) {
      row.finished = row.tokens.at(-1) === ids.eos;
      if (row.finished) places--;
      if (row.finished || row.tokens.length === limit) ended.push({ ...row, score: score(row) });
    }
    const best = Math.max(...ended.filter((row) => row.finished).map((row) => row.score));
    open = rows.filter((row) => !row.finished && row.tokens.length < limit && score(row, limit) > best);
    ended.sort((one, other) => other.finished - one.finished || other.score - one.score);
    // open rows are in falling order
    yield said(open[0] && (!ended.length || score(open[0]) > ended[0].score) ? open[0] : ended[0]);
  }
  if (ended.length) yield said(ended[0]);
}

/* Without the token that ends it. */
function said({ tokens, looks, score, finished }) {
  const length = tokens.length - (finished ? 1 : 0);
  return { tokens: tokens.slice(0, length), looks: looks.slice(0, length), score, finished };
}

/* The best continuations of all rows together, best first; of equal ones the first row's, then the smaller id. */
function children(open, output, places, banned) {
  const found = open.flatMap((row, parent) => {
    const logits = output.logits[parent];
    const norm = logSum(logits);
    return largest(logits, places, banned).map((token) => ({ token, parent, total: row.total + logits[token] - norm }));
  });
  found.sort((one, other) => other.total - one.total);
  return found.slice(0, places).map(({ token, parent, total }) => ({
    tokens: [...open[parent].tokens, token],
    looks: output.looks ? [...open[parent].looks, output.looks[parent]] : [],
    total,
    parent,
  }));
}

/* The logarithm of the sum of exponentials. */
function logSum(logits) {
  const most = logits.reduce((one, other) => Math.max(one, other));
  return most + Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - most), 0));
}

/* Places of the `count` largest numbers, largest first, without those that are banned. */
function largest(numbers, count, banned) {
  const best = [];
  numbers.forEach((number, at) => {
    if (best.length === count && number <= numbers[best[count - 1]]) return;
    if (banned.includes(at)) return;
    const place = best.findIndex((other) => numbers[other] < number);
    best.splice(place < 0 ? best.length : place, 0, at);
    if (best.length > count) best.pop();
  });
  return best;
}
