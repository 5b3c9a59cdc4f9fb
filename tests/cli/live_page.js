/* Drives a page as a reader does and leaves what it found in an element, as JSON: numbers as the base64 of 32 bits each. */
(async () => {
  const result = document.createElement("pre");
  result.id = "result";
  const report = { steps: [], refused: [] };
  document.addEventListener("securitypolicyviolation", (event) => report.refused.push(event.violatedDirective));
  const base64 = (numbers) => {
    const bytes = new Uint8Array(Float32Array.from(numbers).buffer);
    let text = "";
    for (let i = 0; i < bytes.length; i += 30000) text += String.fromCharCode(...bytes.subarray(i, i + 30000));
    return btoa(text);
  };
  /* The clock of the browser stands still while something is computed, the worker does not: work until it has answered. */
  const settled = async () => {
    let isSettled = false;
    diva.settled().then(() => { isSettled = true; });
    for (let i = 0; i < 2000 && !isSettled; i++) {
      let sum = 0;
      for (let j = 0; j < 3e6; j++) sum += j;
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    if (!isSettled) throw new Error("the page does not come to rest");
  };
  const byId = (id) => document.getElementById("live-" + id);
  const set = (element, value, event) => {
    element.value = value;
    if (String(element.value) !== String(value)) throw new Error(`${element.id} is ${element.value}, not ${value}`);
    element.dispatchEvent(new Event(event, { bubbles: true }));
  };
  const pixels = () => {
    const canvas = byId("picture"), data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    const channels = diva.model.image[2];
    return Array.from({ length: (data.length / 4) * channels }, (_, i) => data[4 * Math.floor(i / channels) + (i % channels)]);
  };
  const step = async (name, isWhole) => {
    await settled();
    const latents = diva.latents(), output = diva.decode(latents), shown = pixels();
    const entry = { name, latents: base64(latents), shown: base64(shown) };
    entry.difference = diva.levels(output).reduce((most, level, i) => Math.max(most, Math.abs(level - shown[i])), 0);
    if (isWhole) entry.output = base64(output);
    const classes = diva.classify(shown);
    if (classes) entry.classes = base64(classes);
    report.steps.push(entry);
  };
  const pointer = (canvas, type, [x, y]) => {
    const box = canvas.getBoundingClientRect();
    canvas.dispatchEvent(new PointerEvent(type, { clientX: box.left + canvas.clientLeft + x, clientY: box.top + canvas.clientTop + y, pointerId: 1, bubbles: true }));
  };
  try {
    await step("first", true);
    const all = Array.from(document.querySelectorAll("#live input[type=range]"));
    report.sliders = all.length;
    for (const [number, slider] of all.entries()) {
      const before = diva.latents();
      slider.focus();
      set(slider, Number(slider.value) > (Number(slider.min) + Number(slider.max)) / 2 ? slider.min : slider.max, "input");
      if (diva.latents().every((latent, i) => latent === before[i])) throw new Error(`slider ${number} moves nothing`);
      await step(`slider ${number}`, number === 4);
    }
    /* Everything as it was encoded, then the image that lies furthest from its neighbours in the first drawing. */
    byId("reset").click();
    const canvas = document.querySelector("#live-views canvas"), points = diva.points(0);
    const room = (i) => Math.min(...points.map(([x, y], j) => (i === j ? Infinity : Math.hypot(x - points[i][0], y - points[i][1]))));
    const chosen = points.map((_, i) => i).sort((a, b) => room(b) - room(a))[0];
    pointer(canvas, "pointerdown", points[chosen]);
    pointer(canvas, "pointerup", points[chosen]);
    report.chosen = chosen;
    report.picked = Number(byId("image").value);
    report.label = byId("original-name").textContent;
    await step("picked", true);
    /* An empty place, from there by dragging to the middle, and by a key to the right. */
    pointer(canvas, "pointerdown", [3, 3]);
    pointer(canvas, "pointermove", [canvas.clientWidth / 2, canvas.clientHeight / 2]);
    pointer(canvas, "pointerup", [canvas.clientWidth / 2, canvas.clientHeight / 2]);
    const name = diva.model.latents[0].name, part = () => diva.latents().slice(0, diva.model.latents[0].size);
    report.dragged = diva.along(name, part());
    canvas.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }));
    report.moved = diva.along(name, part());
    await step("dragged", false);
    byId("reset").click();
    for (const label of ["domain", "class"]) {
      const choices = Array.from(byId(label).options, (option) => option.value);
      if (choices.length > 1) set(byId(label), choices[choices.length - 1], "change");
    }
    await step("labels", true);
    byId("reset").click();
    set(byId("image"), "0", "change");
    set(byId("other"), "1", "change");
    set(byId("walk"), "50", "input");
    await step("walked", false);
    if (!byId("rule-label").hidden) {
      for (const rule of ["mean", "mode", "median"]) {
        set(byId("rule"), rule, "change");
        await step(rule, false);
      }
    }
    report.isEmployed = diva.isEmployed();
    report.bold = document.querySelectorAll("b").length - document.querySelectorAll("#live-classes b").length;
    report.isBroken = window.broken !== undefined;
    report.unnamed = Array.from(document.querySelectorAll("#live input, #live select, #live button, #live canvas, #live a"))
      .filter((element) => !element.getAttribute("aria-label") && !(element.labels && element.labels.length && element.labels[0].textContent.trim()) && !element.textContent.trim())
      .map((element) => element.outerHTML);
    report.options = Array.from(byId("image").options, (option) => option.textContent);
    report.width = document.documentElement.scrollWidth - document.documentElement.clientWidth;
    report.isDone = true;
  } catch (error) {
    report.error = String(error.stack);
  }
  /* As base64 of UTF-8, so that no letter of it is markup. */
  const bytes = new TextEncoder().encode(JSON.stringify(report));
  let text = "";
  for (let i = 0; i < bytes.length; i += 30000) text += String.fromCharCode(...bytes.subarray(i, i + 30000));
  result.textContent = btoa(text);
  document.body.append(result);
})();
