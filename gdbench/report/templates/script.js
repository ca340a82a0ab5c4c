"use strict";
(() => {
  const form = document.querySelector(".filters");
  const boards = [...document.querySelectorAll("section.board")];
  function apply() {
    const wanted = Object.fromEntries(new FormData(form));
    let shown = 0, all = 0;
    for (const board of boards) {
      const here = ["generator", "space", "tier", "k"].every((name) => !wanted[name] || board.dataset[name] === wanted[name]);
      let some = false;
      for (const row of board.querySelectorAll("table.board tbody tr")) {
        const kept = here && (!wanted.role || row.dataset.role === wanted.role);
        row.hidden = !kept;
        some = some || kept;
        shown += kept ? 1 : 0;
        all += 1;
      }
      board.hidden = !some;
    }
    form.querySelector("output").textContent = `${shown} of ${all} rows shown; ranks as published`;
  }
  if (form) {
    const restore = () => {
      const text = location.hash.slice(1);
      const state = new URLSearchParams(text.includes("=") ? text : "");
      for (const select of form.querySelectorAll("select")) {
        const value = state.get(select.name) || "";
        select.value = [...select.options].some((option) => option.value === value) ? value : "";
      }
      apply();
    };
    form.hidden = false;
    form.addEventListener("change", () => {
      const state = new URLSearchParams([...new FormData(form)].filter(([, value]) => value));
      history.replaceState(null, "", `#${state}`);
      apply();
    });
    form.addEventListener("submit", (event) => event.preventDefault());
    addEventListener("hashchange", () => { if (location.hash.includes("=")) restore(); });
    restore();
  }
  for (const button of document.querySelectorAll(".copy button")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const area = button.parentElement.querySelector("textarea");
      area.select();
      try { await navigator.clipboard.writeText(area.value); } catch { document.execCommand("copy"); }
      button.textContent = "copied";
    });
  }
})();
