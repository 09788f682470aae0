  const { Translator } = await import("./translator.js");
  const translator = await Translator.load();
  const last = async (ids, how) => {
    let found;
    for await (found of translator.search(ids, how));
    return { tokens: found.tokens, looks: found.looks, finished: found.finished };
  };
  notes.found = [];
  for (const how of asked.searches) {
    const found = [];
    for (const ids of asked.sources) found.push(await last(ids, how));
    notes.found.push(found);
  }
  notes.texts = [];
  for (const text of asked.texts) {
    const ids = translator.source.encode(text);
    notes.texts.push(translator.target.decode((await last(ids, asked.searches[0])).tokens));
  }

  // the page itself, as a reader sees it
  const frame = document.createElement("iframe");
  frame.src = "index.html?text=" + encodeURIComponent(asked.texts.at(-1));
  document.body.append(frame);
  await new Promise((loaded) => (frame.onload = loaded));
  const page = frame.contentDocument;
  const counts = new Set();
  const words = (side) => [...page.querySelectorAll(`.word[data-side="${side}"]`)];
  new frame.contentWindow.MutationObserver(() => counts.add(words("target").length)).observe(
    page.querySelector("main"), { childList: true, subtree: true });
  const status = () => page.getElementById("status");
  while (!status().textContent.startsWith("Translated") && !status().matches(".fault")) {
    await new Promise((resume) => setTimeout(resume, 20));
  }
  notes.status = status().textContent;
  notes.beam = page.getElementById("beam").value;
  notes.said = page.querySelector(".said").textContent;
  notes.counts = [...counts];
  notes.cells = [...page.querySelectorAll("tbody tr")].map((row) =>
    [...row.querySelectorAll("td")].map((cell) => Number(cell.style.getPropertyValue("--weight"))));
  const over = new frame.contentWindow.PointerEvent("pointerover", { pointerType: "mouse", bubbles: true });
  words("target")[1].dispatchEvent(over);
  notes.lit = words("source").map((word) => Number(word.style.getPropertyValue("--weight")));
  notes.readout = page.querySelector(".readout").textContent;
