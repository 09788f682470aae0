/* Text to ids and back, as the library `tokenizers` does it: the parts of its tokenizer.json that heedful writes. */

const ENCODER = new TextEncoder();
const DECODER = new TextDecoder("utf-8", { ignoreBOM: true });
/* Bytes that show themselves; the others are shown by the characters from 256 on. */
const VISIBLE = [[33, 126], [161, 172], [174, 255]];

export class Tokenizer {
  /* `about`: what tokenizer.json holds. An error names a part that is not known here. */
  constructor(about) {
    if (about.added_tokens?.length) throw new Error("the tokenizer has added tokens, not known here");
    this.normalize = make(NORMALIZERS, about.normalizer);
    this.cut = make(CUTTERS, about.pre_tokenizer);
    this.model = make(MODELS, about.model);
    this.join = about.decoder ? make(DECODERS, about.decoder) : (tokens) => [tokens.join(" ")];
    this.ofBytes = about.decoder?.decoders?.some((part) => part.type === "ByteLevel");
    this.tokens = [];
    for (const [token, id] of Object.entries(about.model.vocab)) this.tokens[id] = token;
  }

  /* The ids of a text. */
  encode(text) {
    return this.cut([this.normalize(text.toWellFormed())]).flatMap((piece) => this.model(piece));
  }

  /* The text of ids. */
  decode(ids) {
    return this.join(ids.map((id) => this.tokens[id])).join("");
  }

  /* How one id reads, a space as "▁". */
  show(id) {
    const token = this.tokens[id];
    return (this.ofBytes ? fromBytes([token]) : token).replaceAll(" ", "▁");
  }
}

function make(kinds, part) {
  if (!Object.hasOwn(kinds, part.type)) throw new Error(`the tokenizer has a part ${part.type}, not known here`);
  return kinds[part.type](part);
}

/* Oniguruma's regular expressions in JavaScript's words: what is white, what a point is, and (?i:...). */
function expression(pattern) {
  if ("String" in pattern) return pattern.String;
  const parts = /\\.|\[(?:\\.|[^\]])*\]|\(\?i:([^)]*)\)|\./gu;
  const source = pattern.Regex.replace(parts, (part, letters) => {
    if (letters !== undefined) return `(?:${letters.replace(/[a-z]/gu, bothCases)})`;
    return part === "." ? "[^\\n]" : part.replaceAll("\\s", "\\p{White_Space}");
  });
  return new RegExp(source, "gmu");
}

/* The long s is an s, too. */
const bothCases = (letter) => `[${letter}${letter.toUpperCase()}${letter === "s" ? "ſ" : ""}]`;

const NORMALIZERS = {
  Sequence: ({ normalizers }) => {
    const steps = normalizers.map((part) => make(NORMALIZERS, part));
    return (text) => steps.reduce((changed, step) => step(changed), text);
  },
  /* letter by letter: a final sigma is a sigma */
  Lowercase: () => (text) => Array.from(text, (letter) => letter.toLowerCase()).join(""),
  NFC: () => (text) => text.normalize("NFC"),
  NFKC: () => (text) => text.normalize("NFKC"),
  Replace: ({ pattern, content }) => {
    const found = expression(pattern);
    return (text) => text.replaceAll(found, () => content);
  },
  Strip: () => (text) => text.replace(/^\p{White_Space}+|\p{White_Space}+$/gu, ""),
  Prepend: ({ prepend }) => (text) => text && prepend + text,
};

/* Pieces to smaller pieces. */
const CUTTERS = {
  Sequence: ({ pretokenizers }) => {
    const steps = pretokenizers.map((part) => make(CUTTERS, part));
    return (pieces) => steps.reduce((changed, step) => step(changed), pieces);
  },
  Split: ({ pattern, behavior }) => {
    const found = expression(pattern);
    return (pieces) => pieces.flatMap((piece) => split(piece, found, behavior === "Isolated"));
  },
  ByteLevel: () => (pieces) => pieces.map(toBytes),
};

/* What lies between the places that an expression finds, and what it finds, if it is to be kept. */
function split(text, found, kept) {
  const pieces = [];
  let end = 0;
  for (const match of text.matchAll(found)) {
    pieces.push(text.slice(end, match.index), kept ? match[0] : "");
    end = match.index + match[0].length;
  }
  pieces.push(text.slice(end));
  return pieces.filter((piece) => piece);
}

/* A piece to ids. */
const MODELS = {
  WordLevel: ({ vocab, unk_token }) => (piece) => [Object.hasOwn(vocab, piece) ? vocab[piece] : vocab[unk_token]],
  BPE: ({ vocab, merges, unk_token }) => {
    const known = new Map(Object.entries(vocab));
    const unknown = unk_token === null ? undefined : known.get(unk_token);
    const pair = (left, right) => left * known.size + right;
    const made = new Map();
    merges.forEach(([left, right], rank) => {
      made.set(pair(known.get(left), known.get(right)), [rank, known.get(left + right)]);
    });
    return (piece) => merge(characters(piece, known, unknown), (left, right) => made.get(pair(left, right)));
  },
};

/* The ids of single characters; unknown ones in a row are one, or left out where nothing stands for them. */
function characters(piece, known, unknown) {
  const ids = [];
  for (const character of piece) {
    const id = known.get(character) ?? unknown;
    if (id !== undefined && (id !== unknown || ids.at(-1) !== unknown)) ids.push(id);
  }
  return ids;
}

/* Joins neighbours, those first that were learnt first, and of equal ones the leftmost. */
function merge(ids, joined) {
  for (;;) {
    let [best, place] = [undefined, 0];
    for (let at = 0; at + 1 < ids.length; at++) {
      const found = joined(ids[at], ids[at + 1]);
      if (found && (!best || found[0] < best[0])) [best, place] = [found, at];
    }
    if (!best) return ids;
    ids.splice(place, 2, best[1]);
  }
}

/* Tokens to texts, which are then put behind one another. */
const DECODERS = {
  Sequence: ({ decoders }) => {
    const steps = decoders.map((part) => make(DECODERS, part));
    return (tokens) => steps.reduce((changed, step) => step(changed), tokens);
  },
  Replace: ({ pattern, content }) => {
    const found = expression(pattern);
    return (tokens) => tokens.map((token) => token.replaceAll(found, () => content));
  },
  Fuse: () => (tokens) => [tokens.join("")],
  Strip: ({ content, start, stop }) => (tokens) => tokens.map((token) => stripped(token, content, start, stop)),
  ByteLevel: () => (tokens) => [fromBytes(tokens)],
};

/* Without so many of a character at the beginning and at the end, at most. */
function stripped(token, content, start, stop) {
  const letters = Array.from(token);
  let [first, last] = [0, letters.length];
  while (first < start && letters[first] === content) first++;
  while (letters.length - last < stop && last > first && letters[last - 1] === content) last--;
  return letters.slice(first, last).join("");
}

const CHARACTERS = [];
let hidden = 256;
for (let byte = 0; byte < 256; byte++) {
  const itself = VISIBLE.some(([first, last]) => first <= byte && byte <= last);
  CHARACTERS.push(String.fromCodePoint(itself ? byte : hidden++));
}
const BYTE_OF = new Map(CHARACTERS.map((character, byte) => [character, byte]));

const toBytes = (text) => Array.from(ENCODER.encode(text), (byte) => CHARACTERS[byte]).join("");
const fromBytes = (tokens) => DECODER.decode(Uint8Array.from(tokens.join(""), (character) => BYTE_OF.get(character)));
