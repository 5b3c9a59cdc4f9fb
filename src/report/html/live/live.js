/* What a reader touches: controls that make latents, and drawings of them. The pictures come from a worker, so that the page answers
   while it computes; what was asked in the meantime is asked once, as it is then. Names are only ever text. */
(function () {
  const byId = (id) => document.getElementById("live-" + id);
  const page = JSON.parse(byId("data").textContent), model = opened(page);
  const [height, width, channels] = model.image, count = model.classOf.length;
  const MEANING = { zd: "what the domain does", zx: "what neither says", zy: "what the class does", z: "everything" };
  const state = { image: 0, other: count - 1, walked: 0, walking: {}, offsets: {}, drags: null };

  function create(tag, text, properties) {
    const element = document.createElement(tag);
    element.textContent = text || "";
    return Object.assign(element, properties);
  }
  const colour = (label) => page.colours[label % page.colours.length];
  const described = (i) => `${page.classes[model.classOf[i]]}, ${page.domains[model.domainOf[i]]}`;
  const plain = () => { for (const { name, axes } of model.latents) state.offsets[name] = axes.map(() => 0); };

  /* Latents as they are before the sliders of their directions move them. */
  function base(latent) {
    const choice = latent.label ? byId(latent.label).value : "";
    const own = choice === "" ? latent.means[state.image] : latent.priors[Number(choice)];
    const other = latent.means[state.other], far = state.walking[latent.name] ? state.walked : 0;
    return Float64Array.from(own, (number, i) => number + far * (other[i] - number));
  }
  /* Where numbers of a latent lie along its directions, in standard deviations. */
  function along(latent, numbers) {
    return latent.axes.map((axis, k) => {
      const sum = axis.reduce((sum, loading, i) => sum + loading * (numbers[i] - latent.mean[i]), 0);
      return sum / latent.deviations[k];
    });
  }
  function moved(latent) {
    const z = base(latent);
    state.offsets[latent.name].forEach((offset, k) => {
      for (let i = 0; i < z.length; i++) z[i] += offset * latent.deviations[k] * latent.axes[k][i];
    });
    return z;
  }
  function move(latent, k, place) {
    state.offsets[latent.name][k] = place - along(latent, base(latent))[k];
  }
  function sideBySide() {
    return model.latents.flatMap((latent) => Array.from(moved(latent)));
  }

  /* The picture of the latest latents. */
  let worker = null, wanted = null, isBusy = false, shown = null;
  const waiting = [];
  function ask() {
    wanted = { latents: sideBySide(), rule: byId("rule").value };
    if (!shown) byId("message").textContent = "decoding ...";
    if (!isBusy) send();
  }
  function send() {
    if (!wanted) return;
    const request = wanted;
    [isBusy, wanted] = [true, null];
    if (worker) worker.postMessage(request);
    else setTimeout(() => take(answered(model, request)), 0);
  }
  function take(answer) {
    isBusy = false;
    shown = answer.levels;
    paint(byId("picture"), answer.levels);
    tellClasses(answer.classes);
    byId("message").textContent = `decoded in ${answer.milliseconds.toFixed(0)} ms`;
    if (wanted) return send();
    waiting.splice(0).forEach((resolve) => resolve());
  }
  function employ() {
    const work = `${byId("decoder").textContent}
      let model = null;
      onmessage = ({ data }) => { if (data.weights) model = opened(data); else postMessage(answered(model, data)); };`;
    try {
      worker = new Worker(URL.createObjectURL(new Blob([work], { type: "text/javascript" })));
      /* Where a browser allows no such worker, the page does the work itself. */
      worker.onerror = () => { worker = null; isBusy = false; ask(); };
      worker.onmessage = ({ data }) => take(data);
      worker.postMessage(page);
    } catch (refusal) {
      worker = null;
    }
  }

  function paint(canvas, levels) {
    [canvas.width, canvas.height] = [width, height];
    const context = canvas.getContext("2d", { willReadFrequently: true }), image = context.createImageData(width, height);
    for (let pixel = 0; pixel < width * height; pixel++) {
      for (let c = 0; c < 3; c++) image.data[4 * pixel + c] = levels[pixel * channels + (channels === 3 ? c : 0)];
      image.data[4 * pixel + 3] = 255;
    }
    context.putImageData(image, 0, 0);
  }
  function paintOriginal() {
    const canvas = byId("original"), column = state.image % page.columns, row = Math.floor(state.image / page.columns);
    [canvas.width, canvas.height] = [width, height];
    canvas.getContext("2d").drawImage(byId("sheet"), column * width, row * height, width, height, 0, 0, width, height);
    byId("original-name").textContent = described(state.image);
    canvas.setAttribute("aria-label", `the image: ${described(state.image)}`);
  }
  function tellClasses(shares) {
    const list = byId("classes"), picture = byId("picture");
    picture.setAttribute("aria-label", "the decoded picture");
    if (!shares) return;
    /* The likeliest ten, in the order of the classes. */
    const order = Array.from(shares.keys()).sort((a, b) => shares[b] - shares[a]);
    const top = order.slice(0, 10).sort((a, b) => a - b);
    list.replaceChildren(...top.map((label) => {
      const row = create("div"), bar = create("i"), percent = `${(100 * shares[label]).toFixed(1)} %`;
      bar.style.width = `${100 * shares[label]}%`;
      const cell = create("div");
      cell.style.display = "block";
      cell.append(bar);
      row.append(create("span", page.classes[label], { title: page.classes[label] }), cell, create("b", percent));
      return row;
    }));
    picture.setAttribute("aria-label", `the decoded picture: ${page.classes[order[0]]} with ${(100 * shares[order[0]]).toFixed(0)} %`);
  }

  /* A drawing of a latent with its sliders. */
  const views = model.latents.map((latent) => {
    const places = latent.means.map((mean) => along(latent, mean)), ofPriors = latent.priors.map((mean) => along(latent, mean));
    /* As far as the images, and the priors where these are not much further away. */
    const ends = latent.axes.map((_, k) => {
      const most = (list) => list.reduce((most, place) => Math.max(most, Math.abs(place[k])), 3);
      return Math.ceil(10.6 * Math.min(most([...places, ...ofPriors]), 2 * most(places))) / 10;
    });
    const block = create("div"), canvas = create("canvas", "", { tabIndex: 0 });
    block.append(create("h4", `${latent.name}: ${MEANING[latent.name]}`), canvas);
    const what = latent.dimensions ? "dimension" : "direction";
    canvas.setAttribute("role", "application");
    canvas.setAttribute("aria-label", `${latent.name} of the images, ${what}s 1 and 2: touch a point to pick it, `
      + "drag or use the arrow keys to decode another place");
    const sliders = latent.axes.map((_, k) => {
      const label = create("label", `${latent.name}, ${what} ${k + 1} `, { className: "slider" }), output = create("output");
      const input = create("input", "", { type: "range", min: -ends[k], max: ends[k], step: 0.05 });
      input.addEventListener("input", () => { move(latent, k, Number(input.value)); update(); });
      label.append(input, output);
      block.append(label);
      return { input, output };
    });
    byId("views").append(block);
    return { latent, places, ofPriors, ends, canvas, sliders };
  });

  /* Standard deviations to pixels of a drawing, and back. */
  const toPixels = ({ ends, canvas }, place) => [0, 1].map((k) => {
    const share = k < ends.length ? (place[k] / ends[k] + 1) / 2 : 0.5;
    return (k === 0 ? share : 1 - share) * canvas.width;
  });
  const toPlace = ({ ends, canvas }, x, y) => ends.slice(0, 2).map((end, k) => {
    return end * ((2 * (k === 0 ? x : canvas.height - y)) / canvas.width - 1);
  });

  function drawView(view) {
    const { canvas, places, ofPriors, latent } = view, ratio = window.devicePixelRatio || 1, style = getComputedStyle(canvas);
    canvas.width = canvas.height = Math.max(1, Math.round(canvas.clientWidth * ratio));
    const context = canvas.getContext("2d"), ink = style.getPropertyValue("--ink"), labels = model[byId("colours").value];
    const ring = ([x, y], size, colour) => {
      context.beginPath();
      context.arc(x, y, size * ratio, 0, 2 * Math.PI);
      [context.strokeStyle, context.lineWidth] = [colour, 2 * ratio];
      context.stroke();
    };
    places.forEach((place, i) => {
      const [x, y] = toPixels(view, place);
      context.beginPath();
      context.arc(x, y, 3.2 * ratio, 0, 2 * Math.PI);
      context.fillStyle = colour(labels[i]);
      context.fill();
    });
    /* The means of the priors, as squares in the colour of their label where that is shown. */
    ofPriors.forEach((place, label) => {
      const [x, y] = toPixels(view, place), side = 10 * ratio;
      const isShown = byId("colours").value === `${latent.label}Of`;
      [context.lineWidth, context.strokeStyle] = [2 * ratio, ink];
      context.fillStyle = isShown ? colour(label) : style.getPropertyValue("--back");
      context.fillRect(x - side / 2, y - side / 2, side, side);
      context.strokeRect(x - side / 2, y - side / 2, side, side);
    });
    ring(toPixels(view, places[state.image]), 6, ink);
    if (state.walked > 0) ring(toPixels(view, places[state.other]), 6, "#d55e00");
    const [x, y] = toPixels(view, along(latent, moved(latent)));
    [context.lineWidth, context.strokeStyle] = [3 * ratio, ink];
    context.beginPath();
    for (const [dx, dy] of [[1, 0], [0, 1]]) {
      context.moveTo(x - 9 * dx * ratio, y - 9 * dy * ratio);
      context.lineTo(x + 9 * dx * ratio, y + 9 * dy * ratio);
    }
    context.stroke();
  }

  function update() {
    byId("image").value = state.image;
    byId("other").value = state.other;
    byId("walk").value = Math.round(100 * state.walked);
    byId("walk-value").value = `${Math.round(100 * state.walked)} %`;
    for (const view of views) {
      const place = along(view.latent, moved(view.latent));
      view.sliders.forEach(({ input, output }, k) => {
        /* The slider that is moved stays where it is put. */
        if (document.activeElement !== input || Math.abs(Number(input.value) - place[k]) > 0.03) input.value = place[k];
        output.value = place[k].toFixed(2);
      });
      drawView(view);
    }
    ask();
  }
  function pick(image) {
    if (byId("touch").value === "other") {
      state.other = image;
      if (state.walked === 0) state.walked = 1;
    } else {
      [state.image, state.walked] = [image, 0];
      plain();
      paintOriginal();
    }
    update();
  }

  /* Touching a point picks it; moving from there, or touching what is none, decodes the place. */
  function listen(view) {
    const { canvas, latent, places } = view;
    const at = (event) => [event.offsetX, event.offsetY].map((pixels) => (pixels * canvas.width) / canvas.clientWidth);
    const go = (x, y) => {
      const end = (value, k) => Math.min(view.ends[k], Math.max(-view.ends[k], value));
      toPlace(view, x, y).forEach((place, k) => move(latent, k, end(place, k)));
      update();
    };
    let pressed = null;
    canvas.addEventListener("pointerdown", (event) => {
      const [x, y] = at(event), room = (event.pointerType === "touch" ? 14 : 7) * (canvas.width / canvas.clientWidth);
      const distances = places.map((place) => Math.hypot(...toPixels(view, place).map((pixel, k) => pixel - [x, y][k])));
      const nearest = distances.indexOf(Math.min(...distances));
      pressed = { x, y, image: distances[nearest] < room ? nearest : null };
      try { canvas.setPointerCapture(event.pointerId); } catch (made) { /* an event that no pointer made */ }
      if (pressed.image === null) go(x, y);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!pressed) return;
      const [x, y] = at(event);
      if (pressed.image !== null && Math.hypot(x - pressed.x, y - pressed.y) < 0.02 * canvas.width) return;
      pressed.image = null;
      go(x, y);
    });
    canvas.addEventListener("pointerup", () => {
      if (pressed && pressed.image !== null) pick(pressed.image);
      pressed = null;
    });
    canvas.addEventListener("pointercancel", () => { pressed = null; });
    canvas.addEventListener("keydown", (event) => {
      const step = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowUp: [1, 1], ArrowDown: [1, -1] }[event.key];
      if (!step || step[0] >= view.ends.length) return;
      event.preventDefault();
      const [k, sign] = step, place = along(latent, moved(latent))[k] + 0.1 * sign;
      move(latent, k, Math.min(view.ends[k], Math.max(-view.ends[k], place)));
      update();
    });
  }

  function tellColours() {
    const isDomain = byId("colours").value === "domainOf", names = isDomain ? page.domains : page.classes;
    const labels = model[byId("colours").value];
    const items = names.map((name, label) => {
      const item = create("li"), dot = create("i");
      dot.style.background = colour(label);
      item.append(dot, name);
      return item;
    });
    byId("legend").replaceChildren(...items.filter((_, label) => labels.includes(label)));
  }

  function fill() {
    const option = (text, value) => create("option", text, { value });
    for (const id of ["image", "other"]) {
      for (let i = 0; i < count; i++) byId(id).append(option(`${i + 1}: ${described(i)}`, i));
    }
    for (const [label, names] of [["domain", page.domains], ["class", page.classes]]) {
      const latent = model.latents.find((latent) => latent.label === label);
      byId(label + "-label").hidden = !latent;
      byId(label).append(option("that of the image", ""));
      if (latent) latent.priors.forEach((_, i) => byId(label).append(option(names[i], i)));
      byId(label).addEventListener("change", () => {
        state.offsets[latent.name].fill(0);
        update();
      });
    }
    for (const { name } of model.latents) {
      const label = create("label"), box = create("input", "", { type: "checkbox", checked: true });
      state.walking[name] = true;
      box.addEventListener("change", () => { state.walking[name] = box.checked; update(); });
      label.append(box, ` ${name} `);
      byId("walked").append(label);
    }
    byId("rule-label").hidden = model.mixture;
    byId("image").addEventListener("change", (event) => {
      [state.image, state.walked] = [Number(event.target.value), 0];
      plain();
      paintOriginal();
      update();
    });
    byId("other").addEventListener("change", (event) => { state.other = Number(event.target.value); update(); });
    byId("walk").addEventListener("input", (event) => { state.walked = Number(event.target.value) / 100; update(); });
    byId("rule").addEventListener("change", update);
    byId("colours").addEventListener("change", () => { tellColours(); update(); });
    byId("reset").addEventListener("click", () => {
      byId("domain").value = byId("class").value = "";
      state.walked = 0;
      plain();
      update();
    });
  }

  document.getElementById("live").hidden = false;
  plain();
  fill();
  employ();
  views.forEach(listen);
  tellColours();
  const redraw = () => { paintOriginal(); views.forEach(drawView); };
  byId("sheet").decode().then(paintOriginal, () => {});
  window.addEventListener("resize", redraw);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  update();

  /* For tests, and for whoever opens the console. */
  window.diva = {
    decode: (latents) => decoded(model, latents),
    levels: (output, rule = byId("rule").value) => levelsOf(model, output, rule),
    classify: (levels) => classified(model, levels),
    latents: sideBySide,
    model,
    along: (name, numbers) => along(model.latents.find((latent) => latent.name === name), numbers),
    /* Where the images are in the drawing of a latent, in pixels of the page from its corner. */
    points: (number) => {
      const view = views[number], scale = view.canvas.clientWidth / view.canvas.width;
      return view.places.map((place) => toPixels(view, place).map((pixel) => pixel * scale));
    },
    isEmployed: () => worker !== null,
    settled: () => new Promise((resolve) => { if (isBusy || wanted) waiting.push(resolve); else resolve(); }),
  };
})();
