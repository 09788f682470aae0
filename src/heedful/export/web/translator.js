/* A folder of `heedful export --format web` as a translator: its two graphs in onnxruntime-web, its tokenizers. */

import * as ort from "./onnxruntime-web.js";
import { search } from "./search.js";
import { Tokenizer } from "./tokenizer.js";

ort.env.wasm.numThreads = 1;
ort.env.wasm.wasmPaths = { wasm: new URL("./onnxruntime-web.wasm", import.meta.url).href };

/* The file as what it holds, or an error that names it. */
async function read(name, as) {
  const reply = await fetch(new URL(name, import.meta.url));
  if (!reply.ok) throw new Error(`${name} cannot be read: ${reply.status} ${reply.statusText}`);
  return reply[as]();
}

export class Translator {
  static async load() {
    const about = await read("heedful.json", "json");
    const files = [about.tokenizers.source.file, about.tokenizers.target.file];
    const [source, target] = await Promise.all(files.map((name) => read(name, "json")));
    const graphs = await Promise.all([about.encoder.file, about.step.file].map((name) => read(name, "arrayBuffer")));
    const sessions = [];
    for (const graph of graphs) {
      sessions.push(await ort.InferenceSession.create(graph, { executionProviders: ["wasm"], logSeverityLevel: 3 }));
    }
    return new Translator(about, new Tokenizer(source), new Tokenizer(target), sessions);
  }

  constructor(about, source, target, [encoder, step]) {
    Object.assign(this, { about, source, target, encoder, step });
  }

  /* The hypotheses of `search` for the ids of a sentence; nothing for an empty one. */
  async *search(ids, { beam, length_penalty: lengthPenalty } = this.about.search) {
    if (!ids.length) return;
    const inputs = { source: numbers(ids, [1, ids.length]), lengths: numbers([ids.length]) };
    const first = await this.encoder.run(inputs);
    const options = { ids: this.about.ids, limit: this.longest(ids.length), beam, lengthPenalty };
    yield* search((...where) => this.next(...where), first, options);
  }

  /* One step of some rows. */
  async next(tokens, state, parents) {
    const before = pick(state, parents);
    const { logits, alignment, ...rest } = await this.step.run({ tokens: numbers(tokens), ...before });
    const after = Object.entries(rest).map(([name, tensor]) => [name.replace("next.", "state."), tensor]);
    // what is not told anew, the memory, stays
    return {
      logits: rows(logits),
      looks: alignment ? rows(alignment).map((row) => Array.from(row)) : null,
      state: { ...before, ...Object.fromEntries(after) },
    };
  }

  /* The most tokens of a translation of so many. */
  longest(length) {
    const { max_length: most, max_ratio: ratio, max_extra: extra } = this.about.limits;
    return ratio === null ? most : Math.max(1, Math.min(most, Math.floor(ratio * length + 1e-9) + extra));
  }
}

const numbers = (values, dims = [values.length]) => new ort.Tensor("int64", BigInt64Array.from(values, BigInt), dims);

/* The rows of a matrix. */
function rows({ data, dims: [count, size] }) {
  return Array.from({ length: count }, (_, row) => data.slice(row * size, (row + 1) * size));
}

/* These rows of every tensor, in this order. */
function pick(tensors, parents) {
  return Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, pickRows(tensor, parents)]));
}

function pickRows(tensor, parents) {
  const [count, ...rest] = tensor.dims;
  if (count === parents.length && parents.every((parent, place) => parent === place)) return tensor;
  const size = tensor.data.length / count;
  const data = new tensor.data.constructor(parents.length * size);
  parents.forEach((parent, place) => data.set(tensor.data.subarray(parent * size, (parent + 1) * size), place * size));
  return new ort.Tensor(tensor.type, data, [parents.length, ...rest]);
}
