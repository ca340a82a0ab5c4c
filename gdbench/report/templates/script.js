"use strict";
(() => {
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];
  const form = document.querySelector(".filters");
  const tables = all("table.board").map((table) => ({ table, rows: all("tbody tr", table), heads: all("thead th", table) }));
  const keys = [...(form ? all("select", form).map((select) => select.name) : []), "sort", "order", "tab"];
  let state = {};

  // the state of the page is in its address: #generator=...&sort=recall&order=descending
  function read() {
    const text = location.hash.slice(1);
    const found = new URLSearchParams(text.includes("=") ? text : "");
    state = Object.fromEntries(keys.map((key) => [key, found.get(key) || ""]));
    for (const select of form ? all("select", form) : []) {
      if (![...select.options].some((option) => option.value === state[select.name])) state[select.name] = "";
      select.value = state[select.name];
    }
    apply();
  }

  function change(more) {
    Object.assign(state, more);
    const text = new URLSearchParams(Object.entries(state).filter(([, value]) => value)).toString();
    history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
    apply();
  }

  function apply() {
    filter();
    tables.forEach(sort);
    document.body.dataset.tab = state.tab === "all" ? "all" : "overview";
    for (const button of all(".tabs button")) button.setAttribute("aria-pressed", String(button.value === document.body.dataset.tab));
  }

  function filter() {
    let shown = 0, total = 0;
    for (const board of all("section.board")) {
      const here = ["generator", "space", "tier", "k"].every((name) => !state[name] || board.dataset[name] === state[name]);
      let some = false;
      for (const row of all("table.board tbody tr", board)) {
        const kept = here && (!state.role || row.dataset.role === state.role);
        row.hidden = !kept;
        some = some || kept;
        shown += kept ? 1 : 0;
        total += 1;
      }
      board.hidden = !some;
      for (const one of all("details[data-metric]", board)) one.hidden = Boolean(state.metric) && one.dataset.metric !== state.metric;
    }
    for (const { heads, rows } of tables) {
      heads.forEach((head, at) => {
        const hidden = Boolean(state.metric) && "metric" in head.dataset && head.dataset.metric !== state.metric;
        for (const cell of [head, ...rows.map((row) => row.children[at])]) cell.hidden = hidden;
      });
    }
    if (form) form.querySelector("output").textContent = `${shown} of ${total} rows shown; ranks as published`;
  }

  function sort({ table, rows, heads }) {
    const at = state.sort ? heads.findIndex((head) => head.dataset.column === state.sort) : -1;
    const order = state.order === "ascending" ? "ascending" : "descending";
    const value = (row) => (row.children[at].dataset.value === "" ? null : Number(row.children[at].dataset.value));
    const place = new Map(rows.map((row, index) => [row, index]));
    const before = (a, b) => {
      const tinted = Number(a.dataset.role !== "method") - Number(b.dataset.role !== "method");
      if (tinted || at < 0) return tinted || place.get(a) - place.get(b);
      const [x, y] = [value(a), value(b)];
      if (x === null || y === null || x === y) return Number(x === null) - Number(y === null) || place.get(a) - place.get(b);
      return order === "ascending" ? x - y : y - x;
    };
    table.tBodies[0].append(...(at < 0 ? rows : [...rows].sort(before)));
    for (const [index, head] of heads.entries()) {
      const sorted = at < 0 ? head.classList.contains("headline") : index === at;
      head.classList.toggle("sorted", sorted);
      if (sorted) head.setAttribute("aria-sort", at < 0 ? head.dataset.published : order);
      else head.removeAttribute("aria-sort");
    }
  }

  for (const head of tables.flatMap((one) => one.heads).filter((one) => "column" in one.dataset)) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    const first = head.dataset.better === "lower" ? "ascending" : "descending";
    const second = first === "ascending" ? "descending" : "ascending";
    button.addEventListener("click", () => { // the better end first, then the other, then as published
      const same = state.sort === head.dataset.column;
      const [column, order] = !same ? [head.dataset.column, first] : state.order === first ? [head.dataset.column, second] : ["", ""];
      change({ sort: column, order });
    });
  }
  for (const button of all(".tabs button")) button.addEventListener("click", () => change({ tab: button.value === "all" ? "all" : "" }));
  for (const tabs of all(".tabs")) tabs.hidden = false;
  if (form) {
    form.hidden = false;
    form.addEventListener("change", () => change(Object.fromEntries(new FormData(form))));
    form.addEventListener("submit", (event) => event.preventDefault());
  }
  for (const part of all(".coverage [data-part]")) {
    part.addEventListener("click", () => {
      for (const one of all(".lists details[data-part]")) one.open = one.dataset.part === part.dataset.part;
    });
  }
  addEventListener("hashchange", () => { if (location.hash.includes("=") || !location.hash) read(); });
  addEventListener("beforeprint", () => { for (const image of all("img[loading]")) image.loading = "eager"; });
  read();

  for (const button of all(".copy button")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const area = button.parentElement.querySelector("textarea");
      area.select();
      try { await navigator.clipboard.writeText(area.value); } catch { document.execCommand("copy"); }
      button.textContent = "copied";
    });
  }

  // pictures as files: what style sheets say of each element is written into a copy of it
  const STYLES = ["fill", "stroke", "stroke-width", "stroke-dasharray", "opacity", "font-size", "font-family", "text-anchor", "paint-order"];
  function standalone(svg) {
    const copy = svg.cloneNode(true);
    const [seen, made] = [svg, copy].map((one) => [one, ...one.querySelectorAll("*")]);
    seen.forEach((one, index) => {
      const style = getComputedStyle(one);
      for (const name of STYLES) made[index].setAttribute(name, style.getPropertyValue(name));
    });
    const { width, height } = svg.viewBox.baseVal;
    const paper = document.createElementNS(svg.namespaceURI, "rect");
    for (const [name, value] of Object.entries({ width, height, fill: getComputedStyle(document.body).backgroundColor })) paper.setAttribute(name, value);
    copy.prepend(paper);
    for (const [name, value] of Object.entries({ xmlns: svg.namespaceURI, width, height })) copy.setAttribute(name, value);
    return { text: new XMLSerializer().serializeToString(copy), width, height };
  }

  function save(blob, name) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  async function raster({ text, width, height }) {
    const image = new Image();
    image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
    await image.decode();
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [2 * width, 2 * height];
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    return new Promise((done) => canvas.toBlob(done, "image/png"));
  }

  for (const figure of all("figure.picture")) {
    const svg = figure.querySelector("svg");
    const name = svg.getAttribute("aria-label").toLowerCase().replace(/[^a-z0-9]+/g, "-").slice(0, 60) || "picture";
    const caption = document.createElement("figcaption");
    for (const kind of ["SVG", "PNG"]) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = `save as ${kind}`;
      button.addEventListener("click", async () => {
        const made = standalone(svg);
        save(kind === "SVG" ? new Blob([made.text], { type: "image/svg+xml" }) : await raster(made), `${name}.${kind.toLowerCase()}`);
      });
      caption.append(button);
    }
    figure.append(caption);
  }
})();
