"use strict";
(() => {
  const root = document.documentElement;
  const theme = document.getElementById("theme");
  const isDark = () =>
    root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const label = () => {
    theme.textContent = isDark() ? theme.dataset.light : theme.dataset.dark;
    theme.setAttribute("aria-pressed", String(isDark()));
  };
  theme.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    label();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", label);
  label();

  // A figure fills the window, and is wide enough to be read on a phone; the drawing itself moves there and back.
  const large = document.getElementById("large");
  const place = large.querySelector("div");
  let home = null;
  for (const button of document.querySelectorAll(".enlarge")) {
    button.addEventListener("click", () => {
      const svg = button.querySelector("svg");
      const box = svg.viewBox.baseVal;
      home = button;
      large.classList.toggle("tall", box.height > 0 && box.width / box.height < innerWidth / innerHeight);
      large.setAttribute("aria-label", svg.getAttribute("aria-label"));
      place.replaceChildren(svg);
      large.showModal();
    });
  }
  large.addEventListener("close", () => {
    home.replaceChildren(...place.childNodes);
    home.focus();
  });
  place.addEventListener("click", () => large.close());
  document.getElementById("smaller").addEventListener("click", () => large.close());

  const key = (row, column) => {
    const cell = row.cells[column];
    const text = cell.dataset.value ?? cell.textContent.trim();
    return text === "" ? null : text;
  };
  // Empty cells stay last in both directions; numbers compare as numbers.
  const compare = (a, b, sign) => {
    if (a === null || b === null) return a === b ? 0 : a === null ? 1 : -1;
    const x = Number(a), y = Number(b);
    const both = !Number.isNaN(x) && !Number.isNaN(y);
    return sign * (both ? x - y : a.localeCompare(b, undefined, { numeric: true }));
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = head.textContent;
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const body = table.tBodies[0];
        const rows = [...body.rows].map((row) => [key(row, column), row]);
        rows.sort((a, b) => compare(a[0], b[0], down ? -1 : 1));
        body.append(...rows.map((pair) => pair[1]));
      });
    });
  }

  const filter = document.getElementById("filter");
  const state = document.getElementById("state");
  const shown = document.getElementById("shown");
  const jobs = [...document.getElementById("job-table").tBodies[0].rows];
  const texts = jobs.map((row) => row.textContent.toLowerCase());
  const apply = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    jobs.forEach((row, index) => {
      const fits =
        (state.value === "" || row.dataset.state === state.value) && words.every((word) => texts[index].includes(word));
      row.hidden = !fits;
      count += fits;
    });
    shown.textContent = `${count} ${shown.dataset.of} ${jobs.length}`;
  };
  filter.addEventListener("input", apply);
  state.addEventListener("change", apply);
})();
