"use strict";
(() => {
  const DATA = JSON.parse(document.getElementById("data").textContent);
  const { generator, runs, factors, served } = DATA;
  const { shape: [, height, width], programs, classes, pictures } = generator;
  const LIVE = Object.keys(programs).length > 0, REACH = 0.6, LETTERS = "AB";
  const engine = interpreter();
  const bytes = LIVE ? engine.bytesOf(generator.tensors) : null;
  const workers = [];
  if (LIVE) { try { startWorkers(); } catch { startHere(); } } // before anything else: they read the weights meanwhile
  const tensors = LIVE ? engine.readTensors(bytes) : {};
  const machines = Object.fromEntries(Object.entries(programs).map(([space, one]) => [space, engine.machine(one, tensors)]));
  const state = { first: 0, count: 4, label: "", blind: 0, sort: "share", only: false, find: "", sides: [], active: 0, stars: new Set(), names: new Map() };

  // Elements -----------------------------------------------------------------------------------------------------------
  function el(tag, properties = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
      if (name === "class") made.className = value;
      else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
      else if (name in made && name !== "list") made[name] = value;
      else made.setAttribute(name, value);
    }
    made.append(...children.filter((child) => child !== null && child !== undefined));
    return made;
  }
  const $ = (selector) => document.querySelector(selector);
  const two = (value) => value.toFixed(2).replace(/^(-?)0\./, "$1.");
  const signed = (value) => (value > 0 ? "+" : value < 0 ? "−" : "") + two(Math.abs(value));

  // Codes: a latent is a number, from which normal numbers and a class follow as gdbench/explorer/latents.py says -----------
  function numbers(seed, count) {
    let at = seed >>> 0;
    const next = () => {
      at = (at + 0x6d2b79f5) >>> 0;
      let t = Math.imul(at ^ (at >>> 15), 1 | at);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
    for (let i = 0; i < 4; i++) at = Math.floor(next() * 4294967296); // so that neighbours start far apart
    const made = new Float32Array(count);
    for (let i = 0; i < count; i += 2) {
      const radius = Math.sqrt(-2 * Math.log(1 - next())), angle = 2 * Math.PI * next();
      made[i] = radius * Math.cos(angle);
      if (i + 1 < count) made[i + 1] = radius * Math.sin(angle);
    }
    return { normals: made, drawn: next() };
  }
  const known = new Map();
  function codeOf(space, number) { // {code, label}, in a space that has a program
    const key = `${space} ${number} ${state.label}`;
    if (!known.has(key)) {
      if (known.size > 400) known.clear();
      const program = programs[space], { normals, drawn } = numbers(number, program.normals), mine = pictures[number];
      const own = mine && mine.label !== null ? mine.label : program.label ?? Math.floor(drawn * classes);
      const which = state.label !== "" ? Number(state.label) : own;
      const label = !classes ? null : Array.isArray(which) ? Float32Array.from(which) : Float32Array.from({ length: classes }, (_, i) => (i === which ? 1 : 0));
      known.set(key, { code: mine ? Float32Array.from(mine.code) : machines[space].draw(normals, label).d.slice(), label, which });
    }
    return known.get(key);
  }

  // Magnitudes: t(tau) as gdbench.Calibration.interpolate has it, linear in (magnitude, sqrt(change)) ----------------------
  function magnitude(direction, tau) {
    if (!tau) return 0;
    const [points, changes] = direction.curves[tau < 0 ? 1 : 0], wanted = Math.sqrt(Math.abs(tau));
    let upper = changes.findIndex((change) => Math.sqrt(change) >= wanted);
    upper = Math.min(Math.max(upper < 0 ? changes.length - 1 : upper, 1), changes.length - 1);
    const low = Math.sqrt(changes[upper - 1]), high = Math.sqrt(changes[upper]);
    const weight = Math.min(Math.max((wanted - low) / Math.max(high - low, 1e-12), 0), 1);
    return Math.sign(tau) * (points[upper - 1] * (1 - weight) + points[upper] * weight);
  }
  const reach = (direction, sign) => direction.curves[sign < 0 ? 1 : 0][1].at(-1);

  function vectorsOf(run) {
    if (!run.rows && run.vectors) {
      const bytes = engine.bytesOf(run.vectors), all = new Float32Array(bytes.buffer), dim = all.length / run.directions.length;
      run.rows = run.directions.map((_, k) => all.subarray(k * dim, (k + 1) * dim));
    }
    return run.rows;
  }
  function shift(run, taus) { // the displacement of several straight directions at once
    const rows = vectorsOf(run), total = new Float32Array(rows[0].length);
    for (const [k, tau] of Object.entries(taus)) {
      const t = magnitude(run.directions[k], tau), row = rows[k];
      for (let i = 0; i < total.length; i++) total[i] += t * row[i];
    }
    return total;
  }
  const shifted = (run, number, taus) => {
    const { code, label } = codeOf(run.space, number), delta = shift(run, taus);
    return { space: run.space, code: code.map((value, i) => value + delta[i]), label };
  };

  // Rendering: workers take the newest wish for each canvas; wishes that were replaced are never drawn -----------------------
  const wishes = new Map(), versions = new Map(), drawn = new Map();
  const frames = { count: 0, first: 0, last: 0 };
  function startWorkers() {
    const text = `${interpreter.toString()}\ninterpreter().serve();`;
    const address = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
    const many = Math.max(1, Math.min(4, (navigator.hardwareConcurrency || 2) - 1));
    for (let i = 0; i < many; i++) {
      const worker = new Worker(address), one = { worker, wish: null };
      worker.onmessage = ({ data }) => { const wish = one.wish; one.wish = null; deliver(wish, data.pixels); pump(); };
      worker.onerror = () => { workers.splice(workers.indexOf(one), 1); if (!workers.length) startHere(); if (one.wish) wishes.set(one.wish.key, one.wish); pump(); };
      worker.postMessage({ programs, bytes });
      workers.push(one);
    }
  }
  function startHere() { // where a page may have no workers: one image at a time, between events
    const one = { wish: null };
    one.worker = { postMessage: (job) => setTimeout(() => {
      const wish = one.wish;
      one.wish = null;
      deliver(wish, engine.coloured(machines[job.space].render(job.code, job.label)));
      pump();
    }) };
    workers.push(one);
  }
  function deliver(wish, pixels) {
    if ((drawn.get(wish.key) || 0) > wish.version) return;
    drawn.set(wish.key, wish.version);
    frames.last = performance.now();
    frames.first = frames.first || frames.last;
    frames.count += 1;
    wish.done(new ImageData(pixels, width, height));
  }
  function pump() {
    for (const one of workers) {
      if (one.wish || !wishes.size) continue;
      const [key, wish] = wishes.entries().next().value;
      wishes.delete(key);
      one.wish = wish;
      const job = wish.job();
      one.worker.postMessage(job);
    }
    tell();
  }
  function tell() { document.body.dataset.busy = wishes.size || workers.some((one) => one.wish) || asking ? "1" : ""; }
  function ask(key, job, done) {
    const version = (versions.get(key) || 0) + 1;
    versions.set(key, version);
    wishes.set(key, { key, version, job, done });
    pump();
  }
  let asking = 0;
  const remote = new Map();
  async function askServer(key, body, done) { // the newest wish of each canvas, one request at a time
    remote.set(key, { body, done });
    if (asking) return;
    asking = 1;
    tell();
    while (remote.size) {
      const [key, wish] = remote.entries().next().value;
      remote.delete(key);
      try {
        const answer = await fetch("render", { method: "POST", body: JSON.stringify(wish.body) });
        if (!answer.ok) throw new Error(await answer.text());
        wish.done(new ImageData(new Uint8ClampedArray(await answer.arrayBuffer()), width, height));
        say("");
      } catch (error) { say(`The server gives no image: ${error.message}`); }
    }
    asking = 0;
    tell();
  }

  const put = (canvas) => (image) => { canvas.getContext("2d").putImageData(image, 0, 0); canvas.dataset.drawn = "1"; };
  function draw(canvas, key, run, number, taus) {
    if (run.vectors && programs[run.space]) return ask(key, () => shifted(run, number, taus), put(canvas));
    if (served) return askServer(key, { run: run.index, latent: number, label: state.label, taus }, put(canvas));
    return drawFrame(canvas, run, number, taus);
  }
  const images = new Map();
  function atlas(address) {
    if (!images.has(address)) {
      const image = new Image();
      images.set(address, new Promise((resolve) => { image.onload = () => resolve(image); }));
      image.src = address;
    }
    return images.get(address);
  }
  async function drawFrame(canvas, run, number, taus) {
    const { frames: kept } = run, [k, tau] = Object.entries(taus)[0] || [0, 0], wish = {};
    canvas.wish = wish;
    const image = await atlas(kept.images[number % kept.images.length]);
    if (canvas.wish !== wish) return;
    const step = kept.taus.reduce((best, one, i) => (Math.abs(one - tau) < Math.abs(kept.taus[best] - tau) ? i : best), 0);
    if (canvas.width !== kept.width) { canvas.width = kept.width; canvas.height = kept.height; }
    canvas.getContext("2d").drawImage(image, step * kept.width, k * kept.height, kept.width, kept.height, 0, 0, kept.width, kept.height);
    canvas.dataset.drawn = "1";
  }

  // Names ----------------------------------------------------------------------------------------------------------------
  function order() { // of runs in lists: as given, or shuffled by the key of the blind mode
    const all = runs.map((_, i) => i);
    return state.blind ? all.sort((a, b) => numbers(state.blind + 7919 * a, 0).drawn - numbers(state.blind + 7919 * b, 0).drawn) : all;
  }
  const nameOf = (run) => (state.blind ? `Method ${String.fromCharCode(65 + (order().indexOf(run.index) % 26))}` : run.name);
  const keyOf = (run, k) => `${run.index}.${k}`;
  const does = (run, k) => state.names.get(keyOf(run, k)) || run.directions[k].plus || (run.directions[k].leading ? `some ${run.directions[k].leading}` : `direction ${k}`);
  const live = (run) => Boolean(run.vectors && programs[run.space]) || served;
  const dead = (direction) => reach(direction, 1) < 0.3 && reach(direction, -1) < 0.3;

  // The page ---------------------------------------------------------------------------------------------------------------
  const sidesBox = $("#sides");
  function kept() { // how many latents there are: those of the frames, where a method on show has frames
    const frozen = state.sides.map((side) => runs[side.run]).filter((run) => !live(run));
    return frozen.length ? Math.min(...frozen.map((run) => run.frames.images.length)) : Infinity;
  }
  const latents = () => Math.min(state.count, kept());
  const captionOf = (number) => (pictures[number] ? `${pictures[number].note}, ${pictures[number].name}` : `${number}`);
  const numberAt = (i) => (kept() < Infinity ? (state.first + i) % kept() : state.first + i);
  let held = false;

  function rebuild() {
    sidesBox.replaceChildren(...state.sides.map(buildSide));
    sidesBox.dataset.sides = state.sides.length;
    $("#compare").textContent = state.sides.length > 1 ? "One method" : "Compare";
    $("#compare").hidden = runs.length < 2;
    refresh();
  }

  function buildSide(side, s) {
    const run = runs[side.run];
    side.canvases = Array.from({ length: latents() }, (_, i) => el("canvas", { width, height, role: "img", "aria-label": `latent ${captionOf(numberAt(i))}` }));
    const pick = el("select", { "aria-label": `method on side ${LETTERS[s]}`, onchange: (event) => choose(s, Number(event.target.value)) });
    for (const index of order()) pick.append(el("option", { value: index, selected: index === side.run, textContent: nameOf(runs[index]) }));
    side.mix = el("div", { class: "mix", "aria-live": "polite" });
    side.focus = el("div", { class: "focus" });
    side.list = el("div", { class: "list", role: "group", "aria-label": `directions of ${nameOf(run)}` });
    side.images = el("div", { class: "images" }, ...side.canvases.map((canvas, i) => el("figure", {}, canvas, el("figcaption", { class: pictures[numberAt(i)] ? "mine" : "", title: captionOf(numberAt(i)) }, captionOf(numberAt(i))))));
    side.images.dataset.count = latents();
    const hidden = state.blind || DATA.blind, facts = hidden ? `${run.directions.length} directions` : `${run.directions.length} directions in ${run.space}, seed ${run.seed}${run.role === "method" ? "" : `, ${run.role}`}`;
    const chips = hidden ? [] : run.scores.map(([name, value, meaning]) => el("span", { class: "chip", title: meaning }, `${name} `, el("b", {}, value)));
    const note = live(run) ? null : el("p", { class: "note" }, `Pre-rendered: ${run.why} The slider steps through ${run.frames.taus.length} frames of ${run.frames.images.length} latents, one direction at a time.`);
    const box = el("section", { class: "side", "aria-label": nameOf(run) },
      el("header", {}, pick, el("span", { class: "facts" }, facts), el("span", { class: "chips" }, ...chips)),
      el("div", { class: "columns" },
        el("div", { class: "stage" }, side.images, side.mix, note, side.focus),
        el("div", { class: "choice" }, tools(), side.list)));
    side.fillList = () => fillList(side, s, run);
    side.fillList();
    return box;
  }

  function tools() {
    const sort = el("select", { "aria-label": "order of directions", onchange: (event) => { state.sort = event.target.value; rebuild(); } });
    for (const [value, text] of [["share", "purest first"], ["index", "by number"], ["factor", "by factor"]]) sort.append(el("option", { value, selected: value === state.sort, textContent: text }));
    return el("div", { class: "tools" }, sort,
      el("input", { type: "search", placeholder: "find", value: state.find, "aria-label": "find directions", oninput: (event) => find(event.target.value) }),
      el("label", {}, el("input", { type: "checkbox", checked: state.only, onchange: (event) => { state.only = event.target.checked; rebuild(); } }), " ★ only"));
  }
  function find(text) {
    state.find = text;
    for (const box of document.querySelectorAll(".tools input[type=search]")) box.value = text;
    state.sides.forEach((side) => side.fillList());
    save();
  }

  function fillList(side, s, run) {
    const wanted = state.find.toLowerCase();
    const shown = run.directions.map((one, k) => ({ one, k })).filter(({ one, k }) =>
      (!state.only || state.stars.has(keyOf(run, k))) && (!wanted || `${does(run, k)} ${one.leading} ${k}`.toLowerCase().includes(wanted)));
    const orders = { share: (a, b) => b.one.share - a.one.share || a.k - b.k, index: (a, b) => a.k - b.k, factor: (a, b) => factors.indexOf(a.one.leading) - factors.indexOf(b.one.leading) || b.one.share - a.one.share };
    shown.sort(orders[state.sort]);
    side.rows = new Map();
    const rows = (some) => some.map(({ one, k }) => row(side, s, run, one, k));
    const gone = shown.filter(({ one }) => dead(one));
    side.list.replaceChildren(...rows(shown.filter(({ one }) => !dead(one))));
    if (gone.length) side.list.append(el("details", { class: "dead" }, el("summary", {}, `${gone.length} dead: no visible change in range`), ...rows(gone)));
    if (!shown.length) side.list.append(el("p", { class: "note" }, "No direction fits."));
    mark(side, s, run);
  }

  function row(side, s, run, direction, k) {
    const star = el("button", { class: "star", type: "button", onclick: () => toggleStar(run, k) });
    const slide = el("input", { type: "range", min: -REACH, max: REACH, step: live(run) ? 0.01 : 0.15, value: side.taus[k] || 0, "aria-label": `${does(run, k)}, direction ${k}: visible change`,
      oninput: (event) => move(s, k, Number(event.target.value)), ondblclick: () => move(s, k, 0), onpointerdown: () => focusOn(s, k), onfocus: () => focusOn(s, k) });
    const value = el("output", {}), title = el("button", { class: "title", type: "button", onclick: () => focusOn(s, k) });
    const meter = el("span", { class: "meter", title: direction.leading ? `${direction.leading}: ${two(direction.share)} of all that it does` : "no factor is known to change" });
    const fill = el("i", {});
    fill.style.width = `${100 * direction.share}%`;
    meter.append(fill);
    const box = el("div", { class: "row", "data-direction": k }, star, title, meter, slide, value);
    side.rows.set(k, { box, star, slide, value, title });
    return box;
  }

  function mark(side, s, run) { // what changes with the state, in rows that stay
    for (const [k, { box, star, slide, value, title }] of side.rows) {
      const tau = side.taus[k] || 0, starred = state.stars.has(keyOf(run, k));
      star.textContent = starred ? "★" : "☆";
      star.setAttribute("aria-pressed", starred);
      star.setAttribute("aria-label", starred ? "remove the star" : "star");
      title.replaceChildren(does(run, k), el("small", {}, ` #${k}`));
      if (Number(slide.value) !== tau) slide.value = tau;
      value.textContent = tau ? signed(tau) : "";
      box.classList.toggle("moved", tau !== 0);
      box.classList.toggle("focused", side.k === k);
    }
    const moved = Object.entries(side.taus);
    side.mix.replaceChildren(...(moved.length ? moved.map(([k, tau]) => {
      const most = reach(run.directions[k], tau), ends = Math.abs(tau) > most + 0.005 ? `, ends at ${two(most)}` : "";
      return el("button", { class: "pill", type: "button", title: "set back to 0", onclick: () => move(s, Number(k), 0) }, `${does(run, k)} ${signed(tau)}${ends} ×`);
    }) : [el("span", { class: "hint" }, live(run) ? "Move a slider. Several add up." : "Move a slider.")]));
  }

  function buildFocus() {
    state.sides.forEach((side, s) => {
      const run = runs[side.run];
      const { k } = side, direction = run.directions[k], shares = Object.entries(direction.shares).sort((a, b) => b[1] - a[1]);
      const name = el("input", { class: "name", value: state.names.get(keyOf(run, k)) || "", placeholder: does(run, k), "aria-label": "your name for this direction", maxLength: 60,
        oninput: (event) => { if (event.target.value) state.names.set(keyOf(run, k), event.target.value); else state.names.delete(keyOf(run, k)); mark(side, s, run); save(); } });
      const play = el("button", { type: "button", class: "play", "aria-pressed": String(Boolean(playing)), onclick: () => animate(s, k, play) }, playing ? "■ Stop" : "▶ Play");
      side.film = Array.from({ length: 7 }, (_, i) => ({ tau: Number((0.45 * (i - 3) / 3).toFixed(2)), canvas: el("canvas", { width, height }) }));
      const film = el("div", { class: "film" }, ...side.film.map(({ tau, canvas }) => el("button", { type: "button", title: `to ${signed(tau)}`, onclick: () => move(s, k, tau) }, canvas, el("small", {}, tau ? signed(tau) : "0"))));
      const bars = shares.length ? el("table", { class: "bars" }, el("tbody", {}, ...shares.slice(0, 5).map(([factor, share]) => {
        const fill = el("i", {});
        fill.style.width = `${100 * Math.max(share, 0)}%`;
        return el("tr", {}, el("th", { scope: "row" }, factor), el("td", {}, el("span", { class: "meter" }, fill)), el("td", {}, two(share)));
      }))) : el("p", { class: "note" }, "Shares of factors were not measured for this run.");
      const sides = [1, -1].map((sign) => (reach(direction, sign) < 0.3 ? "dead" : two(Math.abs(magnitude(direction, sign * 0.3))))), plus = direction.plus ? `+ ${direction.plus}. ` : "";
      side.focus.replaceChildren(el("div", { class: "head" }, name, el("span", { class: "facts" }, `#${k}`), play), film,
        el("p", { class: "note" }, `${plus}Latent length for a visible change of .30: + ${sides[0]}, − ${sides[1]}.`), bars);
    });
    drawFilm();
  }

  // Acts --------------------------------------------------------------------------------------------------------------------
  function move(s, k, tau) {
    const side = state.sides[s], run = runs[side.run];
    if (!live(run)) side.taus = {}; // frames show one direction at a time
    if (Math.abs(tau) < 0.005) delete side.taus[k]; else side.taus[k] = tau;
    mark(side, s, run);
    drawSide(s);
    save();
  }
  function focusOn(s, k) {
    state.active = s;
    if (state.sides[s].k === k) return;
    stop();
    state.sides[s].k = k;
    buildFocus();
    mark(state.sides[s], s, runs[state.sides[s].run]);
    save();
  }
  function choose(s, index) {
    stop();
    state.sides[s] = sideOf(index, {});
    state.active = s;
    rebuild();
  }
  function toggleStar(run, k) {
    const key = keyOf(run, k);
    if (!state.stars.delete(key)) state.stars.add(key);
    state.sides.forEach((side, s) => mark(side, s, runs[side.run]));
    save();
  }
  let playing = 0;
  function stop() { if (playing) { cancelAnimationFrame(playing); playing = 0; } }
  function animate(s, k, button) {
    const was = playing;
    stop();
    state.active = s;
    button.textContent = was ? "▶ Play" : "■ Stop";
    button.setAttribute("aria-pressed", String(!was));
    if (was) return;
    const start = performance.now() - 1e3 * Math.asin((state.sides[s].taus[k] || 0) / REACH);
    let last = 0;
    const tick = (now) => {
      playing = requestAnimationFrame(tick);
      if (wishes.size || now - last < 33) return;
      last = now;
      move(s, k, 0.45 * Math.sin((now - start) / 1e3));
    };
    playing = requestAnimationFrame(tick);
  }

  function drawSide(s) {
    const side = state.sides[s], run = runs[side.run];
    side.canvases.forEach((canvas, i) => draw(canvas, `${s} ${i}`, run, numberAt(i), held ? {} : { ...side.taus }));
  }
  function drawFilm() {
    state.sides.forEach((side, s) => (side.film || []).forEach(({ tau, canvas }, i) =>
      draw(canvas, `film ${s} ${i}`, runs[side.run], numberAt(0), tau ? { [state.sides[s].k]: tau } : {})));
  }
  function refresh() {
    $("#number").value = state.first;
    for (const name of ["#count", "#label"]) if ($(name)) $(name).value = name === "#count" ? state.count : state.label;
    $("#blind").setAttribute("aria-pressed", String(Boolean(state.blind)));
    state.sides.forEach((_, s) => drawSide(s));
    buildFocus();
    save();
  }
  function show(number) { stop(); state.first = Math.max(0, Math.min(number, 4294967295 - state.count)) || 0; rebuild(); }
  function say(text) { $("#said").textContent = text; }

  // The address ---------------------------------------------------------------------------------------------------------------
  const listed = (taus) => Object.entries(taus).map(([k, tau]) => `${k}:${Number(tau.toFixed(2))}`).join(",");
  function address() {
    const kept = new URLSearchParams({ n: state.first, c: state.count, r: state.sides.map((side) => side.run).join(",") });
    state.sides.forEach((side, s) => { if (Object.keys(side.taus).length) kept.set(LETTERS[s].toLowerCase(), listed(side.taus)); });
    kept.set("f", state.sides.map((side) => side.k).join(","));
    for (const name of ["label", "find"]) if (state[name]) kept.set(name, state[name]);
    if (state.sort !== "share") kept.set("sort", state.sort);
    if (state.only) kept.set("only", "1");
    if (state.blind) kept.set("blind", state.blind);
    if (state.stars.size) kept.set("star", [...state.stars].join(","));
    for (const [key, name] of state.names) kept.append("name", `${key} ${name}`);
    return `#${kept}`;
  }
  let saving = 0;
  function save() {
    if (saving) return;
    saving = setTimeout(() => { saving = 0; try { history.replaceState(null, "", address()); } catch { /* a frame without an address */ } }, 60);
  }
  const whole = (text, most, other) => { const found = Number.parseInt(text, 10); return found >= 0 && found <= most ? found : other; };
  function restore() {
    const kept = new URLSearchParams(location.hash.slice(1));
    state.first = whole(kept.get("n"), 4294967290, 0);
    const counts = [1, 2, 4, 6, 9], usual = pictures.length ? counts.find((one) => one >= pictures.length) || 9 : 4;
    state.count = counts.includes(Number(kept.get("c"))) ? Number(kept.get("c")) : usual;
    state.label = classes && kept.get("label") ? String(whole(kept.get("label"), classes - 1, "")) : "";
    state.blind = DATA.blind ? 0 : whole(kept.get("blind"), 4294967295, 0);
    state.sort = ["index", "factor"].includes(kept.get("sort")) ? kept.get("sort") : "share";
    state.only = kept.get("only") === "1";
    state.find = kept.get("find") || "";
    const valid = (key) => { const [r, k] = key.split("."); return Boolean(runs[r] && runs[r].directions[k]); };
    state.stars = new Set((kept.get("star") || "").split(",").filter(valid));
    state.names = new Map(kept.getAll("name").map((one) => [one.split(" ", 1)[0], one.slice(one.indexOf(" ") + 1, 80)]).filter(([key, name]) => valid(key) && name));
    const chosen = (kept.get("r") || (runs.length > 1 && innerWidth > 900 ? "0,1" : "0")).split(",").slice(0, 2).map((one) => whole(one, runs.length - 1, 0));
    const focused = (kept.get("f") || "").split(",");
    state.sides = chosen.map((run, s) => sideOf(run, taken(kept.get(LETTERS[s].toLowerCase()) || "", runs[run]), focused[s]));
    state.active = 0;
  }
  function sideOf(run, taus, k) { // at first the purest living direction is looked at
    const all = runs[run].directions, purest = all.reduce((best, one, i) => (!dead(one) && (dead(all[best]) || one.share > all[best].share) ? i : best), 0);
    return { run, taus, k: whole(k, all.length - 1, purest) };
  }
  function taken(text, run) {
    const pairs = text.split(",").map((one) => one.split(":").map(Number)).filter(([k, tau]) => run.directions[k] && Math.abs(tau) <= REACH);
    return Object.fromEntries(live(run) ? pairs : pairs.slice(0, 1));
  }

  // Export ----------------------------------------------------------------------------------------------------------------------
  function exported(what) { // [{run, k, name, vector, tau}]; the mix is one vector
    const side = state.sides[Math.min(state.active, state.sides.length - 1)], run = runs[side.run];
    const entry = (one, k) => ({ run: one, k: Number(k), name: does(one, k), vector: vectorsOf(one) ? vectorsOf(one)[k] : null, tau: one === run ? side.taus[k] || 0 : 0 });
    if (what === "starred") return [...state.stars].map((key) => key.split(".")).map(([r, k]) => entry(runs[r], k));
    if (what === "moved") return Object.keys(side.taus).map((k) => entry(run, k));
    if (what === "all") return run.directions.map((_, k) => entry(run, k));
    if (!vectorsOf(run) || !Object.keys(side.taus).length) return [];
    const total = shift(run, side.taus), length = Math.hypot(...total);
    return [{ run, k: -1, name: Object.entries(side.taus).map(([k, tau]) => `${does(run, k)} ${signed(tau)}`).join(" and "), vector: total.map((value) => value / length), tau: 0 }];
  }
  function asJson(some) {
    const straight = some.filter(({ vector }) => vector).map(({ vector }) => [...vector]);
    let row = 0;
    const each = some.map(({ run, k, name, vector, tau }) => ({
      name, row: vector ? row++ : null, run: state.blind ? nameOf(run) : run.id, method: nameOf(run), direction: k < 0 ? null : k, space: run.space, visible_change: tau,
      ...(k < 0 ? {} : { shares: run.directions[k].shares, plus: run.directions[k].plus, magnitude: [magnitude(run.directions[k], 0.3), Math.abs(magnitude(run.directions[k], -0.3))] }) }));
    return JSON.stringify({ format: "gdbench explorer 1", generator: generator.name, latents: Array.from({ length: latents() }, (_, i) => numberAt(i)), address: address(), directions: each, vectors: straight });
  }
  function asCsv(some) {
    const cell = (value) => { const text = String(value ?? ""), safe = /^[=+\-@\t\r]/.test(text) && Number.isNaN(Number(text)) ? `'${text}` : text; return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe; };
    const dims = Math.max(0, ...some.map(({ vector }) => (vector ? vector.length : 0)));
    const head = ["name", "method", "direction", "space", "factor", "share", ...Array.from({ length: dims }, (_, i) => `v${i}`)];
    const lines = some.map(({ run, k, name, vector }) => [name, nameOf(run), k < 0 ? "" : k, run.space, k < 0 ? "" : run.directions[k].leading, k < 0 ? "" : run.directions[k].share, ...(vector || [])]);
    return [head, ...lines].map((line) => line.map(cell).join(",")).join("\n") + "\n";
  }
  function asSafetensors(some) { // vectors and unit, as gdbench.LinearDirections are saved
    const rows = some.filter(({ vector }) => vector), dim = rows[0].vector.length, count = rows.length;
    const vectors = new Float32Array(count * dim);
    rows.forEach(({ vector }, i) => vectors.set(vector, i * dim));
    const facts = { generator: generator.name, names: rows.map(({ name }) => name), space: rows[0].run.space };
    const header = new TextEncoder().encode(JSON.stringify({ __metadata__: { facts: JSON.stringify(facts) },
      unit: { dtype: "F32", shape: [count], data_offsets: [0, 4 * count] }, vectors: { dtype: "F32", shape: [count, dim], data_offsets: [4 * count, 4 * count * (dim + 1)] } }));
    const padded = new Uint8Array(8 * Math.ceil(header.length / 8)).fill(32);
    padded.set(header);
    const length = new DataView(new ArrayBuffer(8));
    length.setBigUint64(0, BigInt(padded.length), true);
    return new Blob([length, padded, new Float32Array(count).fill(1), vectors]);
  }
  function download(format) {
    const some = exported($("#what").value), straight = some.filter(({ vector }) => vector), spaces = new Set(straight.map(({ run }) => run.space));
    if (!some.length) return say({ starred: "No direction has a star yet.", moved: "No slider is moved.", mix: "Move a slider of a straight method first.", all: "" }[$("#what").value]);
    if (format === "safetensors" && (!straight.length || spaces.size > 1)) return say(straight.length ? "Directions of two spaces do not fit in one file." : "Curved directions have no vector; export JSON or CSV.");
    const text = { json: asJson, csv: asCsv, safetensors: asSafetensors }[format](some);
    const blob = text instanceof Blob ? text : new Blob([text], { type: format === "json" ? "application/json" : "text/csv" });
    const link = el("a", { href: URL.createObjectURL(blob), download: format === "safetensors" ? "directions.safetensors" : `directions.${format}` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    say(`${some.length} exported.`);
    return undefined;
  }

  // The toolbar -------------------------------------------------------------------------------------------------------------------
  $("#previous").addEventListener("click", () => show(state.first - latents()));
  $("#next").addEventListener("click", () => show(state.first + latents()));
  $("#number").addEventListener("change", (event) => show(Math.floor(Number(event.target.value))));
  $("#count").addEventListener("change", (event) => { state.count = Number(event.target.value); rebuild(); });
  if ($("#label")) $("#label").addEventListener("change", (event) => { state.label = event.target.value; rebuild(); });
  $("#compare").addEventListener("click", () => {
    stop();
    if (state.sides.length > 1) state.sides.length = 1; else state.sides.push(sideOf((state.sides[0].run + 1) % runs.length, {}));
    rebuild();
  });
  $("#reset").addEventListener("click", () => { stop(); state.sides.forEach((side) => { side.taus = {}; }); rebuild(); });
  $("#blind").hidden = DATA.blind;
  $("#blind").addEventListener("click", () => { state.blind = state.blind ? 0 : 1 + Math.floor(Math.random() * 4294967290); rebuild(); });
  const hold = (on) => { if (held !== on) { held = on; document.body.classList.toggle("held", on); state.sides.forEach((_, s) => drawSide(s)); } };
  $("#before").addEventListener("pointerdown", () => hold(true));
  for (const event of ["pointerup", "pointerleave", "pointercancel", "blur"]) $("#before").addEventListener(event, () => hold(false));
  $("#before").addEventListener("keydown", (event) => { if (event.key === " " || event.key === "Enter") { event.preventDefault(); hold(true); } });
  $("#before").addEventListener("keyup", () => hold(false));
  $("#link").addEventListener("click", async () => {
    try { history.replaceState(null, "", address()); await navigator.clipboard.writeText(location.href); say("Link copied: it restores what you see."); } catch { say("The address of this page restores what you see."); }
  });
  for (const format of ["json", "csv", "safetensors"]) $(`#as-${format}`).addEventListener("click", () => download(format));
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) && event.target.type !== "range") return;
    const acts = { n: () => show(state.first + latents()), p: () => show(state.first - latents()), r: () => $("#reset").click(), b: () => !DATA.blind && $("#blind").click() };
    if (acts[event.key]) acts[event.key]();
  });
  addEventListener("hashchange", () => { restore(); rebuild(); });

  restore();
  rebuild();
  globalThis.explorer = { state, frames, runs, codeOf, shifted, exported, asJson, asCsv, asSafetensors, // for scripts and tests
    image: (run, number, taus) => { const { space, code, label } = shifted(runs[run], number, taus); return Array.from(machines[space].render(code, label).d); },
    render: (space, code, label) => Array.from(machines[space].render(Float32Array.from(code), label && Float32Array.from(label)).d) };
})();
