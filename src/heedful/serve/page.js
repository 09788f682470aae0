
const form = document.getElementById("ask");
const field = (name) => document.getElementById(name);

/* A translation, and where the model has attention and said something, what it looked at. */
function show(found) {
  const article = element("article", {}, element("p", { class: "said", dir: "auto" }, found.text || "(nothing)"));
  document.querySelector("main").append(article);
  if (!found.weights || !found.words.length) return;
  article.append(...stageOf(found.source_words, found.words));
  new Pair(article, { weights: found.weights });
}

function tell(sentence, fault = false) {
  field("status").textContent = sentence;
  field("status").classList.toggle("fault", fault);
}

/* What the server replies to the text. */
async function ask() {
  const lines = field("text").value.split("\n").filter((line) => line.trim());
  const asked = { text: lines, alignments: true };
  if (field("beam").value) asked.beam = Number(field("beam").value);
  const headers = { "Content-Type": "application/json" };
  if (field("token").value) headers.Authorization = `Bearer ${field("token").value}`;
  const reply = await fetch("translate", { method: "POST", headers, body: JSON.stringify(asked) });
  if (reply.status === 401) field("token-row").hidden = false;
  const content = await reply.json();
  if (!reply.ok) throw new Error(content.detail);
  return content.translations;
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const submit = form.querySelector("button");
  submit.disabled = true;
  tell("Translating …");
  const began = performance.now();
  try {
    const translations = await ask();
    document.querySelector("main").replaceChildren();
    translations.forEach(show);
    tell(`Translated in ${Math.round(performance.now() - began)} ms.`);
  } catch (error) {
    tell(error.message, true);
  } finally {
    submit.disabled = false;
  }
});

field("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
});

/* A link may hold the text: /?text=I+love+you. */
const linked = new URLSearchParams(location.search).get("text");
if (linked) {
  field("text").value = linked;
  form.requestSubmit();
}
